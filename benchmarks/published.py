"""Published results, reached again from YAML alone: means over seeds beside the papers' figures.

    python benchmarks/published.py DATA [CASE...] [--seeds 3]

DATA is a folder with the data sets as they are passed around: `tabular/california.csv` and
`churn.csv` (Gorishniy et al., 2022), `uci/NAME` (Gal & Ghahramani, 2016), `mnist/*.gz`,
`series/ETTh2.csv`, `series/GunPoint` and `ItalyPowerDemand` (the UCR archive), `text/names.txt`.
CASE is the beginning of a case's name; all of them take hours on one core. Each config stands in
`published/`; what is below only says what goes through it.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

import polars

import nnarch
from nnarch import yamlfile

HERE = Path(__file__).parent / "published"


@dataclass(frozen=True)
class Case:
    """One published figure, and the config and changes that lead to it."""

    name: str
    config: str
    metric: str
    published: float
    spread: float | None = None  # a standard deviation, where one is given
    changes: tuple[str, ...] = ()
    made: str | None = None  # a data set that has to be brought into one file with a part column
    splits: int = 1


UCI = {  # name: published, standard error, rows that train, tau, hidden, splits that are run
    "bostonHousing": (2.979, 0.188, 455, 0.1597, 20),
    "wine-quality-red": (0.620, 0.009, 1439, 2.9583, 20),
    "kin8nm": (0.0944, 0.0006, 7373, 192.48, 5),
}
DROPOUT, LENGTHSCALE = 0.05, 1e-2
MNIST = {
    "relu 100": 0.972, "relu 100,10": 0.972, "tanh 100": 0.962, "tanh 100,10": 0.957,
    "relu 10,10": 0.936, "relu 10": 0.933, "tanh 10,10": 0.921, "tanh 10": 0.921,
}  # fmt: skip
SERIES = {"GunPoint": (0.927, 1.0), "ItalyPowerDemand": (0.954, 0.961)}


def cases() -> Iterator[Case]:
    yield Case("california mlp", "california_mlp", "rmse", 0.4947, 0.0044)
    yield Case("california plr", "california_plr", "rmse", 0.4665, 0.0060)
    yield Case("california resnet", "california_resnet", "rmse", 0.4901, 0.0051)
    yield Case("churn mlp", "churn_mlp", "accuracy", 0.8555, 0.0029)
    for name, (published, error, rows, tau, splits) in UCI.items():
        decay = LENGTHSCALE**2 * (1 - DROPOUT) / (2 * rows * tau)  # of the squares: twice in a step
        yield Case(f"uci {name}", "uci", "rmse", published, error * 20**0.5,
                   (f"optimizer.weight_decay={2 * decay}",), f"uci/{name}", splits)  # fmt: skip
    for shape, published in MNIST.items():
        activation, widths = shape.split()
        changes = (f"model.activation={activation}", f"model.widths=[{widths}]")
        yield Case(f"mnist {shape}", "mnist_mlp", "accuracy", published, changes=changes)
    yield Case("mnist cnn", "mnist_cnn", "accuracy", 0.992)
    for name, (mlp, fcn) in SERIES.items():
        batch = {"GunPoint": 5, "ItalyPowerDemand": 6}[name]
        for kind, published in (("mlp", mlp), ("fcn", fcn)):
            yield Case(f"{name} {kind}", f"series_{kind}", "accuracy", published,
                       changes=(f"batch_size={batch}",), made=f"series/{name}")  # fmt: skip
    yield Case("etth2 nlinear mse", "etth2_nlinear", "scaled_mse", 0.277)
    yield Case("etth2 nlinear mae", "etth2_nlinear", "scaled_mae", 0.338)
    yield Case("names gpt", "names_gpt", "loss", 1.92)


@dataclass
class Bench:
    """Runs cases on the data sets in a folder."""

    data: Path
    scratch: Path
    seeds: int
    done: dict[tuple[str, ...], list[dict[str, float]]] = field(default_factory=dict)

    def run(self, case: Case) -> None:
        began = time.monotonic()
        key = (case.config, case.made or "", *case.changes)
        if key not in self.done:
            self.done[key] = list(self._results(case))
        values = [figures[case.metric] for figures in self.done[key]]
        spread = stdev(values) if len(values) > 1 else 0.0
        given = f"{case.published:.4f}" + (f" ± {case.spread:.4f}" if case.spread else "")
        print(
            f"{case.name:24} {case.metric:10} {fmean(values):.4f} ± {spread:.4f} ({len(values)})"
            f"   published {given}   {time.monotonic() - began:.0f} s",
            flush=True,
        )

    def _results(self, case: Case) -> Iterator[dict[str, float]]:
        for split in range(case.splits):
            path = self._file(case, split)
            # of many splits, each is run once
            for seed in range(self.seeds if case.splits == 1 else 1):
                changes = [*case.changes, f"seed={seed + split}", *path]
                config = HERE / f"{case.config}.yaml"
                run = nnarch.train(config, *changes, runs_dir=self.scratch / "runs")
                yield run.about["results"]["test"]

    def _file(self, case: Case, split: int) -> list[str]:
        """Overrides that say where the data of a case is."""
        if case.made is None:
            told = yamlfile.read(HERE / f"{case.config}.yaml").value["data"]["path"]
            return [f"data.path={self.data / told}"]
        folder, file = self.data / case.made, self.scratch / f"{case.made.replace('/', '-')}.csv"
        if case.made.startswith("uci"):
            rows = polars.read_csv(folder / "data.csv")
            train, test = (rows[self._numbers(folder, one, split)] for one in ("train", "test"))
        else:
            train, test = (polars.read_csv(folder / f"{one}.csv") for one in ("train", "test"))
        # no row validates: nothing is chosen by them, so test rows may stand in for them
        parts = [(train, "train"), (test, "val"), (test, "test")]
        marked = [frame.with_columns(polars.lit(name).alias("part")) for frame, name in parts]
        polars.concat(marked).write_csv(file)
        return [f"data.path={file}", f"data.target={train.columns[-1]}"]

    def _numbers(self, folder: Path, part: str, split: int) -> list[int]:
        text = (folder / "splits" / f"index_{part}_{split}.txt").read_text()
        return [int(float(word)) for word in text.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Published results, reached again.")
    parser.add_argument("data", type=Path)
    parser.add_argument("case", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given.data.resolve(), Path(scratch), given.seeds)
        for case in cases():
            if not given.case or any(case.name.startswith(name) for name in given.case):
                bench.run(case)


if __name__ == "__main__":
    main()
