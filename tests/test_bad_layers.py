"""What a user gets wrong in a list of layers, told with file, line, path, shapes and a cure."""

import re
from pathlib import Path

import pytest

from conftest import Command, error_lines
from nnarch import config as configs
from nnarch import experiment
from nnarch.errors import ConfigError

HEAD = "data: {source: synthetic, rows: 60, features: 4}\nmodel:\n  layers:\n"
IMAGES = "data: {source: sklearn, dataset: digits, images: true}\nmodel:\n  layers:\n"
FIRST = 4  # the line of the first layer

WRONG: dict[str, tuple[str, list[str], int, str]] = {
    # head, layers a line each, which of them is at fault, what is said
    "an unknown layer": (
        HEAD, ["Linaer: 8", "Linear: out"], 0,
        "model.layers[0].Linaer: no layer is called 'Linaer'; did you mean 'Linear'?",
    ),
    "an unknown block": (
        HEAD, ["Linear: 8", "positionss", "Linear: out"], 1,
        "model.layers[1]: no layer is called 'positionss'; did you mean 'positions'?",
    ),
    "a kernel larger than its input": (
        IMAGES, ["ReLU", "Conv2d: [8, 9]", "Flatten", "Linear: out"], 1,
        "model.layers[1].Conv2d: cannot take samples of shape (1, 8, 8): ",
    ),
    "heads that do not divide": (
        IMAGES, ["patches: [4, 6]", "attention: 4", "mean", "Linear: out"], 1,
        "model.layers[1].attention: got 4 heads for 6 features; expected heads that divide them",
    ),
    "dropout": (
        HEAD, ["Linear: 8", "Dropout: 1.5", "Linear: out"], 1,
        "model.layers[1].Dropout: dropout probability has to be between 0 and 1, but got 1.5",
    ),
    "a width of zero": (
        HEAD, ["Linear: 0", "Linear: out"], 0,
        "model.layers[0].Linear: out_features: got 0; expected an integer >= 1",
    ),
    "a layer after out": (
        HEAD, ["Linear: out", "Softmax"], 1,
        "model.layers[1]: Softmax comes after a layer as wide as 'out'; expected that layer to be",
    ),
    "more than can be held": (
        HEAD, ["Linear: 1000000", "Linear: 1000000", "Linear: out"], 0,
        "model: 1,000,007,000,001 parameters need 14,901 GiB to train; this machine has",
    ),
    "more than can be counted": (
        HEAD, ["Linear: 10000000000", "Linear: 10000000000", "Linear: out"], 1,
        "has more numbers than can be counted",
    ),
    "ten thousand layers": (
        HEAD, ["{repeat: 10000, do: ReLU}", "Linear: out"], 0,
        "model.layers[0]: makes 10,000 layers; expected at most 5,000",
    ),
    "a missing argument": (
        HEAD, ["Linear", "Linear: out"], 0,
        "model.layers[0]: Linear: out_features: missing; expected an integer >= 1",
    ),
    "an import": (
        HEAD, ["os.system: 'echo'", "Linear: out"], 0, "no layer is called 'os.system'",
    ),
    "a dunder": (HEAD, ["__import__: os", "Linear: out"], 0, "no layer is called '__import__'"),
    "what torch.nn imports": (HEAD, ["functional", "Linear: out"], 0, "no layer"),
    "a dangling link": (
        HEAD, ["{Linear: 8, as: h}", "from: g", "Linear: out"], 1,
        "no item is called 'g' by as; before it there are: h",
    ),
    "a cycle": (
        HEAD, ["from: h", "{Linear: 8, as: h}", "Linear: out"], 0,
        "'h' does not come before it; a link leads back only",
    ),
    "an image in a linear layer": (
        IMAGES, ["Linear: 8", "Linear: out"], 0,
        "model.layers[0].Linear: got samples of shape (1, 8, 8), whose channels come first; "
        "expected features: add Flatten before it",
    ),
    "a row in a convolution": (
        HEAD, ["Conv1d: [8, 3]", "Flatten", "Linear: out"], 0,
        "model.layers[0].Conv1d: got samples of shape (4,); expected (channels, steps); add "
        "{Unflatten: [1, [1, 4]]} before it",
    ),
    "an option of a block": (
        HEAD, ["leaky_relu: {slop: 0.1}", "Linear: out"], 0,
        "model.layers[0].leaky_relu.slop: unknown key; did you mean 'slope'?",
    ),
    "a wide output": (
        IMAGES, ["Upsample: {scale_factor: 100000}", "AdaptiveAvgPool2d: 1", "Flatten",
                 "Linear: out"], -2,
        "640,000,000,000 outputs of a layer, for 32 rows, need 76,294 GiB to train",
    ),
    "no end": (
        HEAD, ["Linear: 8"], -1,
        "model.layers: gives samples of shape (8,); expected (1,), as the last layer gives with "
        "{Linear: out} at the end",
    ),
}  # fmt: skip


def written(head: str, layers: list[str], path: Path) -> Path:
    path.write_text(head + "".join(f"    - {layer}\n" for layer in layers))
    return path


@pytest.mark.parametrize(("head", "layers", "at", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_told_with_its_line(
    head: str, layers: list[str], at: int, said: str, tmp_path: Path
):
    path = written(head, layers, tmp_path / "wrong.yaml")
    with pytest.raises(ConfigError) as caught:
        experiment.prepare(configs.load(path.as_posix()))
    (line,) = caught.value.lines
    assert said in line
    assert len(line) < 500
    found = re.match(r"(.*wrong\.yaml):(\d+): model", line)
    assert found, line
    assert found[1] == path.as_posix()
    assert int(found[2]) == (
        2 if " to train" in said or "parameters need" in said else FIRST + at
    ), line


def test_every_mistake_of_form_is_told_at_once(tmp_path: Path):
    layers = ["3", "'a b'", "{residual: [{repeat: 0, do: ReLU}]}", "{Linear: 8, drop: 0.1}"]
    path = written(HEAD, layers, tmp_path / "wrong.yaml")
    with pytest.raises(ConfigError) as caught:
        configs.load(path.as_posix())
    places = [re.findall(r":(\d+): (\S+): ", line)[0] for line in caught.value.lines]
    assert places == [
        ("4", "model.layers[0]"),
        ("5", "model.layers[1]"),
        ("6", "model.layers[2].residual[0].repeat"),
        ("7", "model.layers[3].drop"),
    ]


def test_the_command_line_says_it_in_one_line(nnarch_forked: Command, tmp_path: Path):
    path = written(HEAD, ["Linear: 8", "LSTM: 4", "Linear: out"], tmp_path / "wrong.yaml")
    done = nnarch_forked("train", path)
    assert done.returncode == 3
    assert error_lines(done) == [
        f"{path}:5: model.layers[1].LSTM: got samples of shape (8,); expected (steps, features); "
        "add {Unflatten: [1, [8, 1]]} before it"
    ]
    assert not (tmp_path / "runs").exists()
