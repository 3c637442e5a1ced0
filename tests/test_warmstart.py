"""A network that begins with the weights of another run."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nnarch
from nnarch import config as configs
from nnarch import experiment, opening
from nnarch.errors import ConfigError, RunError
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir

DATA = {"source": "synthetic", "rows": 60, "features": 3}  # of conftest's TINY


def prepared(finished: Path, **changes: Any) -> experiment.Experiment:
    base = {"data": DATA, "model": {"widths": [4]}, "epochs": 2, "threads": 1}
    return experiment.prepare(configs.load({**base, "init_from": str(finished), **changes}))


def weights(ready: experiment.Experiment) -> dict[str, Tensor]:
    return ready.training.network.state_dict()


def test_the_best_weights_of_the_run_are_the_first(finished: Path) -> None:
    ready = prepared(finished, average={"decay": 0.5}, precision="float64")
    saved = RunDir(finished).load_checkpoint("best").below("network.")
    for network in (ready.training.network, ready.training.model):
        for name, value in network.state_dict().items():
            assert torch.equal(value, saved[name].double())
    said = f"begins with 4 of 4 tensors (21 numbers) from {finished.name}"
    assert said in opening.sentences(ready)
    assert opening.warnings(ready) == []


def test_only_tensors_of_equal_name_and_shape_are_taken(finished: Path) -> None:
    ready = prepared(finished, model={"widths": [4, 4]})
    saved = RunDir(finished).load_checkpoint("best").below("network.")
    fresh = experiment.prepare(configs.load({"data": DATA, "model": {"widths": [4, 4]}}))
    for name, value in weights(ready).items():
        from_run = name.startswith("0.")
        assert torch.equal(value, saved[name] if from_run else weights(fresh)[name]), name
    assert ready.warm_start is not None
    assert ready.warm_start.sentence == (
        f"begins with 2 of 6 tensors (16 numbers) from {finished.name}; not with "
        "2.weight (4 x 4 here, 1 x 4 in the run), 2.bias (4 here, 1 in the run), "
        "4.weight (not in the run), 4.bias (not in the run)"
    )


def test_what_the_network_lacks_is_told(finished: Path) -> None:
    ready = prepared(finished, model={"widths": [4], "bias": False})
    assert ready.warm_start is not None
    assert ready.warm_start.sentence.endswith(
        "not with 0.bias (not in the network), 2.bias (not in the network)"
    )


def test_nothing_in_common_is_a_fault(finished: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepared(finished, data={**DATA, "features": 5}, model={"widths": [7, 3]})
    (line,) = caught.value.lines
    assert line.startswith(f"config: init_from: no tensor of {finished.name} (")
    assert "of mlp (0.weight, 0.bias, 2.weight, 2.bias and 2 more)" in line


def test_rows_prepared_or_split_otherwise_are_warned_of(finished: Path) -> None:
    scaled = prepared(finished, data={**DATA, "scaling": "none"})
    assert opening.warnings(scaled) == [
        "init_from: the run prepared its inputs otherwise than this one does"
    ]
    split = prepared(finished, data={**DATA, "split": {"seed": 3}})
    assert opening.warnings(split) == [
        "init_from: the run split this data otherwise; it learnt from some test rows"
    ]


def test_a_run_says_what_it_began_with_and_opens_without_it(finished: Path, tmp_path: Path) -> None:
    config = {"data": DATA, "model": {"widths": [4]}, "epochs": 1, "init_from": str(finished)}
    run = nnarch.train(config, runs_dir=tmp_path / "new")
    manifest = (finished / "checkpoints" / "best" / "manifest.json").read_bytes()
    assert run.about["init_from"] == {
        "path": str(finished),
        "run": finished.name,
        "checkpoint": hashlib.sha256(manifest).hexdigest(),
    }
    shutil.rmtree(finished)
    assert nnarch.evaluate(run)["loss"] == pytest.approx(run.about["results"]["test"]["loss"])


def test_the_run_is_meant_from_where_the_config_stands(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "next.yaml").write_text(f"data: synthetic\ninit_from: runs/{finished.name}\n")
    config = configs.load(tmp_path / "next.yaml")
    assert config.init_from == str(finished)
    (tmp_path / "complete.yaml").write_text(config.to_yaml())
    assert configs.load(tmp_path / "complete.yaml").model_dump() == config.model_dump()


def refused(folder: Path, run: Path) -> str:
    """What is said of a config whose third line names `run`."""
    file = folder / "next.yaml"
    file.write_text(f"data: synthetic\nmodel: mlp\ninit_from: {run}\n")
    with pytest.raises((ConfigError, RunError)) as caught:
        experiment.prepare(configs.load(file))
    (line,) = caught.value.lines
    start = f"{file}:3: init_from: "
    assert line.startswith(start)
    return line.removeprefix(start)


def test_a_run_that_is_missing_is_told_with_its_place(finished: Path, tmp_path: Path) -> None:
    for missing in (finished / "nowhere", tmp_path / "next.yaml", tmp_path):
        assert refused(tmp_path, missing) == (
            f"got {missing}, where there is no run.json; expected the directory of a run"
        )


def test_a_search_is_no_run_to_begin_with(finished: Path, tmp_path: Path) -> None:
    with SearchDir.create(tmp_path / "runs", "s", "", "", {}) as search:
        pass
    said = f"got {search}, which is of kind search; expected the directory of a run that trained "
    assert refused(tmp_path, search.path) == f"{said}one network"
    kept = shutil.copytree(finished, search.runs_root / finished.name)
    assert refused(tmp_path, search.path) == f"{said}one network, such as {kept}"


@pytest.mark.parametrize("broken", ["run.json", "checkpoints/best/manifest.json"])
def test_a_run_that_is_damaged(broken: str, finished: Path) -> None:
    (finished / broken).write_text("{")
    with pytest.raises(RunError, match=r"config: init_from: .* damaged") as caught:
        prepared(finished)
    assert caught.value.exit_code == 5
    (finished / broken).unlink()
    with pytest.raises(RunError, match=r"no such file|no run\.json"):
        prepared(finished)


def test_a_run_without_a_checkpoint(finished: Path) -> None:
    shutil.rmtree(finished / "checkpoints")
    with pytest.raises(RunError, match="no checkpoint yet"):
        prepared(finished)
