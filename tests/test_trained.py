"""Trained networks: opened from their directory alone, and only if everything fits together."""

import hashlib
import json
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch
from torch import Tensor

import nnarch
from nnarch import trained
from nnarch.errors import ConfigError, DataError, NnarchError, RunError
from nnarch.rundir import RunDir

Meta = dict[str, Any]


def frame(rows: int = 90) -> pl.DataFrame:
    chance = np.random.default_rng(0)
    x = chance.normal(size=(rows, 2)) * [10, 0.1] + [2000, 5]
    y = 1e5 + 300 * (x[:, 0] - 2000) + 2e4 * (x[:, 1] - 5)
    grade = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    words = np.array(["low", "middle", "high"])[grade]
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": y, "word": words, "grade": grade * 1.0})


TARGETS = {"regression": "y", "words": "word", "grades": "grade"}
FEATURES = ["a", "b"]


def train(home: Path, target: str, **config: Any) -> RunDir:
    """A run on `home`/data.csv, of the features and `target` alone."""
    frame().select(*FEATURES, target).write_csv(home / "data.csv")
    return nnarch.train(
        {
            "data": {"source": "csv", "path": str(home / "data.csv"), "target": target},
            "model": {"widths": [6], "normalization": "batch"},
            "epochs": 4,
            "threads": 1,
            **config,
        },
        runs_dir=home / "runs",
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    homes = {kind: tmp_path_factory.mktemp(kind) for kind in TARGETS}
    return {kind: train(homes[kind], target) for kind, target in TARGETS.items()}


@pytest.fixture
def copy(runs: dict[str, RunDir], tmp_path: Path) -> RunDir:
    """A copy of the run of words, to be spoilt."""
    shutil.copytree(runs["words"].path, tmp_path / "copy")
    return RunDir(tmp_path / "copy")


def seal(run: RunDir, which: str = "best") -> None:
    """Write the manifest anew, as somebody would who edits a checkpoint on purpose."""
    directory = run.path / "checkpoints" / which
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.name != "manifest.json"
    }
    (directory / "manifest.json").write_text(json.dumps({"format": 1, "sha256": sums}))


def edit_tensors(run: RunDir, change: Callable[[dict[str, Tensor]], object]) -> None:
    path = run.path / "checkpoints" / "best" / "model.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors)
    path.write_bytes(safetensors.torch.save(tensors))
    seal(run)


def edit_meta(run: RunDir, change: Callable[[Meta], object]) -> None:
    path = run.path / "checkpoints" / "best" / "meta.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    seal(run)


def edit_about(run: RunDir, change: Callable[[Meta], object]) -> None:
    path = run.path / "run.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


def setting(*keys: str | int, to: Any) -> Callable[[Any], object]:
    """An edit of the value at `keys`."""

    def change(value: Any) -> None:
        for key in keys[:-1]:
            value = value[key]
        value[keys[-1]] = to

    return change


# evaluating


@pytest.mark.parametrize("kind", TARGETS)
def test_evaluation_gives_exactly_the_figures_of_the_run(kind: str, runs: dict[str, RunDir]):
    run = runs[kind]
    results = run.about["results"]
    assert nnarch.evaluate(run) == results["test"]
    validation = nnarch.evaluate(run, "val")
    assert {f"val_{name}": value for name, value in validation.items()} == {
        name: value for name, value in results["best"].items() if name != "train_loss"
    }


def test_figures_do_not_depend_on_the_threads_of_the_one_who_evaluates(tmp_path: Path):
    """Threads add up many numbers in another order, which the last digit shows."""
    shares = {"train": 0.1, "val": 0.1, "test": 0.8}
    data = {"source": "synthetic", "rows": 60_000, "features": 5, "split": shares}
    run = train(tmp_path, "y", data=data, epochs=1, batch_size=1000)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert nnarch.evaluate(run) == run.about["results"]["test"]
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", TARGETS)
def test_figures_are_what_one_computes_from_the_predictions(kind: str, runs: dict[str, RunDir]):
    run, target = runs[kind], TARGETS[kind]
    whole = run.path.parent.parent / "data.csv"
    predicted = nnarch.load(run).predict(frame())
    measured = nnarch.evaluate(run, data=whole)
    if kind == "regression":
        error = predicted - frame()[target].to_numpy()
        assert measured["loss"] == pytest.approx((error**2).mean(), rel=1e-5)
        assert measured["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    else:
        truth = frame()[target].cast(pl.Int64, strict=False).cast(pl.String)
        words = frame()[target] if kind == "words" else truth
        assert measured["accuracy"] == (predicted == words.to_numpy()).mean()


def test_more_metrics_than_the_run_was_trained_with(runs: dict[str, RunDir]):
    measured = nnarch.evaluate(runs["words"], metrics=["f1", "accuracy"])
    assert list(measured) == ["loss", "accuracy", "f1"]
    for wrong, said in (
        ("rmse", "rmse does not fit a task of multiclass; expected one of accuracy, "),
        ("recal", "no metric is called 'recal'; did you mean 'recall'"),
    ):
        with pytest.raises(ConfigError, match=said):
            nnarch.evaluate(runs["words"], metrics=[wrong])


def test_another_file_may_hold_its_columns_in_any_order(runs: dict[str, RunDir], tmp_path: Path):
    whole = nnarch.evaluate(runs["regression"], data=runs["regression"].path / "../../data.csv")
    frame().select("word", "y", "b", "grade", "a").write_csv(tmp_path / "other.csv")
    assert nnarch.evaluate(runs["regression"], data=tmp_path / "other.csv") == whole


def test_a_class_may_be_written_as_3_or_as_3_0(runs: dict[str, RunDir], tmp_path: Path):
    texts = []
    for text in ("0", "0.0", "0e0"):
        rows = frame().select(*FEATURES, grade=pl.lit(text))
        rows.write_csv(tmp_path / "other.csv")
        texts.append(nnarch.evaluate(runs["grades"], data=tmp_path / "other.csv"))
    assert texts[0] == texts[1] == texts[2]


OTHER_FILES = {
    "no target": ("a,b\n1,2\n", "no column 'word'; known: a, b"),
    "no feature": ("a,word\n1,low\n", "no column 'b'"),
    "a class that was never seen": ("a,b,word\n1,2,huge\n", "not trained on the class 'huge'"),
    "a word in a feature": ("a,b,word\n1,x,low\n", "column 'b' holds 'x'; expected a number"),
    "a gap in the target": ("a,b,word\n1,1,low\n2,2,\n", "1 of 2 rows lack word"),
    "no rows": ("a,b,word\n", "no rows"),
}


@pytest.mark.parametrize(("text", "said"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_a_file_that_does_not_fit_is_refused(
    text: str, said: str, runs: dict[str, RunDir], tmp_path: Path
):
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(DataError) as refused:
        nnarch.evaluate(runs["words"], data=tmp_path / "other.csv")
    assert said in refused.value.lines[0]
    assert str(tmp_path / "other.csv") in refused.value.lines[0] or "class" in said


def test_a_regression_refuses_words_as_its_target(runs: dict[str, RunDir], tmp_path: Path):
    frame().select(*FEATURES, y="word").write_csv(tmp_path / "other.csv")
    with pytest.raises(DataError, match="line 2, column 'y'"):
        nnarch.evaluate(runs["regression"], data=tmp_path / "other.csv")


CHANGES: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a digit": lambda rows: rows.with_columns(a=pl.col("a").round(9)),
    "a row less": lambda rows: rows.head(-1),
    "another order": lambda rows: rows.sort("a"),
    "a column more": lambda rows: rows.with_columns(c=pl.col("a") * 2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_data_that_has_changed_is_refused_with_the_cure(
    change: Callable[[pl.DataFrame], pl.DataFrame], tmp_path: Path
):
    run = train(tmp_path, "y", epochs=1)
    changed = change(frame().select(*FEATURES, "y"))
    changed.write_csv(tmp_path / "data.csv")
    with pytest.raises(DataError) as refused:
        nnarch.evaluate(run)
    assert "the data has changed since the run was trained on it" in refused.value.lines[0]
    assert "--data with a file to measure" in refused.value.lines[0]
    assert nnarch.evaluate(run, data=tmp_path / "data.csv")["loss"] > 0


def test_data_that_is_gone_is_named(tmp_path: Path):
    run = train(tmp_path, "y", epochs=1)
    (tmp_path / "data.csv").unlink()
    with pytest.raises(DataError, match=r"data\.csv: no such file"):
        nnarch.evaluate(run)


# what a directory may not say


def ones(size: int) -> Tensor:
    return torch.ones(size, dtype=torch.float64)


def numbers_of(columns: int) -> dict[str, Tensor]:
    """What is kept of so many columns of numbers."""
    parts = ("fill", "scaling.mean", "scaling.scale")
    return {f"preprocess.inputs.numbers.{part}": ones(columns) for part in parts}


TENSORS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "a weight missing": lambda tensors: tensors.pop("network.0.weight"),
    "a statistic missing": lambda tensors: tensors.pop("network.1.running_var"),
    "all weights missing": lambda tensors: [
        tensors.pop(name) for name in list(tensors) if name.startswith("network.")
    ],
    "a mean missing": lambda tensors: tensors.pop("preprocess.inputs.numbers.scaling.mean"),
    "what fills gaps missing": lambda tensors: tensors.pop("preprocess.inputs.numbers.fill"),
    "a weight too many": setting("network.9.weight", to=torch.zeros(3)),
    "a scale too many": setting("preprocess.other.scale", to=torch.zeros(3)),
    "a weight of another shape": setting("network.0.weight", to=torch.zeros(2, 6)),
    "a weight with more rows": setting("network.0.weight", to=torch.zeros(7, 2)),
    "a mean of one column": setting(
        "preprocess.inputs.numbers.scaling.mean", to=torch.zeros(1, dtype=torch.float64)
    ),
    "scaling of one column": lambda tensors: tensors.update(numbers_of(1)),
    "scaling of three columns": lambda tensors: tensors.update(numbers_of(3)),
    "scaling of two targets": lambda tensors: tensors.update(
        {f"preprocess.target.scaling.{of}": ones(2) for of in ("mean", "scale")}
    ),
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
def test_tensors_that_do_not_fit_the_model_are_refused(
    change: Callable[[dict[str, Tensor]], object], copy: RunDir
):
    edit_tensors(copy, change)
    with pytest.raises(RunError, match="its best checkpoint does not fit together"):
        nnarch.load(copy)


FEATURE = {"name": "c", "kind": "numeric", "words": [], "gaps": False, "rare": False, "cycles": []}


def inputs(*keys: str | int, to: Any) -> Callable[[Meta], object]:
    """An edit of what the inputs' preprocessing is said to be."""
    return setting("preprocess", "inputs", *keys, to=to)


def features(*given: Meta) -> Callable[[Meta], object]:
    """An edit of the features to others."""
    return inputs("features", to=[{**FEATURE, **one} for one in given])


def scaled_by_quantiles(count: Any) -> Callable[[Meta], object]:
    def change(meta: Meta) -> None:
        meta["preprocess"]["inputs"] |= {"scaling": "quantile", "quantiles": count}

    return change


META: dict[str, Callable[[Meta], object]] = {
    "no task": lambda meta: meta.pop("task"),
    "no config": lambda meta: meta.pop("config"),
    "a config of text": setting("config", to="model: mlp"),
    "a task of text": setting("task", to="multiclass"),
    "no metrics": lambda meta: meta["config"].pop("metrics"),
    "an unknown model": setting("config", "model", "name", to="transformer9"),
    "a model by its place": setting("config", "model", "name", to="os.system"),
    "a model of a list": setting("config", "model", to=["mlp"]),
    "an unknown option": setting("config", "model", "hidden", to=3),
    "an unknown activation": setting("config", "model", "activation", to={"name": "os.system"}),
    "an unknown initialization": setting("config", "model", "initialization", to="builtins.eval"),
    "an unknown loss": setting("config", "loss", "name", to="subprocess.run"),
    "an option of a loss": setting("config", "loss", "label_smoothing", to=7),
    "a loss of another width": setting("config", "loss", to={"name": "bce_with_logits"}),
    "an unknown metric": setting("config", "metrics", to=[{"name": "os.system"}]),
    "a metric of another task": setting("config", "metrics", to=["rmse"]),
    "a loss of another task": setting("config", "loss", to={"name": "mse"}),
    "metrics of a number": setting("config", "metrics", to=3),
    "other widths": setting("config", "model", "widths", to=[7]),
    "one layer more": setting("config", "model", "widths", to=[6, 6]),
    "no layers": setting("config", "model", "widths", to=[]),
    "another normalization": setting("config", "model", "normalization", to="layer"),
    "no bias": setting("config", "model", "bias", to=False),
    "a network of 4 TB": setting("config", "model", "widths", to=[10**6, 10**6]),
    "a network beyond counting": setting("config", "model", "widths", to=[10**9] * 3),
    "a class less": setting("task", "classes", to=["high", "low"]),
    "a target more": setting("task", "targets", to=["word", "y"]),
    "no target": setting("task", "targets", to=[]),
    "an unknown kind of task": setting("task", "kind", to="ranking"),
    "no preprocessing": lambda meta: meta.pop("preprocess"),
    "preprocessing of a number": setting("preprocess", to=7),
    "preprocessing of inputs alone": lambda meta: meta["preprocess"].pop("target"),
    "preprocessing of the target alone": lambda meta: meta["preprocess"].pop("inputs"),
    "inputs of a number": setting("preprocess", "inputs", to=7),
    "inputs of no kind": lambda meta: meta["preprocess"]["inputs"].pop("kind"),
    "inputs of an unknown kind": inputs("kind", to="os.system"),
    "inputs of a kind that is no word": inputs("kind", to=["table"]),
    "an option of inputs more": inputs("path", to="/etc/passwd"),
    "an option of inputs less": lambda meta: meta["preprocess"]["inputs"].pop("missing"),
    "an unknown scaling": inputs("scaling", to="eval"),
    "another scaling": inputs("scaling", to="robust"),
    "no features": inputs("features", to=[]),
    "features of a number": inputs("features", to=7),
    "features of words": inputs("features", to=["a", "b"]),
    "a feature less": features({"name": "a"}),
    "a feature more": features({"name": "a"}, {"name": "b"}, {}),
    "a feature twice": features({"name": "a"}, {"name": "a"}),
    "a feature of another kind": features({"name": "a"}, {"name": "b", "kind": "boolean"}),
    "a feature of no kind": features({"name": "a"}, {"name": "b", "kind": "function"}),
    "a feature of gaps": features({"name": "a"}, {"name": "b", "gaps": True}),
    "a feature of unknown cycles": features(
        {"name": "a"}, {"name": "b", "kind": "datetime", "cycles": ["eclipse"]}
    ),
    "many features": features(*({"name": str(i)} for i in range(10_000))),
    "many words": features(
        {"name": "a"}, {"kind": "categorical", "words": [str(i) for i in range(10_000)]}
    ),
    "quantiles of nothing": scaled_by_quantiles(0),
    "a negative number of quantiles": scaled_by_quantiles(-5),
    "quantiles beyond counting": scaled_by_quantiles(10**30),
    "quantiles of words": scaled_by_quantiles("many"),
    "other inputs": setting("preprocess", "inputs", to={"kind": "array", "shape": [3]}),
    **{
        f"{kind} of {size}": setting("preprocess", "inputs", to=spec)
        for size in (-2, 0, 10**6, 10**12, 10**30, "two", [], None, 2.5)
        for kind, spec in {
            "an array": {"kind": "array", "shape": [size]},
            "a large array": {"kind": "array", "shape": [size] * 8},
            "a shape": {"kind": "array", "shape": size},
            "tokens": {"kind": "tokens", "tokens": ["a", "b"], "length": size},
            "series": {
                "kind": "series",
                "names": ["a"],
                "length": size,
                "scaling": "standard",
                "quantiles": 2,
            },
        }.items()
    },
    **{
        f"targets of {size}": setting("preprocess", "target", "targets", to=size)
        for size in (-2, 0, 2, 10**6, 10**12, 10**30, "one", [], None, 1.5)
    },
    "an unknown transform": setting("preprocess", "target", "transform", to="exec"),
}


def peak() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )


@pytest.mark.parametrize("change", META.values(), ids=META)
def test_a_description_that_does_not_fit_is_refused(change: Callable[[Meta], object], copy: RunDir):
    """Nor is it, before it is refused, given the memory that it asks for."""
    edit_meta(copy, change)
    before = peak()
    for opening in (nnarch.load, nnarch.evaluate):
        with pytest.raises(RunError) as refused:
            opening(copy)
        assert refused.value.exit_code == 5
        assert "its best checkpoint does not fit together" in refused.value.lines[0]
        assert len(refused.value.lines) == 1
    assert peak() - before < 300


@pytest.mark.parametrize("text", ["{}", "[]", "null", "7", '"meta"'])
def test_a_description_that_is_no_mapping_is_refused(text: str, copy: RunDir):
    (copy.path / "checkpoints" / "best" / "meta.json").write_text(text)
    seal(copy)
    with pytest.raises(RunError):
        nnarch.load(copy)


def test_an_edit_without_a_new_manifest_is_damage(copy: RunDir):
    path = copy.path / "checkpoints" / "best" / "meta.json"
    path.write_text(path.read_text().replace('"low"', '"LOW"'))
    with pytest.raises(RunError, match="damaged: its SHA-256 is not the one"):
        nnarch.load(copy)


ABOUT: dict[str, Callable[[Meta], object]] = {
    "plugins of text": setting("plugins", to="mine.py"),
    "plugins of numbers": setting("plugins", to=[1]),
    "plugins without names": setting("plugins", to=[{}]),
    "no plugins": lambda about: about.pop("plugins"),
}


@pytest.mark.parametrize("change", ABOUT.values(), ids=ABOUT)
def test_a_run_json_that_says_nothing_sensible_of_plugins_is_refused(
    change: Callable[[Meta], object], copy: RunDir
):
    edit_about(copy, change)
    with pytest.raises(RunError):
        nnarch.load(copy)


def test_a_plugin_that_is_not_named_again_is_asked_for_and_never_run(copy: RunDir, tmp_path: Path):
    canary = tmp_path / "canary"
    source = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
    (copy.path / "plugins").mkdir()
    (copy.path / "plugins" / "mine.py").write_text(source)
    sha256 = hashlib.sha256(source.encode()).hexdigest()
    edit_about(copy, setting("plugins", to=[{"path": "/home/a/mine.py", "sha256": sha256}]))
    with pytest.raises(RunError, match=r"made with the plugin mine\.py; expected --plugin"):
        nnarch.load(copy)
    assert not canary.exists()


def test_a_run_json_without_what_evaluation_needs_is_damaged(copy: RunDir):
    edit_about(copy, lambda about: about.pop("threads"))
    with pytest.raises(RunError, match=r"damaged: run\.json does not say"):
        nnarch.evaluate(copy)


@pytest.mark.parametrize("threads", [0, -5, 10**9, "many"])
def test_an_odd_number_of_threads_does_no_harm(threads: Any, copy: RunDir):
    figures = nnarch.evaluate(copy)
    edit_about(copy, setting("threads", to=threads))
    assert nnarch.evaluate(copy) == pytest.approx(figures)


@pytest.mark.parametrize("text", ["data: [", "epochs: 3\n", "data: {source: os.system}\n", "\0"])
def test_a_config_that_is_damaged_is_a_fault_of_the_run(text: str, copy: RunDir):
    copy.config.write_text(text)
    with pytest.raises(RunError) as refused:
        nnarch.evaluate(copy)
    assert refused.value.exit_code == 5
    nnarch.load(copy)  # which does not need it


def test_a_config_that_is_missing_is_a_fault_of_the_run(copy: RunDir):
    copy.config.unlink()
    with pytest.raises(RunError, match=r"resolved\.yaml"):
        nnarch.evaluate(copy)


def test_an_empty_directory_and_a_missing_one_are_refused(tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NnarchError) as refused:
            nnarch.load(path)
        assert refused.value.exit_code == 5


# opening


def test_loading_neither_uses_nor_disturbs_random_numbers(runs: dict[str, RunDir]):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    nnarch.load(runs["words"])
    nnarch.evaluate(runs["words"])
    assert torch.equal(torch.rand(3), expected)


def test_the_last_epoch_s_network_can_be_opened_too(tmp_path: Path):
    run = train(tmp_path, "word", optimizer={"name": "sgd", "lr": 3}, epochs=6)
    assert run.about["results"]["best_epoch"] < 6
    first = {}
    for which in ("best", "last"):
        saved = run.load_checkpoint(which).tensors
        weights = trained.load(run, which).network.state_dict()
        assert all(torch.equal(weights[name], saved[f"network.{name}"]) for name in weights)
        first[which] = weights["0.weight"]
    assert not torch.equal(first["best"], first["last"])


def test_weights_keep_the_precision_they_were_trained_in(tmp_path: Path):
    run = train(tmp_path, "y", precision="float64", epochs=1)
    predictor = nnarch.load(run)
    assert predictor.network.state_dict()["0.weight"].dtype == torch.float64
    assert nnarch.evaluate(run) == run.about["results"]["test"]
