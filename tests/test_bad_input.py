"""Every mistake is a line that says where it is, what was given and what is accepted.

The cases go through the real command line and are numbered as in the project's catalogue of bad
inputs: A the text of a config, B its meaning, G usage; of B, 31 and 46 are only warned of
(test_cli.py), and plugins, 49 and 50, are in test_plugins.py; C is in test_bad_data.py, D in
test_bad_runs.py, E in test_bad_machine.py. Each ends with the exit code of its kind, says nothing
but `error: ` lines, prints nothing, and writes nothing. What can be known without torch is answered
without it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from conftest import Command, error_lines
from nnarch import config as configs

BASE = "data: {source: synthetic, rows: 60, features: 3}\n"
ALIAS_BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)
)

YAML_TEXT = {
    "1 empty file": (b"", "bad.yaml:1: the config is empty; expected a mapping"),
    "2 comments only": (b"# nothing\n", "bad.yaml:1: the config is empty; expected a mapping"),
    "3 a list": (b"- a\n- b\n", "bad.yaml:1: expected a mapping of keys to values, got a list"),
    "3 a scalar": (b"hello\n", "bad.yaml:1: expected a mapping of keys to values, got a string"),
    "4 two documents": (b"a: 1\n---\nb: 2\n", "bad.yaml:2: a second document starts here"),
    "5 tab indent": (b"data:\n\tsource: synthetic\n", "bad.yaml:2: tab at column 1"),
    "6 unclosed quote": (b"name: 'mlp\ndata: synthetic\n", "bad.yaml:1: the quote at column 7"),
    "6 unclosed bracket": (b"data: x\nmodel: {widths: [1, 2\n", "bad.yaml:2: the '[' at column 17"),
    "7 repeated key": (
        b"seed: 1\ndata: synthetic\nseed: 2\n",
        "bad.yaml:3: key 'seed' is repeated; it is first given on line 1",
    ),
    "10 overflow": (
        b"data: synthetic\noptimizer: {lr: 1e400}\n",
        "bad.yaml:2: optimizer.lr: got 1e400; expected a finite number",
    ),
    "10 underflow": (
        b"data: synthetic\noptimizer: {lr: 1e-400}\n",
        "bad.yaml:2: optimizer.lr: got 1e-400; expected 0, or a number that is not as near to it",
    ),
    "10 infinite": (
        b"data: synthetic\noptimizer: {lr: .inf}\n",
        "bad.yaml:2: optimizer.lr: got .inf; expected a finite number",
    ),
    "10 not a number": (
        b"data: synthetic\noptimizer: {lr: .nan}\n",
        "bad.yaml:2: optimizer.lr: got .nan; expected a finite number",
    ),
    "11 no is text": (
        b"data: synthetic\nmodel: {activation: no}\n",
        "bad.yaml:2: model.activation: no activation is called 'no'",
    ),
    "11 on is text": (
        b"data: synthetic\nmodel: {activation: on}\n",
        "bad.yaml:2: model.activation: no activation is called 'on'",
    ),
    "13 a time": (
        b"data: synthetic\nepochs: 12:30\n",
        "bad.yaml:2: epochs: got '12:30'; expected an integer",
    ),
    "14 underscores": (
        b"data: synthetic\nepochs: 1_000\n",
        "bad.yaml:2: epochs: got '1_000'; expected an integer",
    ),
    "16 decimal comma": (
        b"data: synthetic\noptimizer: {name: sgd, lr: '1,5'}\n",
        "bad.yaml:2: optimizer.lr: got '1,5'; expected a number > 0; use 1.5",
    ),
    "17 alias bomb": (ALIAS_BOMB, "bad.yaml:4: more than 20 aliases"),
    "18 anchor in itself": (b"data: &a {x: *a}\n", "bad.yaml:1: alias 'a' is inside its own"),
    "19 nested brackets": (b"a: " + b"[" * 100_000, "bad.yaml:1: nested deeper than 32 levels"),
    "19 nested and closed": (
        b"a: " + b"[" * 3000 + b"]" * 3000,
        "bad.yaml:1: nested deeper than 32 levels",
    ),
    "20 python tag": (
        b"data: !!python/object/apply:os.system [id]\n",
        "bad.yaml:1: tags are not allowed",
    ),
    "21 equals sign": (
        b"data: synthetic\nepochs: =\n",
        "bad.yaml:2: epochs: got '='; expected an integer",
    ),
    "22 latin-1": ("name: café\n".encode("latin-1"), "bad.yaml:1: not UTF-8 at byte 9"),
    "22 NUL": (b"name: a\x00b\n", "bad.yaml:1: character U+0000 at column 8 is not allowed"),
    "23 too large": (b"#" * (2**20 + 1), "bad.yaml:1: larger than 1048576 bytes"),
    "24 number as key": (b"1: 2\ndata: synthetic\n", "bad.yaml:1: keys must be text, got a number"),
    "24 list as key": (b"? [a]\n: 2\n", "bad.yaml:1: keys must be text, got a list"),
    "25 merge key": (b"a: &a {b: 1}\ndata:\n  <<: *a\n", "bad.yaml:3: merge keys '<<' are not"),
}

MEANING = {
    "26 unknown key": (
        "epoch: 3\n",
        "bad.yaml:2: epoch: unknown key; did you mean 'epochs'? known:",
    ),
    "26 unknown option": (
        "model:\n  width: [3]\n",
        "bad.yaml:3: model.width: unknown key; did you mean 'widths'? known: widths, activation",
    ),
    "26 option of another": (
        "optimizer: {name: adam, momentum: 0.9}\n",
        "bad.yaml:2: optimizer.momentum: unknown key; known: lr, betas, eps",
    ),
    "26 option of none": (
        "model: {activation: {name: relu, slope: 1}}\n",
        "bad.yaml:2: model.activation.slope: unknown key; none is accepted here",
    ),
    "27 no name": (
        "loss: {label_smoothing: 0.1}\n",
        "bad.yaml:2: loss.name: missing; expected the name of a loss: bce_with_logits, ",
    ),
    "27 no option": (
        "model: {initialization: constant}\n",
        "bad.yaml:2: model.initialization.value: missing; expected a number",
    ),
    "28 unknown model": (
        "model: mpl\n",
        "bad.yaml:2: model: no model is called 'mpl'; did you mean",
    ),
    "28 unknown optimizer": (
        "optimizer:\n  name: adamm\n",
        "bad.yaml:3: optimizer.name: no optimizer is called 'adamm'; did you mean 'adam",
    ),
    "28 unknown loss": (
        "loss: msee\n",
        "loss: no loss is called 'msee'; did you mean 'mse'? known: ",
    ),
    "28 unknown metric": (
        "metrics:\n- f1\n- f7\n",
        "bad.yaml:4: metrics[1]: no metric is called 'f7'; did you mean",
    ),
    "28 a metric named twice": (
        "metrics: [f1, accuracy, {name: f1, average: micro}]\n",
        "bad.yaml:2: metrics: got f1 twice; expected each metric once",
    ),
    "28 a list where a name belongs": (
        "loss: [mse]\n",
        "loss: got ['mse']; expected the name of",
    ),
    "29 lr 0": ("optimizer: {name: sgd, lr: 0}\n", "optimizer.lr: got 0; expected a number > 0"),
    "29 lr -1": ("optimizer: {name: sgd, lr: -1}\n", "optimizer.lr: got -1; expected a number > 0"),
    "29 lr text": ("optimizer: {lr: fast}\n", "optimizer.lr: got 'fast'; expected a number > 0"),
    "29 lr true": ("optimizer: {lr: true}\n", "optimizer.lr: got true; expected a number > 0"),
    "29 lr null": ("optimizer: {lr: }\n", "optimizer.lr: got null; expected a number > 0"),
    "30 epochs 0": ("epochs: 0\n", "epochs: got 0; expected an integer from 1 to 1,000,000,000"),
    "30 epochs -1": ("epochs: -1\n", "epochs: got -1; expected an integer from 1"),
    "30 epochs 1.5": ("epochs: 1.5\n", "epochs: got 1.5; expected an integer from 1"),
    "30 epochs true": ("epochs: true\n", "epochs: got true; expected an integer from 1"),
    "30 epochs text": ("epochs: '10'\n", "epochs: got '10'; expected an integer from 1"),
    "30 epochs null": ("epochs: null\n", "epochs: got null; expected an integer from 1"),
    "31 batch_size 0": (
        "batch_size: 0\n",
        "batch_size: got 0; expected an integer from 1 to 1,000,000,000 or 'all'",
    ),
    "32 width 0": (
        "model: {widths: [4, 0]}\n",
        "model.widths[1]: got 0; expected an integer from 1",
    ),
    "32 width -1": (
        "model: {widths: [-1]}\n",
        "model.widths[0]: got -1; expected an integer from 1",
    ),
    "32 widths a number": (
        "model: {widths: 20}\n",
        "model.widths: got 20; expected a list (each an",
    ),
    "32 no layers": (
        "model: {layers: []}\n",
        "bad.yaml:2: model.layers: got []; expected a list of layers, as [{Linear: 64}, ReLU]",
    ),
    "34 dropout": (
        "model: {dropout: 1.5}\n",
        "model.dropout: got 1.5; expected a number >= 0 and < 1",
    ),
    "41 seed -1": ("seed: -1\n", "seed: got -1; expected an integer from 0 to 9,223,372,036,854"),
    "41 seed 2^70": (f"seed: {2**70}\n", f"seed: got {2**70}; expected an integer from 0 to"),
    "41 seed float": ("seed: 0.5\n", "seed: got 0.5; expected an integer from 0 to"),
    "41 seed past what a float can tell": (
        "seed: 9007199254740993.0\n",
        "seed: got 9007199254740992.0; expected an integer from 0 to",
    ),
    "44 workers": ("num_workers: -1\n", "bad.yaml:2: num_workers: unknown key; known: name,"),
    "44 threads": (
        "threads: 0\n",
        "threads: got 0; expected an integer from 1 to 1,000,000,000 or 'auto'",
    ),
    "43 device": ("device: gpu\n", "device: got 'gpu'; expected auto, cpu, cuda, cuda:N or mps"),
    "45 name path": (
        "name: ../../etc\n",
        "name: got '../../etc'; expected at most 80 of the letters",
    ),
    "45 name slash": ("name: a/b\n", "name: got 'a/b'; expected at most 80 of the letters"),
    "45 name long": (f"name: {'a' * 300}\n", "name: got 'aaaaaaaaaaaaa"),
    "45 name NUL": ('name: "a\\0b"\n', r"name: got 'a\x00b'; expected at most 80 of the letters"),
    "45 name newline": ('name: "a\\n"\n', r"name: got 'a\n'; expected at most 80 of the letters"),
    "45 name dash": ("name: -rf\n", "name: got '-rf'; expected at most 80 of the letters"),
    "45 name empty": ("name: ''\n", "name: got ''; expected at most 80 of the letters"),
    "49 import string": (
        "model: os.system\n",
        "model: no model is called 'os.system'; known: cnn, ",
    ),
    "40 monitor": (
        "monitor: loss\n",
        "monitor: got 'loss'; expected val_loss, val_ and a metric, train_loss, or last",
    ),
    "46 warmup": ("schedule: {warmup: -1}\n", "schedule.warmup: got -1; expected a number >= 0"),
    "a section": ("clip: 1\n", "clip: got 1; expected a mapping (norm, value)"),
    "an open value": (
        "model:\n  widths: {choice: [[8], [16]]}\n",
        "bad.yaml:3: model.widths: is left open; expected one value, in the file or as an "
        "override, or: nnarch search",
    ),
    "a long value": (f"precision: {'x' * 5000}\n", "precision: got 'xxxxxxxxxx"),
    "a key that is no text to show": ('"\\e[31m": 1\n', r"'\x1b[31m': unknown key; known: name,"),
}

DATA = {
    "27 no data": (
        "epochs: 3\n",
        "bad.yaml:1: data: missing; expected the name of a data source: ",
    ),
    "27 no source": ("data: {rows: 5}\n", "bad.yaml:1: data.source: missing; expected the name of"),
    "27 no path": (
        "data: {source: csv, target: y}\n",
        "bad.yaml:1: data.path: missing; expected text that is not empty",
    ),
    "28 unknown source": (
        "data: syntetic\n",
        "bad.yaml:1: data: no data source is called 'syntetic'; did you mean 'synthetic'?",
    ),
    "28 unknown kind": (
        "data: {source: synthetic, kind: moon}\n",
        "data.kind: got 'moon'; expected 'nonlinear', 'linear', ",
    ),
    "39 split sum": (
        "data:\n  source: synthetic\n  split: {train: 0.8, val: 0.2, test: 0.1}\n",
        "bad.yaml:3: data.split: got 0.8 + 0.2 + 0.1 = 1.1; expected train, val and test to add",
    ),
    "39 split zero": (
        "data:\n  source: synthetic\n  split:\n    train: 0.9\n    val: 0.1\n    test: 0\n",
        "bad.yaml:6: data.split.test: got 0; expected a number > 0 and < 1",
    ),
    "39 split of another": (
        "data: {source: synthetic, split: {valid: 0.1}}\n",
        "data.split.valid: unknown key; did you mean 'val'? known: train, val, test, seed",
    ),
}

SAID = {
    **YAML_TEXT,
    **{name: ((BASE + text).encode(), wanted) for name, (text, wanted) in MEANING.items()},
    **{name: (text.encode(), wanted) for name, (text, wanted) in DATA.items()},
}


def ids(cases: Mapping[str, object]) -> list[str]:
    return [name.replace(" ", "-") for name in cases]


@pytest.mark.parametrize(("text", "expected"), SAID.values(), ids=ids(SAID))
def test_a_fault_of_the_config(
    nnarch_light: Command, tmp_path: Path, text: bytes, expected: str
) -> None:
    (tmp_path / "bad.yaml").write_bytes(text)
    done = nnarch_light("train", "bad.yaml")
    assert done.returncode == 3, done.stderr
    (line,) = error_lines(done)
    assert line.startswith("bad.yaml:")
    assert expected in line
    assert len(line) < 600


def test_what_only_looks_odd_is_accepted(tmp_path: Path) -> None:
    """Items 8, 9, 12, 15 and 22 of the catalogue."""
    path = tmp_path / "odd.yaml"
    text = "name: 2024-01-01\nseed: 010\nepochs: 1e3\ndata: synthetic\noptimizer: {lr: 1e-3}\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    config = configs.load(path)
    assert (config.name, config.seed, config.epochs) == ("2024-01-01", 10, 1000)
    assert config.optimizer["lr"] == 0.001


def test_a_huge_file_is_not_read_whole(nnarch_light: Command, tmp_path: Path) -> None:
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(2**40)
    done = nnarch_light("train", "huge.yaml")
    assert done.returncode == 3
    assert error_lines(done) == [
        "huge.yaml:1: larger than 1048576 bytes, the most that is accepted"
    ]


def test_all_faults_of_a_config_are_told_at_once(nnarch_light: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "data:\n"
        "  source: synthetic\n"
        "  row: 60\n"
        "  split: {train: 0.5}\n"
        "model: {widths: [4, x], activation: {name: elu, alpha: 0}, dropout: 2}\n"
        "optimizer: {name: sdg}\n"
        "epochs: none\n"
        "loss: {name: huber, delta: {float: [1, 2]}}\n"
        "seeds: 3\n"
    )
    done = nnarch_light("train", "bad.yaml", "clip.norm=-1", "epochs[0]=1", "batch_size=some")
    assert done.returncode == 3
    lines = error_lines(done)
    assert [line.partition(" known: ")[0] for line in lines] == [
        "command line: epochs[0]: no such place; epochs, as given, has no [0]",
        "bad.yaml:8: loss.delta: is left open; expected one value, in the file or as an "
        "override, or: nnarch search",
        "bad.yaml:4: data.split: got 0.5 + 0.1 + 0.1 = 0.7; expected train, val and test to add "
        "up to 1",
        "bad.yaml:3: data.row: unknown key; did you mean 'rows'?",
        "bad.yaml:5: model.activation.alpha: got 0; expected a number > 0",
        "bad.yaml:5: model.widths[1]: got 'x'; expected an integer from 1 to 1,000,000,000",
        "bad.yaml:5: model.dropout: got 2; expected a number >= 0 and < 1",
        "bad.yaml:6: optimizer.name: no optimizer is called 'sdg'; did you mean 'sgd'?",
        "bad.yaml:7: epochs: got 'none'; expected an integer from 1 to 1,000,000,000",
        "command line: batch_size: got 'some'; expected an integer from 1 to 1,000,000,000 or "
        "'all'",
        "command line: clip.norm: got -1; expected a number > 0 or null",
        "bad.yaml:9: seeds: unknown key; did you mean 'seed'?",
    ]


def test_very_many_faults_are_cut_short(nnarch_light: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BASE + f"model: {{widths: [{'x, ' * 1000}]}}\n")
    lines = error_lines(nnarch_light("train", "bad.yaml"))
    assert len(lines) == 31
    assert lines[0].startswith("bad.yaml:2: model.widths[0]: got 'x'; expected an integer")
    assert lines[-1] == "and 970 more"


USAGE = {
    "132 unknown command": (["tran"], 2, "No such command 'tran'. Did you mean 'train'?"),
    "132 no config": (["train"], 2, "Missing argument 'CONFIG... [KEY=VALUE]...'"),
    "132 overrides alone": (["train", "epochs=3"], 2, "missing a CONFIG file before the overrides"),
    "132 unknown option": (["train", "tiny.yaml", "--quite"], 2, "No such option: --quite"),
    "132 option without a value": (["train", "tiny.yaml", "--plugin"], 2, "requires an argument"),
    "132 no run": (["eval"], 2, "Missing argument 'RUN'"),
    "132 two runs": (["eval", "a", "b"], 2, "unexpected extra argument"),
    "132 split": (
        ["eval", "a", "--split", "all"],
        2,
        "--split: got 'all'; expected train, val or test",
    ),
    "132 nothing to predict": (["predict", "@last"], 2, "Missing argument 'DATA'"),
    "132 no step": (["init", "x.csv", "--horizon", "0"], 2, "Invalid value for '--horizon'"),
    "132 unknown kind": (
        ["components", "modle"],
        2,
        "no kind of component is called 'modle'; did you mean 'model'? known: model, layer, ",
    ),
    "132 unknown component": (
        ["components", "model", "mpl"],
        2,
        "no model is called 'mpl'; did you mean 'mlp'? known: cnn, ",
    ),
    "132 too many words": (["components", "model", "mlp", "x"], 2, "unexpected extra argument"),
    "133 empty value": (
        ["train", "tiny.yaml", "optimizer.lr="],
        3,
        "command line: optimizer.lr: got null; expected a number > 0",
    ),
    "133 unknown path": (
        ["train", "tiny.yaml", "optimiser.lr=1"],
        3,
        "command line: optimiser: unknown key; did you mean 'optimizer'?",
    ),
    "133 unknown option": (
        ["train", "tiny.yaml", "optimizer.rl=1"],
        3,
        "command line: optimizer.rl: unknown key; did you mean 'lr'?",
    ),
    "133 no such place": (
        ["train", "tiny.yaml", "model.widths[1]=3"],
        3,
        "command line: model.widths[1]: no such place; model.widths, as given, has no [1]",
    ),
    "133 into a number": (
        ["train", "tiny.yaml", "epochs.x=3"],
        3,
        "command line: epochs.x: no such place; epochs, as given, has no x",
    ),
    "133 not YAML": (
        ["train", "tiny.yaml", "model.widths=[3"],
        3,
        "command line: model.widths: the '[' at column 1 is not closed",
    ),
    "133 a tag": (
        ["train", "tiny.yaml", "name=!!python/name:os.system"],
        3,
        "command line: name: tags are not allowed",
    ),
    "133 no key": (["train", "tiny.yaml", "=3"], 2, "got '=3'; expected key=value, such as"),
    "133 half a key": (["train", "tiny.yaml", "a..b=3"], 2, "got 'a..b=3'; expected key=value"),
    "133 an odd index": (
        ["train", "tiny.yaml", "model.widths[²]=3"],
        2,
        "got 'model.widths[²]=3'; expected key=value",
    ),
    "134 a comma": (
        ["train", "tiny.yaml", "optimizer.lr=1,5"],
        3,
        "command line: optimizer.lr: got '1,5'; expected a number > 0; use 1.5",
    ),
    "no such config": (["train", "none.yaml"], 3, "none.yaml: cannot be read: No such file"),
    "a config with a long name": (["train", "x" * 300], 3, "cannot be read: File name too long"),
    "a value as long as no file's name": (
        ["train", "tiny.yaml", f"precision={'x' * 5000}"],
        3,
        "command line: precision: got 'xxxxxxxxx",
    ),
    "136 a directory for a config": (
        ["train", "."],
        2,
        ".: is a directory; expected a config file",
    ),
    "136 a config for a run": (
        ["eval", "tiny.yaml"],
        2,
        "tiny.yaml: is a file; expected a run directory",
    ),
    "136 a directory for a config, to check": (
        ["check", "."],
        2,
        ".: is a directory; expected a config file",
    ),
    "136 a config for a run, to predict": (
        ["predict", "tiny.yaml", "x.csv"],
        2,
        "tiny.yaml: is a file; expected a run directory",
    ),
    "132 no run at all": (
        ["eval", ""],
        2,
        "got '' for a run; expected a path, a name, @last or @best:val_loss",
    ),
    "81 no such run": (
        ["eval", "nothing"],
        5,
        "nothing: no such run, neither as a path nor in runs/",
    ),
    "81 a directory that is no run": (
        ["eval", "."],
        5,
        ".: not a run directory: it holds no run.json",
    ),
    "81 no runs at all": (["eval", "@last"], 5, "@last: there are no runs in runs/"),
    "50 no such plugin": (
        ["train", "tiny.yaml", "--plugin", "none.py"],
        3,
        "none.py: no such plugin file",
    ),
}


@pytest.mark.parametrize(("words", "code", "expected"), USAGE.values(), ids=ids(USAGE))
def test_a_fault_of_the_command_line(
    nnarch_light: Command, tiny: Path, words: list[str], code: int, expected: str
) -> None:
    done = nnarch_light(*words)
    assert done.returncode == code, done.stderr
    (line,) = error_lines(done)
    assert expected in line
    assert len(line) < 600


UNFORCED = {
    "135 a starter": ["init", "rows.csv", "-t", "y", "-o", "there.csv"],
    "135 predictions": ["predict", "@last", "rows.csv", "-o", "there.csv"],
    "135 a drawing": ["check", "tiny.yaml", "--graph", "there.svg"],
}


@pytest.mark.parametrize("words", UNFORCED.values(), ids=ids(UNFORCED))
def test_what_is_there_is_not_replaced_unless_forced(
    nnarch_light: Command, finished: Path, tiny: Path, words: list[str]
) -> None:
    output = tiny.with_name(words[-1])
    output.write_text("precious")
    done = nnarch_light(*words)
    assert done.returncode == 2
    assert error_lines(done) == [f"{output.name}: is there already; --force replaces it"]
    assert output.read_text() == "precious"


def test_a_run_where_a_config_is_expected(nnarch_light: Command, finished: Path) -> None:
    done = nnarch_light("train", finished)
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert line.endswith(f"is a directory; expected a config file such as {finished}/resolved.yaml")


def test_a_beginning_that_several_runs_share_lists_them(
    nnarch_light: Command, finished: Path
) -> None:
    other = finished.with_name(f"{finished.name[:-6]}ffffff")
    shutil.copytree(finished, other)
    done = nnarch_light("eval", finished.name[:10])
    assert done.returncode == 2
    (line,) = error_lines(done)
    assert "2 runs begin so" in line
    assert finished.name in line
    assert other.name in line


MADE_REAL = {
    "33 too many parameters": (
        BASE + "model: {widths: [1000000, 1000000]}\n",
        3,
        "bad.yaml:2: model: 1,000,006,000,001 parameters need",
    ),
    "33 more than can be counted": (
        BASE + "model: {widths: [1000000000, 1000000000, 1000000000]}\n",
        3,
        "bad.yaml:2: model: ",
    ),
    "35 a kernel larger than its input": (
        "data: {source: synthetic, rows: 60, features: 16}\n"
        "model:\n  layers:\n  - {Unflatten: [1, [1, 4, 4]]}\n  - {Conv2d: [4, 9]}\n"
        "  - Flatten\n  - {Linear: out}\n",
        3,
        "bad.yaml:5: model.layers[1].Conv2d: cannot take samples of shape (1, 4, 4): Calculated",
    ),
    "36 heads that do not divide the width": (
        "data: {source: sklearn, dataset: iris}\n"
        "model:\n  name: ft_transformer\n  width: 10\n  heads: 3\n",
        3,
        "bad.yaml:5: model.heads: got 3 for width 10; expected heads that divide it",
    ),
    "37 other outputs than classes": (
        "data: {source: sklearn, dataset: iris}\nmodel: {layers: [{Linear: 5}]}\n",
        3,
        "bad.yaml:2: model.layers: gives samples of shape (5,); expected (3,), as the last layer",
    ),
    "38 a loss of numbers for words": (
        "data: {source: sklearn, dataset: iris}\nloss: mse\n",
        3,
        "bad.yaml:2: loss: mse does not fit a task of multiclass",
    ),
    "38 a loss of two classes for three": (
        "data: {source: sklearn, dataset: iris}\nloss: bce_with_logits\n",
        3,
        "bad.yaml:2: loss: bce_with_logits does not fit a task of multiclass",
    ),
    "38 a metric of another task": (
        BASE + "metrics:\n- f1\n",
        3,
        "bad.yaml:3: metrics[0]: f1 does not fit a task of regression",
    ),
    "40 a metric that is not measured": (
        BASE + "monitor: val_f1\n",
        3,
        "bad.yaml:2: monitor: 'val_f1' is not measured; did you mean 'val_",
    ),
    "43 no such device": (
        BASE + "device: cuda:99\n",
        7,
        "device: cuda:99 is not on this machine; it has cpu",
    ),
    "47 batch normalisation of one row": (
        BASE + "model: {normalization: batch}\nbatch_size: 1\n",
        3,
        "bad.yaml:3: batch_size: got 1; batch normalisation expects at least 2 rows a step",
    ),
    "51 no such data": (
        "data: {source: csv, path: none.csv, target: y}\n",
        4,
        "none.csv: no such file",
    ),
    "options that contradict": (
        BASE + "optimizer:\n  name: sgd\n  nesterov: true\n",
        3,
        "bad.yaml:4: optimizer.nesterov: got momentum 0 and dampening 0; expected momentum > 0",
    ),
    "the kind of data decides": (
        "data:\n  source: synthetic\n  features: 4\n  kind: friedman1\n",
        3,
        "bad.yaml:3: data.features: got 4; expected at least 5 for 'friedman1'",
    ),
}


@pytest.mark.parametrize(("text", "code", "expected"), MADE_REAL.values(), ids=ids(MADE_REAL))
def test_a_fault_that_shows_when_the_config_is_made_real(
    nnarch_here: Command, tmp_path: Path, text: str, code: int, expected: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    done = nnarch_here("train", "bad.yaml")
    assert done.returncode == code, done.stderr
    (line,) = error_lines(done)
    assert expected in line
    assert not (tmp_path / "runs").exists()


def test_a_last_batch_of_one_row_is_learnt_from_with_batch_normalisation(
    nnarch_here: Command, tiny: Path
) -> None:
    """Item 47: 48 rows, of which a batch of 47 leaves one."""
    done = nnarch_here("train", tiny, "model.normalization=batch", "batch_size=47")
    assert done.returncode == 0, done.stderr


NAMED = {
    "48 the target among the features": (
        "columns: [x, y]",
        "data.columns: 'y' is the target; expected other columns",
    ),
    "48 the target left out": (
        "ignore: [y]",
        "data.ignore: 'y' is the target; expected other columns",
    ),
    "48 the target told as another kind": (
        "types: {y: categorical}",
        "data.types: 'y' is the target; expected other columns",
    ),
    "48 rows parted by the target": (
        "split: {group: y}",
        "data.split.group: 'y' is the target; expected another column",
    ),
    "a column named twice": (
        "columns: [x, w, x]",
        "data.columns: 'x' is named twice; expected it once",
    ),
    "a column taken and left out": (
        "columns: [x, w], ignore: [w]",
        "data.ignore: 'w' is in data.columns too; expected it in one",
    ),
    "a column that is not there": (
        "columns: [x, W]",
        "data.columns: no column is called 'W'; known: x, w",
    ),
    "a split by no column": (
        "split: {column: parts}",
        "data.split.column: no column 'parts'; known: x, w",
    ),
    "columns of what has none": (
        "source: text, path: t.csv, columns: [x]",
        "data.columns: got columns; this data has none of its own",
    ),
}


@pytest.mark.parametrize(("options", "expected"), NAMED.values(), ids=ids(NAMED))
def test_columns_that_the_config_names_wrongly(
    nnarch_here: Command, tmp_path: Path, options: str, expected: str
) -> None:
    (tmp_path / "t.csv").write_text("x,w,y\n" + "1.5,2,0.5\n2.5,3,4.5\n3.5,1,2.5\n" * 10)
    (tmp_path / "bad.yaml").write_text("data:\n  source: csv\n  path: t.csv\n  target: y\n")
    (tmp_path / "more.yaml").write_text(f"data: {{{options}}}\n")
    done = nnarch_here("train", "bad.yaml", "more.yaml")
    assert done.returncode == 3, done.stderr
    (line,) = error_lines(done)
    assert line.startswith("more.yaml:1: ")
    assert expected in line
    assert not (tmp_path / "runs").exists()


def test_a_graphics_card_that_is_not_there_is_never_replaced_by_the_cpu(
    nnarch_here: Command, tiny: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = nnarch_here("train", tiny, "device=cuda")
    assert done.returncode == 7
    assert error_lines(done)[0].startswith("device: cuda:0 is not on this machine; it has cpu")


def test_a_damaged_run_json_is_told_without_torch(nnarch_light: Command, finished: Path) -> None:
    (finished / "run.json").write_text("{")
    done = nnarch_light("eval", finished)
    assert done.returncode == 5
    assert "run.json: damaged" in error_lines(done)[0]


def test_an_intact_run_is_what_these_began_from(nnarch_here: Command, finished: Path) -> None:
    done = nnarch_here("eval", finished)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["loss", "rmse", "mae", "r2"]
