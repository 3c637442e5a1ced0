"""Several runs kept as one: it answers with the mean of their answers, wherever it lies."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

import nnarch
from conftest import Command, error_lines
from nnarch import checkpoint, ensemble, experiment, trained
from nnarch import config as configs
from nnarch.averaged import Averaged, chosen, loss_of, outputs_of
from nnarch.data.preprocessing.target import Target
from nnarch.data.task import Task
from nnarch.errors import ConfigError, NnarchError, RunError, UsageError
from nnarch.metrics import Result
from nnarch.registry import losses
from nnarch.rundir import RunDir

ROWS = 120
TARGETS = {"regression": "y", "multiclass": "size"}


def frame() -> pl.DataFrame:
    chance = np.random.default_rng(0)
    x = chance.normal(size=(ROWS, 2)) * [10, 0.1] + [2000, 5]
    y = 1e5 + 300 * (x[:, 0] - 2000) + 2e4 * (x[:, 1] - 5) + chance.normal(size=ROWS) * 2000
    grade = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    words = np.array(["low", "middle", "high"])[grade]
    town = np.array(["here", "there"])[chance.integers(0, 2, ROWS)]
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "town": town, "y": y, "size": words})


def train(home: Path, target: str, **changes: Any) -> RunDir:
    """A run on the features and `target` alone; `data` is laid over the usual one."""
    path = home / f"{target}.csv"
    frame().select("a", "b", "town", target).write_csv(path)
    data = {"source": "csv", "path": str(path), "target": target, **changes.pop("data", {})}
    config = {"data": data, "model": {"widths": [4]}, "epochs": 3, "threads": 1, **changes}
    return nnarch.train(config, runs_dir=home / "runs")


OTHERS: list[dict[str, Any]] = [  # networks and preprocessing that are not the first's
    {"model": {"widths": [6, 3], "activation": "tanh"}, "data": {"scaling": "minmax"}, "seed": 1},
    {"data": {"ignore": ["town"], "target_scaling": "none"}, "seed": 2},
]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[RunDir]]:
    home = tmp_path_factory.mktemp("members")
    return {
        kind: [train(home, target), *(train(home, target, **other) for other in OTHERS)]
        for kind, target in TARGETS.items()
    }


@pytest.fixture(scope="module")
def made(
    members: dict[str, list[RunDir]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, RunDir]:
    root = tmp_path_factory.mktemp("made")
    return {kind: ensemble.make(runs, root, kind) for kind, runs in members.items()}


@pytest.fixture
def copy(made: dict[str, RunDir], tmp_path: Path) -> RunDir:
    """A copy of one, to be spoilt."""
    return RunDir(Path(shutil.copytree(made["multiclass"].path, tmp_path / "copy")))


def answers(run: RunDir, table: Any = None) -> np.ndarray:
    """Probabilities, or numbers."""
    predictor, table = nnarch.load(run), frame() if table is None else table
    regression = predictor.task.kind == "regression"
    return predictor.predict(table) if regression else predictor.predict_proba(table)


# answering


@pytest.mark.parametrize("kind", TARGETS)
def test_the_answer_is_the_mean_of_the_members_answers(
    kind: str, made: dict[str, RunDir], members: dict[str, list[RunDir]]
):
    each = [answers(run) for run in members[kind]]
    assert max(np.ptp(one - each[0]) for one in each) > 1e-3, "they answer differently"
    expected = np.mean(each, axis=0)
    assert answers(made[kind]) == pytest.approx(expected, rel=1e-6)
    if kind != "regression":
        predictor = nnarch.load(made[kind])
        likeliest = np.array(predictor.task.classes)[expected.argmax(1)]
        assert (predictor.predict(frame()) == likeliest).all()


def test_every_column_is_needed_that_a_member_looks_at(members: dict[str, list[RunDir]]):
    some = Averaged([nnarch.load(run) for run in reversed(members["regression"])])
    assert some.input_names == ("a", "b", "town")
    table = {"a": np.array([2000.0]), "b": np.array([5.0])}
    with pytest.raises(NnarchError, match="no column 'town'"):
        some.predict(table)
    with pytest.raises(NnarchError, match="members look at different columns"):
        some(torch.zeros(1, 2))


@pytest.mark.parametrize("kind", TARGETS)
def test_a_file_is_answered_as_a_table_is(kind: str, made: dict[str, RunDir], tmp_path: Path):
    frame().write_csv(tmp_path / "new.csv")
    (told,) = trained.predict(made[kind], tmp_path / "new.csv", keep=["town"])
    assert told["town"] == frame()["town"].to_list()
    if kind == "regression":
        assert told["y"] == pytest.approx(answers(made[kind]), rel=1e-6)
        return
    predictor = nnarch.load(made[kind])
    assert list(told[TARGETS[kind]]) == predictor.predict(frame()).tolist()
    for place, name in enumerate(predictor.task.classes):
        assert told[f"p_{name}"] == pytest.approx(answers(made[kind])[:, place], rel=1e-6)


# measuring


@pytest.mark.parametrize("kind", TARGETS)
def test_figures_are_scikit_learn_s_of_the_mean_answer(
    kind: str, made: dict[str, RunDir], members: dict[str, list[RunDir]], tmp_path: Path
):
    frame().write_csv(tmp_path / "new.csv")
    more = [] if kind == "regression" else ["log_loss", "f1"]
    measured = nnarch.evaluate(made[kind], data=tmp_path / "new.csv", metrics=more)
    mean = np.mean([answers(run) for run in members[kind]], axis=0)
    truth = frame()[TARGETS[kind]].cast(pl.String).to_numpy() if more else frame()["y"].to_numpy()
    if kind == "regression":
        expected = {
            "loss": sk.mean_squared_error(truth, mean),
            "rmse": sk.root_mean_squared_error(truth, mean),
            "mae": sk.mean_absolute_error(truth, mean),
            "r2": sk.r2_score(truth, mean),
        }
    else:
        classes = np.array(nnarch.load(made[kind]).task.classes)
        labels = classes[mean.argmax(1)]
        nll = sk.log_loss(truth, mean[:, np.argsort(classes)])
        expected = {
            "loss": nll,
            "accuracy": sk.accuracy_score(truth, labels),
            "log_loss": nll,
            "f1": sk.f1_score(truth, labels, average="macro"),
        }
    assert measured == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_run_tells_its_figures_once_and_for_all(kind: str, made: dict[str, RunDir]):
    run, about = made[kind], made[kind].about
    assert nnarch.evaluate(run) == about["results"]["test"]
    best = about["results"]["best"]
    assert {f"val_{k}": v for k, v in nnarch.evaluate(run, "val").items()} == best
    assert about["results"]["higher"] == {"regression": ["val_r2"]}.get(kind, ["val_accuracy"])


def test_the_loss_of_an_average_is_never_above_the_mean_of_its_members(
    made: dict[str, RunDir], members: dict[str, list[RunDir]]
):
    for kind in TARGETS:  # Jensen's inequality, for losses that are convex in what is averaged
        each = [run.about["results"]["test"]["loss"] for run in members[kind]]
        assert made[kind].about["results"]["test"]["loss"] < np.mean(each)


LOSSES: list[tuple[str, Task, dict[str, Any]]] = [
    ("mse", Task("regression", ("y", "z")), {}),
    ("huber", Task("regression", ("y",)), {"delta": 0.5}),
    ("poisson_nll", Task("regression", ("y",)), {}),
    ("cross_entropy", Task("multiclass", ("c",), ("a", "b", "c"), (5, 3, 2)),
     {"class_weights": "balanced", "label_smoothing": 0.1}),
    ("multi_margin", Task("multiclass", ("c",), ("a", "b", "c"), (5, 3, 2)), {}),
    ("cross_entropy", Task("binary", ("c",), ("a", "b"), (5, 3)), {}),
    ("bce_with_logits", Task("binary", ("c",), ("a", "b"), (5, 3)), {"class_weights": "balanced"}),
    ("soft_margin", Task("binary", ("c",), ("a", "b"), (5, 3)), {}),
    ("bce_with_logits", Task("multilabel", ("p", "q"), (), (5, 3)), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "task", "options"), LOSSES)
def test_the_loss_of_predictions_is_that_of_the_outputs_they_are_of(
    name: str, task: Task, options: dict[str, Any]
):
    chance = torch.Generator().manual_seed(0)
    loss = losses.build({"name": name, **options}, task)
    outputs = torch.randn(50, loss.outputs, generator=chance, dtype=torch.float64)
    target = Target(len(task.targets))
    if task.classes:
        truth = torch.randint(len(task.classes), (50,), generator=chance)
    else:
        truth = torch.randint(2, (50, len(task.targets)), generator=chance)
        truth = truth.double() if task.kind == "regression" else truth
    expected = float(loss.values(outputs, truth).mean())
    result = Result(task, truth, loss.predict(outputs))
    assert loss_of(loss, result, target) == pytest.approx(expected, rel=1e-9)


def test_a_loss_that_looks_at_more_than_the_prediction_is_the_members_mean(tmp_path: Path):
    task = Task("regression", ("y",))
    loss = losses.build({"name": "gaussian_nll"}, task)
    result = Result(task, torch.zeros(3, 1), torch.ones(3, 1))
    assert outputs_of(loss, result, Target(1)) is None
    runs = [train(tmp_path, "y", loss="gaussian_nll", epochs=1, seed=seed) for seed in (0, 1)]
    each = [run.about["results"]["test"]["loss"] for run in runs]
    measured = ensemble.make(runs, tmp_path / "runs").about["results"]["test"]
    assert measured["loss"] == pytest.approx(np.mean(each), rel=1e-6)
    with pytest.raises(UsageError, match="looks at more than predictions"):
        ensemble.make(runs, tmp_path / "runs", size=3)


def test_a_probability_of_nothing_costs_much_and_not_infinitely_much():
    task = Task("binary", ("c",), ("a", "b"), (1, 1))
    result = Result(task, torch.tensor([1, 0]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    for name in ("cross_entropy", "bce_with_logits"):
        loss = loss_of(losses.build({"name": name}, task), result, Target(1))
        assert loss is not None
        assert 40 < loss < 100
    labels = Result(
        Task("multilabel", ("p", "q"), (), (1, 1)), torch.tensor([[1, 0]]), torch.tensor([[0.0, 1]])
    )
    loss = loss_of(losses.build({"name": "bce_with_logits"}, labels.task), labels, Target(2))
    assert loss is not None
    assert 30 < loss < 100


# choosing


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_greedy_choice_is_that_of_caruana_and_others(seed: int, size: int):
    """Against a bag of places that grows by one at a time."""
    chance = np.random.default_rng(seed)
    answers, truth = chance.normal(size=(4, 3)), chance.normal(size=3)

    def cost(bag: list[int]) -> float:
        return float(((answers[bag].mean(0) - truth) ** 2).sum())

    bags: list[list[int]] = [[]]
    for _ in range(size):
        bags.append(min(([*bags[-1], place] for place in range(4)), key=cost))
    best = min(bags[1:], key=cost)
    counts = chosen(
        list(torch.from_numpy(answers)),
        lambda mean: float((mean - torch.from_numpy(truth)).square().sum()),
        size,
    )
    bag = [place for place, count in enumerate(counts) for _ in range(count)]
    assert 0 < len(bag) <= size
    assert cost(bag) == pytest.approx(cost(best), rel=1e-9)


def test_an_answer_that_is_no_number_is_not_chosen():
    answers = [torch.tensor([torch.nan]), torch.tensor([3.0]), torch.tensor([2.0])]
    assert chosen(answers, lambda mean: float(mean.abs()), 4) == [0, 0, 1]


def test_validation_rows_may_choose_how_often_each_counts(
    members: dict[str, list[RunDir]], tmp_path: Path
):
    runs = members["multiclass"]
    run = ensemble.make(runs, tmp_path, size=4)
    about, known = run.about, {one.path.name: one for one in runs}
    assert 0 < sum(about["counts"]) <= 4
    each = [answers(known[name]) for name in about["members"]]
    assert answers(run) == pytest.approx(np.average(each, 0, about["counts"]), rel=1e-5)
    losses = [one.about["results"]["best"]["val_loss"] for one in runs]
    assert about["results"]["best"]["val_loss"] <= min(losses) + 1e-6
    with pytest.raises(UsageError, match="got a size of 0; expected one or more"):
        ensemble.make(runs, tmp_path, size=0)


@pytest.mark.parametrize("count", [0, -1, 10**12, "2", True, 1.5])
def test_a_count_that_is_none_is_refused(count: Any, copy: RunDir):
    path = copy.path / "members" / "2"
    saved = checkpoint.load(path)
    checkpoint.save(checkpoint.Checkpoint(saved.tensors, {**saved.meta, "count": count}), path)
    with pytest.raises(RunError, match="for how often each counts"):
        nnarch.load(copy)


# on disk


def test_it_is_a_run_that_needs_nothing_else(
    made: dict[str, RunDir], members: dict[str, list[RunDir]], tmp_path: Path, nnarch_here: Command
):
    run = RunDir(Path(shutil.copytree(made["multiclass"].path, tmp_path / "runs" / "moved")))
    assert not [path for path in run.path.rglob("*") if path.is_symlink()]
    about, runs = run.about, members["multiclass"]
    assert (about["kind"], about["status"]) == ("ensemble", "finished")
    assert about["members"] == [one.path.name for one in runs]
    assert about["parameters"] == sum(one.about["parameters"] for one in runs)
    assert about["flops"] == sum(one.about["flops"] for one in runs)
    hidden = [one.path.rename(one.path.with_name(f"gone{place}")) for place, one in enumerate(runs)]
    try:
        frame().drop("size").write_csv(tmp_path / "new.csv")
        measured = nnarch_here("eval", run, "--json")
        predicted = nnarch_here("predict", run, "new.csv")
    finally:
        for path, one in zip(hidden, runs, strict=True):
            path.rename(one.path)
    figures = about["results"]["test"]
    assert {name: json.loads(measured.stdout)[name] for name in figures} == figures
    labels = [line.split(",")[0] for line in predicted.stdout.splitlines()]
    assert labels == ["size", *nnarch.load(run).predict(frame())]


def test_there_is_nothing_to_resume(made: dict[str, RunDir], nnarch_here: Command):
    done = nnarch_here("resume", made["regression"], "epochs=9")
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert "is an ensemble" in line
    assert nnarch.resume(made["regression"]).about["status"] == "finished"
    done = nnarch_here("resume", made["regression"])
    assert (done.returncode, done.stderr) == (
        0, f"{made['regression']} is finished: nothing to do\n",
    )  # fmt: skip


def test_no_network_begins_with_several(copy: RunDir, members: dict[str, list[RunDir]]):
    config = {"data": "synthetic", "init_from": str(copy)}
    said = (
        f"config: init_from: got {copy}, which is of kind ensemble; expected the directory of a "
        "run that trained one network"
    )
    names = [one.path.name for one in members["multiclass"]]
    for more in ("", f", such as {copy.path.parent / names[1]}"):
        with pytest.raises(ConfigError) as caught:
            experiment.prepare(configs.load(config))
        assert caught.value.lines == [said + more]
        (copy.path.parent / names[1] / "checkpoints").mkdir(parents=True, exist_ok=True)


def flip(path: Path) -> None:
    """One bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "meta.json"])
def test_a_flipped_bit_in_a_member_is_refused(name: str, copy: RunDir, nnarch_here: Command):
    flip(copy.path / "members" / "2" / name)
    done = nnarch_here("eval", copy)
    assert done.returncode == 5
    assert error_lines(done) == [
        f"{copy}/members/2/{name}: damaged: its SHA-256 is not the one in manifest.json"
    ]


def setting(key: str, to: Any) -> Callable[[RunDir], object]:
    def change(run: RunDir) -> None:
        path = run.path / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: to}))

    return change


def swapped(run: RunDir) -> None:
    """The first two members in each other's place."""
    home = run.path / "members"
    for old, new in (("1", "x"), ("2", "1"), ("x", "2")):
        (home / old).rename(home / new)


def linked(run: RunDir) -> None:
    home = run.path / "members"
    shutil.move(home / "2", home / "elsewhere")
    (home / "2").symlink_to("elsewhere")


def of_another_task(run: RunDir, other: RunDir) -> None:
    shutil.rmtree(run.path / "members" / "2")
    shutil.copytree(other.path / "members" / "2", run.path / "members" / "2")
    names = [run.about["members"][0], other.about["members"][1], run.about["members"][2]]
    setting("members", names)(run)


SPOILT: dict[str, tuple[Callable[[RunDir], object], str]] = {
    "a member that is gone": (lambda run: shutil.rmtree(run.path / "members" / "3"), "missing"),
    "members that changed places": (swapped, "is of another run"),
    "a member elsewhere": (linked, "is a link"),
    "no members": (setting("members", []), "does not say members"),
    "members of text": (setting("members", "abc"), "does not say members"),
    "more members": (setting("members", ["x"] * 9), "is of another run"),
    "a process that was killed": (setting("status", "running"), "not all written"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT)
def test_what_does_not_fit_together_is_refused(
    spoil: Callable[[RunDir], object], said: str, copy: RunDir
):
    spoil(copy)
    for opening in (nnarch.load, nnarch.evaluate):
        with pytest.raises(RunError, match=said) as refused:
            opening(copy)
        assert len(refused.value.lines) == 1


def test_a_member_of_another_task_is_refused_when_it_is_opened(
    copy: RunDir, made: dict[str, RunDir]
):
    of_another_task(copy, made["regression"])
    with pytest.raises(RunError, match="not fit together: ValueError: one is trained for reg"):
        nnarch.load(copy)


# making


def test_members_that_have_nothing_in_common_are_refused(
    members: dict[str, list[RunDir]], made: dict[str, RunDir], tmp_path: Path
):
    first, second, _ = members["regression"]
    other_split = train(tmp_path, "y", epochs=1, data={"split": {"seed": 1}})
    other_loss = train(tmp_path, "y", epochs=1, loss="l1")
    for runs, error, said in (
        ([first, members["multiclass"][0]], RunError, "its task is 'multiclass classification"),
        ([first, other_split], RunError, r"its data\.split is .*; expected"),
        ([first, other_loss], RunError, "its loss is 'l1'; expected 'mse'"),
        ([first, made["regression"]], UsageError, "is an ensemble itself"),
        ([first, second, first], UsageError, "is the same network as"),
        ([first], UsageError, "got 1 runs; expected two or more"),
    ):
        with pytest.raises(error, match=said) as refused:
            ensemble.make(runs, tmp_path / "made")
        assert len(refused.value.lines) == 1
    assert not (tmp_path / "made").exists()


def test_nothing_is_written_where_the_data_has_changed(tmp_path: Path):
    runs = [train(tmp_path, "y", epochs=1, seed=seed) for seed in (0, 1)]
    frame().head(60).select("a", "b", "town", "y").write_csv(tmp_path / "y.csv")
    with pytest.raises(NnarchError, match="the data has changed") as refused:
        ensemble.make(runs, tmp_path / "made")
    assert refused.value.exit_code == 4
    assert not (tmp_path / "made").exists()
