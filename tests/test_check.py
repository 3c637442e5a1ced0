"""`nnarch check`: the network before the data, and nothing that is left behind."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from conftest import Command, error_lines
from nnarch import build, experiment
from nnarch import config as configs
from nnarch.check import timing

CONFIG = """\
data: {source: synthetic, rows: 80, features: 6}
model:
  layers:
    - {Linear: 8, as: first}
    - repeat: 12
      do:
        - residual: [LayerNorm, {Linear: same}]
    - concat: [[], {from: first}]
    - Linear: out
optimizer: adam
batch_size: 16
epochs: 3
threads: 1
"""
PARAMETERS = 6 * 8 + 8 + 12 * (16 + 72) + 17


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


def network_of(check: Command, *words: str) -> Any:
    done = check("check", "c.yaml", "--network", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert list(found) == ["network"]
    return found["network"]


@pytest.mark.usefixtures("config")
class TestPages:
    def test_the_network_stands_before_the_data(self, nnarch_here: Command) -> None:
        whole, network = nnarch_here("check", "c.yaml"), nnarch_here("check", "c.yaml", "--network")
        assert whole.returncode == network.returncode == 0
        assert whole.stderr == network.stderr == ""
        assert whole.stdout.startswith(network.stdout.rstrip("\n"))
        assert "to beat on test rows" in whole.stdout
        assert "to beat" not in network.stdout

    def test_layers_stand_in_a_tree_and_repetitions_once(self, nnarch_here: Command) -> None:
        lines = nnarch_here("check", "c.yaml", "--network").stdout.splitlines()
        assert lines[0] == f"layers: {PARAMETERS:,} parameters, 1,664 FLOPs a sample"
        told = [line.split() for line in lines]
        assert ["first", "Linear(6", "->", "8)", "8", "56", "96"] in told
        assert ["1", "repeat", "x", "12", "8"] in told
        assert ["1.0.0.body.1", "Linear(8", "->", "8)", "8", "72", "128"] in told
        assert sum("LayerNorm" in line for line in lines) == 1
        assert [line for line in lines if "batches of 16" in line]

    def test_memory_is_told_by_what_holds_it(self, nnarch_here: Command) -> None:
        memory = network_of(nnarch_here)["memory"]
        assert memory["batch_size"] == 16
        assert memory["weights"] == memory["gradients"] == 4 * PARAMETERS
        assert memory["optimizer"] == 8 * PARAMETERS
        held = ("weights", "buffers", "gradients", "optimizer", "average", "activations")
        assert memory["total"] == sum(memory[name] for name in held)
        twice = network_of(nnarch_here, "precision=float64", "average={}")["memory"]
        assert twice["weights"] == twice["average"] == 8 * PARAMETERS
        assert twice["activations"] == 2 * memory["activations"]

    def test_what_computes_the_steps_is_told_with_its_reason(self, nnarch_here: Command) -> None:
        steps = network_of(nnarch_here)["steps"]
        assert steps["engine"] == "recorded"
        page = nnarch_here("check", "c.yaml", "--network", "accumulate=2").stdout
        assert "steps on cpu, 1 thread: eager (a step takes 2 batches)" in page

    def test_the_frozen_part_takes_less(self, nnarch_here: Command) -> None:
        found = network_of(nnarch_here, "freeze=['first.*']")
        assert found["trainable"] == PARAMETERS - 56
        assert found["memory"]["gradients"] == 4 * (PARAMETERS - 56)
        assert found["memory"]["optimizer"] == 8 * (PARAMETERS - 56)

    def test_json_has_every_layer_and_the_data_as_before(self, nnarch_here: Command) -> None:
        found = json.loads(nnarch_here("check", "c.yaml", "--json").stdout)
        assert {"task", "rows", "target", "columns", "baselines", "network"} <= found.keys()
        layers = found["network"]["layers"]
        assert sum(row["module"] == "LayerNorm(8)" for row in layers) == 12
        assert sum(row["parameters"] for row in layers) == found["network"]["parameters"]
        names = {name for name, _ in build(CONFIG_AS_DATA).named_modules()}
        assert {row["path"] for row in layers} <= names

    def test_a_long_network_is_cut_in_the_middle(
        self, nnarch_here: Command, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        layers = "".join(f"    - Linear: {8 + place % 2}\n" for place in range(200))
        text = CONFIG.split("    - {Linear")[0] + layers + "    - Linear: out\nthreads: 1\n"
        config.write_text(text)
        monkeypatch.setenv("COLUMNS", "60")
        lines = nnarch_here("check", "c.yaml", "--network").stdout.splitlines()
        assert len(lines) < 100
        assert max(map(len, lines)) <= 60
        assert any("121 more lines; --json has all" in line for line in lines)
        assert any(line.startswith("200 ") for line in lines)


CONFIG_AS_DATA = configs.yamlfile.parse(CONFIG, "c.yaml").value


@pytest.mark.usefixtures("config")
class TestExpand:
    def test_it_means_the_same(self, nnarch_here: Command, tmp_path: Path) -> None:
        first = network_of(nnarch_here, "model={name: mlp, widths: [8, 4], dropout: 0.1}")
        done = nnarch_here("check", "c.yaml", "--expand", "model={name: mlp, widths: [8, 4], "
                           "dropout: 0.1}")  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[:4] == [
            "model:", "  layers:", "    - Linear: 8", "    - relu",
        ]  # fmt: skip
        (tmp_path / "c.yaml").write_text(
            "data: {source: synthetic, rows: 80, features: 6}\nbatch_size: 16\n"
            "optimizer: adam\nepochs: 3\nthreads: 1\n" + done.stdout
        )
        again = network_of(nnarch_here)
        assert (first.pop("model"), again.pop("model")) == ("mlp", "layers")
        assert first == again


@pytest.mark.usefixtures("config")
class TestGraph:
    def test_a_drawing_is_written(self, nnarch_here: Command, tmp_path: Path) -> None:
        done = nnarch_here("check", "c.yaml", "--network", "--graph", "net.svg")
        assert (done.returncode, done.stderr) == (0, "")
        picture = ElementTree.parse(tmp_path / "net.svg").getroot()
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        refused = nnarch_here("check", "c.yaml", "--network", "--graph", "net.svg")
        assert refused.returncode == 2
        assert "net.svg: is there already; --force replaces it" in refused.stderr
        done = nnarch_here("check", "c.yaml", "--network", "--graph", "net.svg", "--force")
        assert done.returncode == 0

    def test_only_svg_is_written(self, nnarch_here: Command, tmp_path: Path) -> None:
        refused = nnarch_here("check", "c.yaml", "--graph", "net.png")
        assert refused.returncode == 2
        assert "expected a file that ends in .svg" in refused.stderr
        assert not (tmp_path / "net.png").exists()


class TestTime:
    @pytest.mark.usefixtures("config")
    def test_it_tells_and_leaves_nothing(self, nnarch_here: Command, tmp_path: Path) -> None:
        before = sorted(tmp_path.iterdir())
        found = network_of(nnarch_here, "--time")["time"]
        assert sorted(tmp_path.iterdir()) == before
        assert 0 < found["fastest"] <= found["epoch"] <= found["slowest"]
        assert found["total"] == pytest.approx(3 * found["epoch"])

    def test_the_experiment_stays_as_it_is(self) -> None:
        ready = experiment.prepare(configs.load(CONFIG_AS_DATA, ["schedule.warmup=1"]))
        weights = {name: w.clone() for name, w in ready.training.network.state_dict().items()}
        state = ready.training.optimizer.state_dict()
        before, threads = torch.get_rng_state(), torch.get_num_threads()
        timing.measure(ready)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == threads
        assert ready.training.epoch == 0
        assert str(ready.training.optimizer.state_dict()) == str(state)
        for name, weight in ready.training.network.state_dict().items():
            assert torch.equal(weight, weights[name])


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("model.layers[3]=Linear", 3, "model.layers[3]"),
        ("loss=cross_entropy", 4, "has 1 row"),
        ("metrics=[accuracy]", 3, "accuracy does not fit"),
        ("schedule={name: multistep}", 3, "schedule"),
        ("optimizer={name: sgd, nesterov: true}", 3, "optimizer.nesterov"),
        ("freeze=[nothing]", 3, "freeze"),
        ("augment=[flip]", 3, "augment"),
        ("model={name: mlp, widths: [1000000, 1000000]}", 3, "parameters need"),
    ],
)
def test_what_cannot_train_fails_check(
    nnarch_here: Command, tmp_path: Path, override: str, code: int, message: str
) -> None:
    trained = nnarch_here("train", "c.yaml", override)
    for words in ([], ["--network"], ["--expand"]):
        checked = nnarch_here("check", "c.yaml", override, *words)
        assert checked.returncode == trained.returncode == code
        assert checked.stdout == ""
        assert error_lines(checked) == error_lines(trained)
        assert message in checked.stderr
    assert not (tmp_path / "runs").exists()
