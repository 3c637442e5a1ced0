"""Components of the user's own, from files that the command line names and from nowhere else.

Every process here is a real one, since what a plugin registers stays for as long as a process
lives.
"""

import hashlib
import json
from pathlib import Path

import pytest

from conftest import TINY, Command, error_lines

PLUGINS = {
    "activation": '''\
import torch
from nnarch import register
from nnarch.options import Positive


@register("activation")
class sine(torch.nn.Module):
    """Sine of a multiple.

    Options:
        omega: The multiple.
    """

    def __init__(self, *, omega: Positive = 1.0):
        super().__init__()
        self.omega = omega

    def forward(self, x):
        return torch.sin(self.omega * x)

''',
    "model": '''\
from __future__ import annotations

from typing import TYPE_CHECKING

import nnarch
from nnarch.options import Activation, Count
from nnarch.registry import activations

if TYPE_CHECKING:
    from torch import nn


@nnarch.register("model")
def twin(
    inputs: tuple[int, ...], outputs: int, *, width: Count = 4, bend: Activation = "tanh"
) -> nn.Module:
    """Two layers with a bend between them."""
    from torch import nn

    bent = activations.build(bend)
    return nn.Sequential(nn.Linear(inputs[0], width), bent, nn.Linear(width, outputs))
''',
    "loss": '''\
from nnarch import register
from nnarch.losses import Loss


@register("loss", tasks=("regression",), standardize=True)
def quartic(task):
    """Fourth power of the error."""
    return Loss(
        lambda made, target: (made - target) ** 4,
        len(task.targets),
        lambda made: made,
        lambda loss, scale: loss * scale**4,
    )
''',
    "optimizer": '''\
import torch
from nnarch import register
from nnarch.options import Positive


@register("optimizer")
class signed(torch.optim.Optimizer):
    """Steps of one size for every weight."""

    def __init__(self, parameters, *, lr: Positive = 0.01):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(group["lr"] * weight.grad.sign())
        return loss
''',
    "schedule": '''\
from nnarch import register
from nnarch.options import Count


@register("schedule")
def halving(epochs: int, *, every: Count = 1):
    """Half as much every so many epochs."""
    return lambda epoch: 0.5 ** (epoch // every)
''',
    "data": '''\
from nnarch import register
from nnarch.data.table import Table, numeric
from nnarch.options import Count


@register("data", name="ramp")
def rows_on_a_line(*, length: Count = 40) -> Table:
    """Rows on a line."""
    import torch

    x = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    return Table(x, numeric("x"), 2 * x + 1, ("y",))
''',
    "metric": '''\
from nnarch import register


@register("metric", tasks=("regression",), higher=False)
def overshoot(result) -> float:
    """How far predictions lie above the truth on average."""
    return float((result.prediction - result.target).mean())
''',
}
CONFIG = """\
data: {source: ramp, length: 60}
model: {name: twin, width: 3, bend: {name: sine, omega: 2}}
loss: quartic
optimizer: {name: signed, lr: 1e-3}
schedule: {name: halving, every: 2, warmup: 1}
metrics: [rmse, overshoot]
epochs: 4
threads: 1
"""


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """The flags that name every one of `PLUGINS`, each in a file of its own."""
    for kind, source in PLUGINS.items():
        (tmp_path / f"my_{kind}.py").write_text(source)
    return [word for kind in PLUGINS for word in ("--plugin", f"my_{kind}.py")]


def test_a_run_of_nothing_but_the_user_s_own_components(
    nnarch_forked: Command, nnarch_light: Command, tmp_path: Path, flags: list[str]
) -> None:
    (tmp_path / "own.yaml").write_text(CONFIG)
    done = nnarch_forked("train", "own.yaml", *flags, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    run = tmp_path / told["run"]
    assert told["parameters"] == 10
    assert told["results"]["test"].keys() == {"loss", "rmse", "overshoot"}
    rows = [row.split(",") for row in (run / "history.csv").read_text().splitlines()]
    rates = [float(row[rows[0].index("lr")]) for row in rows[1:]]
    assert rates == pytest.approx([0.505e-3, 1e-3, 0.5e-3, 0.5e-3])

    # Its directory says what it was made with, and keeps each source as it was.
    assert [Path(one["path"]).name for one in told["plugins"]] == sorted(
        f"my_{kind}.py" for kind in PLUGINS
    )
    for one in told["plugins"]:
        source = (run / "plugins" / Path(one["path"]).name).read_bytes()
        assert hashlib.sha256(source).hexdigest() == one["sha256"]

    # The same files open it again.
    again = nnarch_forked("eval", run, *flags, "--json")
    assert again.returncode == 0, again.stderr
    measured = json.loads(again.stdout)
    for name, value in told["results"]["test"].items():
        assert measured[name] == pytest.approx(value)

    # Without them it is refused, and the copies in the run are not what is opened instead.
    refused = nnarch_forked("eval", run)
    assert refused.returncode == 5
    (line,) = error_lines(refused)
    assert "was made with the plugin my_activation.py; expected --plugin with the same" in line
    assert f"a copy lies in {run}/plugins, to be read before it is trusted" in line

    # A file that has changed since is another one.
    (tmp_path / "my_loss.py").write_text(PLUGINS["loss"].replace("** 4", "** 2"))
    changed = nnarch_forked("eval", run, *flags)
    assert changed.returncode == 5
    assert "was made with the plugin my_loss.py" in error_lines(changed)[0]

    # A config that names such components is wrong where they are not.
    unknown = nnarch_light("train", "own.yaml")
    assert unknown.returncode == 3
    said = [line.partition("; ")[0] for line in error_lines(unknown)]
    assert said == [
        "own.yaml:1: data.source: no data source is called 'ramp'",
        "own.yaml:2: model.name: no model is called 'twin'",
        "own.yaml:3: loss: no loss is called 'quartic'",
        "own.yaml:4: optimizer.name: no optimizer is called 'signed'",
        "own.yaml:5: schedule.name: no schedule is called 'halving'",
        "own.yaml:6: metrics[1]: no metric is called 'overshoot'",
    ]


def test_options_of_a_plugin_are_checked_like_any_other(
    nnarch_light: Command, tiny: Path, flags: list[str]
) -> None:
    wrong = "{name: twin, width: 0, bend: {name: elu, alpha: -1, x: 2}}"
    done = nnarch_light("train", tiny, f"model={wrong}", "--plugin", "my_model.py")
    assert done.returncode == 3
    assert error_lines(done) == [
        "command line: model.bend.alpha: got -1; expected a number > 0",
        "command line: model.bend.x: unknown key; known: alpha",
        "command line: model.width: got 0; expected an integer from 1 to 1,000,000,000",
    ]


def test_components_and_schema_tell_of_plugins_too(
    nnarch_light: Command, tmp_path: Path, flags: list[str]
) -> None:
    added = ["--plugin", "my_data.py", "--plugin", "my_schedule.py"]
    shown = json.loads(nnarch_light("components", "data", "ramp", "--json", *added).stdout)
    assert shown["summary"] == "Rows on a line."
    assert shown["options"][0]["name"] == "length"
    assert shown["where"] == f"{tmp_path}/my_data.py:6"
    schema = json.loads(nnarch_light("schema", *added).stdout)
    assert schema["$defs"]["data.ramp"]["properties"].keys() >= {"source", "length", "split"}
    assert schema["$defs"]["schedule.halving"]["properties"].keys() == {"name", "every", "warmup"}


WRONG = {
    "does not parse": (
        "def (:\n",
        "does not import: SyntaxError: invalid syntax (mine.py, line 1)",
    ),
    "raises": ("1 / 0\n", "does not import: ZeroDivisionError: division by zero"),
    "leaves": ("import sys\nsys.exit(0)\n", "does not import: SystemExit: 0"),
    "needs what is not there": (
        "import no_such_module\n",
        "does not import: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "takes a name of ours": (
        "import nnarch\n@nnarch.register('activation')\ndef relu(): ...\n",
        "does not import: ValueError: there is an activation called 'relu' already, in ",
    ),
    "takes its own name twice": (
        "import nnarch\nfor _ in range(2):\n"
        "    @nnarch.register('activation')\n    def bent(): ...\n",
        "does not import: ValueError: there is an activation called 'bent' already, in ",
    ),
    "no such kind": (
        "import nnarch\n@nnarch.register('modle')\ndef mine(): ...\n",
        "does not import: ValueError: no kind of component is called 'modle'; did you mean 'model'",
    ),
    "option without a type": (
        "import nnarch\n@nnarch.register('activation')\ndef bent(*, x=1): ...\n",
        "does not import: TypeError: bent: option 'x' needs a type annotation of its own",
    ),
    "option of an unknown type": (
        "import nnarch\n@nnarch.register('activation')\ndef bent(*, x: 'Unknown' = 1): ...\n",
        "does not import: NameError: name 'Unknown' is not defined",
    ),
    "takes too little": (
        "import nnarch\n@nnarch.register('model')\ndef small(inputs): ...\n",
        "does not import: TypeError: small: a model is built from (inputs, outputs)",
    ),
    "facts left out": (
        "import nnarch\n@nnarch.register('metric')\ndef far(result): ...\n",
        "does not import: TypeError: far: a metric is registered with tasks=..., higher=... too",
    ),
}


@pytest.mark.parametrize(
    ("source", "message"), WRONG.values(), ids=[name.replace(" ", "-") for name in WRONG]
)
def test_a_plugin_that_does_not_import(
    nnarch_forked: Command, tiny: Path, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    done = nnarch_forked("train", tiny, "--plugin", "mine.py")
    assert done.returncode == 3
    (line,) = error_lines(done)
    assert line.startswith(f"mine.py: the plugin {message}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py", "none.py: no such plugin file"),
        (".", ".: no such plugin file"),
        ("notes.txt", "notes.txt: expected a plugin to be a Python file, named *.py"),
        (f"{'x' * 300}.py", "no such plugin file"),
    ],
)
def test_what_is_no_plugin(
    nnarch_light: Command, tiny: Path, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "notes.txt").write_text("1 / 0\n")
    done = nnarch_light("train", tiny, "--plugin", name)
    assert done.returncode == 3
    assert error_lines(done)[0].endswith(message)


USED = """\
import torch
from nnarch import register


@register("model")
def unbuildable(inputs, outputs):
    raise ValueError("no\\nway")


@register("model")
class tired(torch.nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs[0], outputs)

    def forward(self, x):
        if self.training:
            raise RuntimeError("too\\ntired")
        return super().forward(x)
"""


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "unbuildable",
            "tiny.yaml:3: model: unbuildable cannot be built: ValueError: no way ({}:5)",
        ),
        ("tired", "{}:17: RuntimeError: too tired; --debug shows how it came there"),
    ],
    ids=["when-it-is-built", "when-it-trains"],
)
def test_a_component_that_fails_in_use_is_not_called_a_bug_of_ours(
    nnarch_forked: Command, tmp_path: Path, model: str, message: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("{widths: [4]}", model))
    (tmp_path / "mine.py").write_text(USED)
    done = nnarch_forked("train", "tiny.yaml", "--plugin", "mine.py", "--quiet")
    assert done.returncode == 3
    assert error_lines(done) == [message.format(tmp_path / "mine.py")]


MISFITS = """\
import torch
from nnarch import register


@register("model")
def too_wide(inputs, outputs):
    return torch.nn.Linear(inputs[0] + 1, outputs)


@register("model")
def two_for_one(inputs, outputs):
    return torch.nn.Linear(inputs[0], outputs + 1)


@register("model")
def nothing(inputs, outputs):
    return torch.nn.AvgPool1d(inputs[0])


@register("activation")
def halved():
    return torch.nn.AvgPool1d(2)


@register("schedule")
def none(epochs):
    return lambda epoch: None
"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model=too_wide", "model: cannot take rows of shape (3,): RuntimeError: "),
        ("model=two_for_one", "model: gives (6, 2) for 6 rows; expected (6, 1)"),
        ("model=nothing", "model: has no parameters to train"),
        ("model.activation=halved", "model: cannot take rows of shape (3,): RuntimeError: "),
        ("schedule=none", "schedule: gives None for epoch 0; expected a factor on the rate"),
    ],
)
def test_a_component_that_does_not_fit_is_refused_before_a_run_begins(
    nnarch_forked: Command, tiny: Path, change: str, message: str
) -> None:
    (tiny.parent / "mine.py").write_text(MISFITS)
    done = nnarch_forked("train", tiny, "--plugin", "mine.py", "--quiet", change)
    assert done.returncode == 3
    assert message in error_lines(done)[0]
    assert not (tiny.parent / "runs").exists()


def test_two_plugins_of_one_name_are_both_kept(nnarch_forked: Command, tiny: Path) -> None:
    sources = []
    for folder, name in (("a", "sine"), ("b", "cosine")):
        path = tiny.parent / folder / "mine.py"
        path.parent.mkdir()
        path.write_text(PLUGINS["activation"].replace("class sine", f"class {name}"))
        sources.append(path.read_bytes())
    flags = ["--plugin", "a/mine.py", "--plugin", "b/mine.py"]
    done = nnarch_forked("train", tiny, *flags, "model.activation=cosine", "--quiet")
    assert done.returncode == 0, done.stderr
    kept = (tiny.parent / done.stdout.strip() / "plugins").iterdir()
    assert sorted(path.read_bytes() for path in kept) == sorted(sources)


def test_a_plugin_in_a_run_directory_or_a_config_is_never_run(
    nnarch_forked: Command, finished: Path, tmp_path: Path
) -> None:
    canary = f"open({str(tmp_path / 'canary')!r}, 'w')\n"
    (finished / "plugins").mkdir()
    for name in ("mine.py", "__init__.py", "sitecustomize.py"):
        (finished / "plugins" / name).write_text(canary)
        (finished / name).write_text(canary)
    told = json.loads((finished / "run.json").read_text())
    told["plugins"] = [{"path": "mine.py", "sha256": hashlib.sha256(canary.encode()).hexdigest()}]
    (finished / "run.json").write_text(json.dumps(told))
    done = nnarch_forked("eval", ".", cwd=finished)
    assert done.returncode == 5
    assert "was made with the plugin mine.py" in error_lines(done)[0]
    (tmp_path / "c.yaml").write_text(TINY + "plugins: [mine.py]\n")
    done = nnarch_forked("train", "c.yaml")
    assert error_lines(done)[0].startswith("c.yaml:6: plugins: unknown key")
    assert not (tmp_path / "canary").exists()


LAYER = '''\
import torch
from nnarch import register
from nnarch.options import Count


@register("layer", infer={"features": "features"})
class Gate(torch.nn.Module):
    """Each feature times a sigmoid of a few learnt directions.

    Options:
        features: How many come in.
        directions: How many are learnt.
    """

    def __init__(self, features: Count, directions: Count = 2):
        super().__init__()
        self.down = torch.nn.Linear(features, directions)
        self.up = torch.nn.Linear(directions, features)

    def forward(self, x):
        return x * torch.sigmoid(self.up(self.down(x)))
'''
WITH_LAYER = """\
data: {source: synthetic, rows: 60, features: 3}
model:
  layers:
    - Linear: 8
    - Gate: 3
    - residual: [Gate, {Linear: same}]
    - Linear: out
epochs: 2
threads: 1
"""


def test_a_layer_of_the_user_s_own_stands_in_a_list(
    nnarch_forked: Command, nnarch_light: Command, tmp_path: Path
) -> None:
    (tmp_path / "gate.py").write_text(LAYER)
    (tmp_path / "gated.yaml").write_text(WITH_LAYER)
    flag = ("--plugin", "gate.py")
    done = nnarch_forked("train", "gated.yaml", *flag, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    gates = (8 * 3 + 3 + 3 * 8 + 8) + (8 * 2 + 2 + 2 * 8 + 8)
    assert told["parameters"] == (3 * 8 + 8) + gates + (8 * 8 + 8) + (8 + 1)
    assert [Path(one["path"]).name for one in told["plugins"]] == ["gate.py"]
    assert (tmp_path / told["run"] / "plugins" / "gate.py").read_text() == LAYER
    again = nnarch_forked("eval", told["run"], *flag, "--json")
    assert json.loads(again.stdout)["loss"] == pytest.approx(told["results"]["test"]["loss"])

    refused = nnarch_forked("eval", told["run"])
    assert refused.returncode == 5
    assert "was made with the plugin gate.py; expected --plugin" in error_lines(refused)[0]
    unknown = nnarch_forked("train", "gated.yaml")
    assert unknown.returncode == 3
    (line,) = error_lines(unknown)
    assert line.startswith("gated.yaml:5: model.layers[1].Gate: no layer is called 'Gate'; ")
    assert line.endswith("or one of your own, with --plugin")

    given = "model.layers=[{Linear: 8}, {Gate: {features: 9}}, {Linear: out}]"
    checked = nnarch_forked("train", "gated.yaml", *flag, given)
    assert checked.returncode == 3
    assert error_lines(checked) == [
        "command line: model.layers[1].Gate: got features 9 for samples of shape (8,); expected "
        "8, or none to have it filled in"
    ]
    wrong = nnarch_light("train", "gated.yaml", "model.layers=[{attention: 0}, {Linear: out}]")
    assert error_lines(wrong) == [
        "command line: model.layers[0].attention.heads: got 0; expected an integer from 1 to "
        "1,000,000,000"
    ]


BROKEN = {
    ("x * torch", "y * torch"): "cannot take samples of shape (8,): name 'y' is not defined",
    ("return x *", "return 3  # x *"): "gives int; expected a tensor",
    ("return x *", "return x.sum(0)  # x *"): "gives (8,) for 3 samples of shape (8,)",
    ("self.up = ", "self.up = 1 / 0 # "): "Gate cannot be built: ZeroDivisionError",
}


def test_layers_of_the_user_s_own_that_do_not_work(nnarch_forked: Command, tmp_path: Path) -> None:
    """Each fault is told with its place."""
    (tmp_path / "gated.yaml").write_text(WITH_LAYER)
    for change, expected in BROKEN.items():
        source = LAYER.replace(*change)
        assert source != LAYER
        (tmp_path / "gate.py").write_text(source)
        done = nnarch_forked("train", "gated.yaml", "--plugin", "gate.py")
        (line,) = error_lines(done)
        assert line.startswith("gated.yaml:5: model.layers[1].Gate: ")
        assert expected in line
