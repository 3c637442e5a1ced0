"""How soon each sampler finds good points, on grids whose every point has been measured.

    python benchmarks/samplers.py --data DIR [--seeds 50] [--samplers gp tpe] [--batches 1 16]

DIR holds `svm_on_grid.csv`, `lda_on_grid.csv` and `logreg_on_grid.csv` of HPOlib: the validation
result of each point of a grid, so that a strategy can be judged by itself, in seconds. A figure is
the best result after so many points, mean over seeds. Beside the samplers stand Optuna's TPE
without anything of nnarch between, one point at a time, and what random search comes to, exactly.
"""

import argparse
import csv
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from math import comb
from pathlib import Path

import numpy as np
from tables import machine, table

from nnarch.registry import samplers
from nnarch.space.space import Space

AFTER = (20, 50, 100)  # points
FORMATS = {"svm": "{:.5f}", "lda": "{:.2f}", "logreg": "{:.5f}"}


@dataclass(frozen=True)
class Grid:
    """What was measured: results by the values of the variables."""

    options: dict[str, list[float]]
    results: dict[tuple[float, ...], float]

    def space(self) -> Space:
        return Space({name: {"choice": values} for name, values in self.options.items()})


@cache
def grid(name: str, folder: Path) -> Grid:
    """A file of HPOlib; of a point that stands there twice, the last; of epochs, the most."""
    with (folder / f"{name}_on_grid.csv").open() as file:
        lines = list(csv.DictReader(file))
    if "n_epochs" in lines[0]:
        most = max(float(line["n_epochs"]) for line in lines)
        lines = [line for line in lines if float(line["n_epochs"]) == most]
    variables = list(lines[0])[:3]
    result = next(key for key in ("error", "perplexity", "valid_error") if key in lines[0])
    options = {key: sorted({float(line[key]) for line in lines}) for key in variables}
    places = {tuple(float(line[key]) for key in variables): float(line[result]) for line in lines}
    return Grid(options, places)


def play(of: str, folder: Path, sampler: str, batch: int, seed: int) -> list[float]:
    """The result of each point that a sampler asks for, `batch` at a time."""
    played = grid(of, folder)
    space = played.space()
    one = samplers.build({"name": sampler}, space, 1, seed)
    results: list[float] = []
    while len(results) < max(AFTER):
        for point in one.ask(batch):
            results.append(played.results[tuple(space.tree(point).values())])
            one.tell(point, [results[-1]])
    return results


def optuna_itself(of: str, folder: Path, batch: int, seed: int) -> list[float]:
    """The same of Optuna's TPE, which is told the places of values, in order."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    played = grid(of, folder)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    results: list[float] = []
    while len(results) < max(AFTER):
        trials = [study.ask() for _ in range(batch)]
        for trial in trials:
            point = tuple(
                values[trial.suggest_int(name, 0, len(values) - 1)]
                for name, values in played.options.items()
            )
            results.append(played.results[point])
        for trial, result in zip(trials, results[-batch:], strict=True):
            study.tell(trial, result)
    return results


def expected(results: Sequence[float], draws: int) -> tuple[float, float]:
    """Mean and deviation of the best of so many of `results` drawn without replacement, exactly.

    >>> expected([1.0, 2.0, 6.0], 1)[0], expected([1.0, 2.0, 6.0], 3)
    (3.0, (1.0, 0.0))
    """
    values = np.sort(np.array(results))
    ways = comb(len(values), draws)
    ranks = range(1, len(values) + 1)
    chances = np.array([comb(len(values) - rank, draws - 1) / ways for rank in ranks])
    mean = float(chances @ values)
    return mean, float(chances @ (values - mean) ** 2) ** 0.5


def bests(played: Sequence[Sequence[float]]) -> np.ndarray:
    """The best after 20, 50 and 100 points, (seeds, 3)."""
    so_far = np.minimum.accumulate(np.array([results[: max(AFTER)] for results in played]), axis=1)
    return so_far[:, [after - 1 for after in AFTER]]


def main() -> None:
    parser = argparse.ArgumentParser(description="How soon each sampler finds good points.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the grids")
    parser.add_argument("--grids", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--samplers", nargs="+", choices=samplers.names(), help="all but grid")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    names = given.samplers or [name for name in samplers.names() if name != "grid"]
    rows = [[f"{name}, {batch} at a time"] for name in names for batch in given.batches]
    rows += [["Optuna's TPE itself"], ["random search, exactly"]]
    sides: list[Callable[[str], Callable[[int], list[float]]]] = [
        lambda of, name=name, batch=batch: partial(play, of, given.data, name, batch)
        for name in names
        for batch in given.batches
    ]
    sides.append(lambda of: partial(optuna_itself, of, given.data, 1))
    apart = []
    with ProcessPoolExecutor(given.processes) as pool:
        for of in given.grids:
            results = list(grid(of, given.data).results.values())
            exact, deviations = np.array([expected(results, after) for after in AFTER]).T
            for row, side in zip(rows, [*sides, None], strict=True):
                seeds = range(given.seeds)
                played = list(pool.map(side(of), seeds, chunksize=5)) if side else None
                means = bests(played).mean(axis=0) if played else exact
                row += [FORMATS[of].format(mean) for mean in means]
                if row[0] == "random, 1 at a time":
                    errors = (means - exact) / (deviations / given.seeds**0.5)
                    apart.append(f"{of} " + ", ".join(f"{error:+.1f}" for error in errors))
    head = ["sampler", *(f"{of}, {after}" for of in given.grids for after in AFTER)]
    print(f"The best after 20, 50 and 100 points, mean of {given.seeds} seeds:\n")
    print(table(head, rows))
    if apart:
        print(f"\nRandom search against its expectation, in standard errors: {'; '.join(apart)}.")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
