"""Same wall time, better networks: what a search finds in seconds, beside Optuna with a plain loop.

    python benchmarks/same_time.py --data DIR [--seconds 12] [--seeds 5] [--cases digits kin8nm]

DIR holds data sets as they are passed around: `tabular/churn.csv` and `california.csv` (Gorishniy
et al., 2022), `uci/kin8nm/data.csv` (Gal & Ghahramani, 2016); digits comes with scikit-learn. Both
sides search the space of `configs/search_mlp.yaml` for the least validation loss. Optuna's TPE asks
for networks one by one, and a training loop as a user writes it trains them, on the tensors that
nnarch made of the data. One run of it for ten times the seconds gives both of its marks.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tables import machine, table
from turns import PROCESSES, fix_threads

from nnarch import exploration, yamlfile
from nnarch.space.domains import Choice
from nnarch.space.variable import Variable

if TYPE_CHECKING:
    import optuna
    import torch
    from torch import Tensor, nn

SPACE = Path(__file__).parent.parent / "configs" / "search_mlp.yaml"
LONGER = 10  # times the seconds, which Optuna has as well
CASES: dict[str, dict[str, Any]] = {  # what is changed in the config of the space
    "digits": {},
    "churn": {
        "data": {
            "source": "csv",
            "path": "tabular/churn.csv",
            "target": "Exited",
            "ignore": ["RowNumber", "CustomerId", "Surname"],
            "split": {"column": "part"},
            "scaling": "quantile",
        },
        "batch_size": 128,
    },
    "kin8nm": {
        "data": {"source": "csv", "path": "uci/kin8nm/data.csv", "target": "y"},
        "batch_size": 128,
    },
    "california": {
        "data": {
            "source": "csv",
            "path": "tabular/california.csv",
            "target": "MedHouseVal",
            "split": {"column": "part"},
            "scaling": "quantile",
        },
        "batch_size": 256,
    },
}


@dataclass(frozen=True)
class Found:
    """What one search had found at some moment.

    Attributes:
        networks: trained through all their epochs.
        best: validation loss of their best epochs; infinite where there is no network yet.
        begun: networks that were begun.
    """

    networks: int
    best: float
    begun: int


def write(case: str, data: Path, folder: Path) -> Path:
    """The open config of a case, as a file."""
    config: dict[str, Any] = {**yamlfile.read(SPACE).value, **CASES[case], "name": case}
    config.pop("search")
    if "path" in config["data"]:
        config["data"] = config["data"] | {"path": str(data / config["data"]["path"])}
    path = folder / f"{case}.yaml"
    path.write_text(yamlfile.dump(config))
    return path


def search(path: Path, seconds: float, seed: int, overrides: Sequence[str] = ()) -> Found:
    """`nnarch search` of an open config, whose clock starts when the data is read."""
    words = [f"search.seconds={seconds}", f"search.seed={seed}", f"seed={seed}", "search.keep=0"]
    command = [sys.executable, "-m", "nnarch", "search", str(path), *words, *overrides]
    with tempfile.TemporaryDirectory() as runs:
        command += ["--quiet", "--json", "--runs-dir", runs]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    results = json.loads(done.stdout)["results"]
    counts = {**results["trials"], "refused": 0}
    best = results["best"].get("val_loss", math.inf)
    return Found(counts.get("finished", 0), best, sum(counts.values()))


class PlainLoop:
    """Optuna's objective as a user writes it: a network, its batches, AdamW, the best epoch kept.

    The space is nnarch's, walked by a trial's suggestions.
    """

    def __init__(self, path: Path):
        from torch.nn import functional as F

        from nnarch import experiment

        opened = exploration.load(str(path))
        ready = experiment.prepare(opened.config(opened.space.by_default()[0]))
        self._space, self._epochs = opened.space, ready.config.epochs
        self._batch, self._outputs = ready.settings.batch_size, ready.loss.outputs
        parts = [next(iter(ready.rows[part].in_order(2**30))) for part in ("train", "val")]
        self._train, self._val = [(part.inputs.contiguous(), part.target) for part in parts]
        self._scale = float(ready.dataset.preprocess.target.scale) ** 2  # of an mse, in its units
        self._loss = {
            "regression": F.mse_loss,
            "binary": lambda made, target: F.binary_cross_entropy_with_logits(
                made.squeeze(1), target.float()
            ),
            "multiclass": F.cross_entropy,
        }[ready.task.kind]
        ours = ready.evaluate("val").loss
        theirs = self._validate(ready.training.network)
        assert math.isclose(ours, theirs, rel_tol=1e-4), "both sides measure the same"

    def __call__(self, trial: "optuna.Trial") -> float:
        """Train a network; its least validation loss, or nan where training diverges."""
        import torch

        config, _ = self._space.walk(partial(suggested, trial))
        network, of_optimizer = self._network(config["model"]), config["optimizer"]
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=of_optimizer["lr"], weight_decay=of_optimizer["weight_decay"]
        )
        losses = []
        for _ in range(self._epochs):
            self._epoch(network, optimizer)
            losses.append(self._validate(network))
        return min(losses) if all(map(math.isfinite, losses)) else math.nan

    def _network(self, model: dict[str, Any]) -> "nn.Module":
        from torch import nn

        kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}
        shape, layers = [self._train[0].shape[1], *model["widths"]], []
        for inputs, outputs in pairwise(shape):
            layers += [nn.Linear(inputs, outputs), kinds[model["activation"]]()]
            layers += [nn.Dropout(model["dropout"])] if model["dropout"] else []
        return nn.Sequential(*layers, nn.Linear(shape[-1], self._outputs))

    def _epoch(self, network: "nn.Module", optimizer: "torch.optim.Optimizer") -> None:
        import torch

        network.train()
        inputs, target = self._train
        for batch in torch.randperm(len(inputs)).split(self._batch):
            loss: Tensor = self._loss(network(inputs[batch]), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def _validate(self, network: "nn.Module") -> float:
        import torch

        network.eval()
        inputs, target = self._val
        with torch.no_grad():
            return self._loss(network(inputs), target).item() * self._scale


def suggested(trial: "optuna.Trial", variable: Variable) -> Any:
    """The value of a variable that Optuna suggests; numbers to choose among are put in order."""
    domain = variable.domain
    if not isinstance(domain, Choice):
        suggest = {"Int": trial.suggest_int, "Float": trial.suggest_float}[type(domain).__name__]
        return suggest(variable.key, domain.low, domain.high, log=domain.log)
    if domain.ordered:
        return trial.suggest_int(variable.key, 0, len(domain.options) - 1)
    return domain.options.index(trial.suggest_categorical(variable.key, domain.options))


def optuna_itself(path: Path, seconds: float, seed: int) -> list[Found]:
    """What Optuna has found after `seconds`, and after ten times as many."""
    import optuna
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    objective = PlainLoop(path)
    warm = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    warm.optimize(objective, n_trials=1)  # it imports what AdamW needs
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    ended: list[float] = []
    began = time.monotonic()
    study.optimize(
        objective,
        timeout=LONGER * seconds,
        callbacks=[lambda _study, _trial: ended.append(time.monotonic() - began)],
    )
    marks = []
    for limit in (seconds, LONGER * seconds):
        count = sum(moment <= limit for moment in ended)
        values = [trial.value for trial in study.trials[:count] if trial.value is not None]
        marks.append(Found(len(values), min(values, default=math.inf), count + 1))
    return marks


def row(case: str, ours: Sequence[Found], theirs: Sequence[Sequence[Found]]) -> list[str]:
    """A line of the table: of each side its networks and best losses, and how often ours won."""
    sides = [ours, *zip(*theirs, strict=True)]
    cells = [f"{median(found.networks for found in side):.0f}" for side in sides]
    cells[0] += f" of {median(found.begun for found in ours):.0f}"
    cells += [spread([found.best for found in side]) for side in sides]
    for side in sides[1:]:
        pairs = [(our.best, their.best) for our, their in zip(ours, side, strict=True)]
        won = sum(our <= their and our < math.inf for our, their in pairs)
        cells.append(f"{won} of {len(ours)}")
    return [case, *cells]


def spread(values: Sequence[float]) -> str:
    """The median, and from where to where.

    >>> spread([0.0123456, 0.5, 0.02])
    '0.02000 (0.01235 to 0.5000)'
    """
    middle, low, high = (f"{each:#.4g}" for each in (median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def main() -> None:
    parser = argparse.ArgumentParser(description="Same wall time, better networks.")
    parser.add_argument("--data", type=Path, help="folder of the data sets; digits needs none")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seconds", type=float, default=12.0, help="of a search (12)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sampler", help="of nnarch; its default for a search unless given")
    parser.add_argument("--pruner", help="of nnarch; none unless given")
    parser.add_argument("--trials", type=int, help="that nnarch plans; its default unless given")
    parser.add_argument("--processes", type=int, default=2, help="runs of Optuna at a time (2)")
    given = parser.parse_args()
    if given.data is None and given.cases != ["digits"]:
        parser.error("--data is needed for all cases but digits")
    fix_threads(1)
    chosen = {key: getattr(given, key) for key in ("sampler", "pruner", "trials")}
    overrides = [f"search.{key}={value}" for key, value in chosen.items() if value is not None]
    rows, seeds = [], range(given.seeds)
    with tempfile.TemporaryDirectory() as folder:
        for case in given.cases:
            print(f"{case} ...", file=sys.stderr, flush=True)
            path = write(case, (given.data or Path()).resolve(), Path(folder))
            ours = [search(path, given.seconds, seed, overrides) for seed in seeds]
            with ProcessPoolExecutor(given.processes, mp_context=PROCESSES) as pool:
                play = partial(optuna_itself, path, given.seconds)
                theirs = list(pool.map(play, seeds))
            rows.append(row(case, ours, theirs))
            for seed, *founds in zip(seeds, ours, *zip(*theirs, strict=True), strict=True):
                told = ", ".join(f"{found.best:#.4g} ({found.networks})" for found in founds)
                print(f"  seed {seed}: {told}", file=sys.stderr, flush=True)
    short, long = f"{given.seconds:g} s", f"{LONGER * given.seconds:g} s"
    columns = [f"nnarch, {short}", f"Optuna, {short}", f"Optuna, {long}"]
    head = ["case", *(f"networks: {each}" for each in columns), *(f"loss: {c}" for c in columns)]
    head += [f"as good as in {short}", f"as good as in {long}"]
    told = f"; nnarch with {' '.join(overrides)}" if overrides else ""
    print(f"Least validation loss, median of {given.seeds} seeds (least to most){told}:\n")
    print(table(head, rows))
    print(f"\n{os.cpu_count()} cores for nnarch, one for each run of Optuna; {machine()}")


if __name__ == "__main__":
    main()
