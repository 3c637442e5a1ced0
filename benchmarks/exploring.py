"""What a thousand networks cost: a search, and the same configs trained one by one elsewhere.

    python benchmarks/exploring.py [--widths 8-32] [--networks 1000] [--epochs 10]

`nnarch search` tries random networks of one to three layers. Of these a sample, even over their
sizes, is given to Optuna around the seed document's loop, and to scikit-learn's
`RandomizedSearchCV` over `MLPRegressor`. All sides take turns; a figure is seconds a network.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tables import digits, seconds, table
from turns import PROCESSES, fix_threads

ROWS, FEATURES, BATCH = 12_500, 10, 32  # rows in all, of which 10,000 are trained on
ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu"]
CONFIG = """\
name: exploring
data: {{source: synthetic, rows: {rows}, features: {features}}}
model:
  widths: {{repeat: {{int: [1, 3]}}, of: {{int: [{low}, {high}]}}}}
  activation: {{choice: [{activations}]}}
optimizer: {{name: adamw, lr: {{float: [1e-4, 1e-1], log: true}}}}
loss: mse
batch_size: {batch}
epochs: {epochs}
threads: 1
search: {{trials: {networks}, sampler: random}}
"""
Trial = dict[str, Any]


def config_of(given: argparse.Namespace) -> str:
    low, high = given.widths
    return CONFIG.format(
        rows=ROWS,
        features=FEATURES,
        low=low,
        high=high,
        activations=", ".join(ACTIVATIONS),
        batch=BATCH,
        epochs=given.epochs,
        networks=given.networks,
    )


def search(config: str, *overrides: str) -> tuple[float, float, list[Trial]]:
    """Seconds of a whole command, and of the search in it; what it tried."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "open.yaml")
        path.write_text(config)
        words = [sys.executable, "-m", "nnarch", "search", str(path), "--quiet", *overrides]
        began = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True, cwd=folder)
        wall = time.perf_counter() - began
        [home] = Path(folder, "runs").iterdir()
        inside = json.loads((home / "run.json").read_text())["seconds"]
        trials = [json.loads(line) for line in (home / "trials.jsonl").open()]
    return wall, inside, trials


def sample(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Configs of so many trials, even over the networks' sizes."""
    ordered = sorted(trials, key=lambda trial: trial["parameters"])
    places = [len(ordered) * (2 * n + 1) // (2 * count) for n in range(count)]
    return [ordered[place]["config"] for place in places]


def data_of(config: str) -> tuple[Any, Any, Any, Any]:
    """Inputs and target of the rows that nnarch trains on, and of those that it validates on."""
    import yaml

    from nnarch import config as configs
    from nnarch import experiment

    raw = yaml.safe_load(config) | {"model": {"widths": [8]}, "optimizer": "adamw"}
    raw.pop("search")
    rows = experiment.prepare(configs.load(raw)).rows
    parts = [next(iter(rows[part].in_order(len(rows[part])))) for part in ("train", "val")]
    return tuple(each.contiguous() for part in parts for each in (part.inputs, part.target))  # type: ignore


def optuna_loop(config: str, chosen: Sequence[Trial]) -> float:
    """Optuna, whose objective is a plain training loop; seconds of its trials."""
    import optuna
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    x, y, x_val, y_val = data_of(config)
    kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}

    def objective(trial: "optuna.Trial") -> float:
        count = trial.suggest_int("layers", 1, 3)
        shape = [FEATURES, *(trial.suggest_int(f"width{n}", 1, 1024) for n in range(count))]
        activation = kinds[trial.suggest_categorical("activation", ACTIVATIONS)]
        layers = [m for a, b in pairwise(shape) for m in (nn.Linear(a, b), activation())]
        network = nn.Sequential(*layers, nn.Linear(shape[-1], 1))
        rate = trial.suggest_float("lr", 1e-5, 1.0, log=True)
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
        loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
        best = float("inf")
        for _ in range(chosen[0]["epochs"]):
            for inputs, target in loader:
                loss = nn.functional.mse_loss(network(inputs), target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                best = min(best, nn.functional.mse_loss(network(x_val), y_val).item())
        return best

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for config_ in chosen:
        widths = config_["model"]["widths"]
        study.enqueue_trial(
            {"layers": len(widths), "activation": config_["model"]["activation"]["name"]}
            | {f"width{n}": width for n, width in enumerate(widths)}
            | {"lr": config_["optimizer"]["lr"]}
        )
    began = time.perf_counter()
    study.optimize(objective, n_trials=len(chosen))
    return time.perf_counter() - began


def randomized_search(config: str, chosen: Sequence[Trial]) -> float:
    """scikit-learn's search over its own perceptron, which has neither AdamW nor GELU."""
    import numpy as np
    from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
    from sklearn.neural_network import MLPRegressor

    warnings.simplefilter("ignore")
    x, y, x_val, y_val = (np.asarray(each) for each in data_of(config))
    inputs, target = np.concatenate([x, x_val]), np.concatenate([y, y_val]).ravel()
    parts = PredefinedSplit([-1] * len(x) + [0] * len(x_val))
    words = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "gelu": "relu"}
    epochs = chosen[0]["epochs"]
    network = MLPRegressor(
        batch_size=BATCH,  # pyright: ignore[reportArgumentType]
        max_iter=epochs,
        tol=0,
        n_iter_no_change=epochs + 1,
        alpha=0,
    )
    space = [
        {
            "hidden_layer_sizes": [tuple(each["model"]["widths"])],
            "activation": [words[each["model"]["activation"]["name"]]],
            "learning_rate_init": [each["optimizer"]["lr"]],
        }
        for each in chosen
    ]
    trying = RandomizedSearchCV(
        network, space, n_iter=len(space), cv=parts, refit=False, random_state=0,
        scoring="neg_mean_squared_error",
    )  # fmt: skip
    began = time.perf_counter()
    trying.fit(inputs, target)
    return time.perf_counter() - began


def apart(side: Callable[[str, Sequence[Trial]], float], *given: Any) -> float:
    """What a side gives in a process of its own."""
    with PROCESSES.Pool(1) as pool:
        return pool.apply(side, given)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a thousand networks cost.")
    parser.add_argument(
        "--widths", type=lambda text: tuple(map(int, text.split("-"))), default=(8, 32)
    )
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--sample", type=int, default=12, help="of them, for the other sides (12)")
    parser.add_argument("--turns", type=int, default=3, help="that are counted (3)")
    given = parser.parse_args()
    fix_threads(1)
    config, turns = config_of(given), []
    search(config, "search.trials=8")  # reads the files that are imported
    for turn in range(given.turns):
        print(f"turn {turn + 1} of {given.turns} ...", file=sys.stderr, flush=True)
        whole, inside, trials = search(config)
        one, *_ = search(config, f"search.trials={given.networks // 4}", "search.workers=1")
        chosen = sample(trials, given.sample)
        turns.append(
            {
                "nnarch, the command": whole / given.networks,
                "nnarch, without imports": inside / given.networks,
                "nnarch, one process": one / (given.networks // 4),
                "Optuna, seed loop": apart(optuna_loop, config, chosen) / given.sample,
                "RandomizedSearchCV": apart(randomized_search, config, chosen) / given.sample,
            }
        )
    low, high = given.widths
    print(
        f"{given.networks:,} networks of 1 to 3 layers of {low} to {high} units, {given.epochs} "
        f"epochs, {os.cpu_count()} cores; seconds a network, and how many times those of nnarch:\n"
    )
    ours = [name for name in turns[0] if name.startswith("nnarch")]
    rows = []
    for name in turns[0]:
        ratios = [digits(median(turn[name] / turn[mine] for turn in turns)) for mine in ours]
        rows.append([name, seconds(median(turn[name] for turn in turns)), *ratios])
    print(table(["side", "a network", *(f"times {name}" for name in ours)], rows, words=1))


if __name__ == "__main__":
    main()
