"""Every mistake is one line that says where, what was given and what is accepted.

A table of cases through the real command line, numbered as in the project's catalogue of bad
inputs: sections A (YAML text), B (meaning), D (run directories) and G (usage), each with its
exit code, and nothing written.
"""

from pathlib import Path

from conftest import Command

BASE = "data: {source: synthetic, rows: 60, features: 3}\n"

YAML_TEXT = {
    "1 empty file": (b"", "expected a mapping"),
    "2 comments only": (b"# nothing\n", "expected a mapping"),
    "3 a list": (b"- a\n- b\n", "expected a mapping"),
    "3 a scalar": (b"hello\n", "expected a mapping"),
    "4 two documents": (b"a: 1\n---\nb: 2\n", "bad.yaml:2: "),
    "5 tab indent": (b"data:\n\tsource: synthetic\n", "bad.yaml:2: "),
    "6 unclosed quote": (b"name: 'mlp\ndata: synthetic\n", "bad.yaml:1: "),
    "6 unclosed bracket": (b"data: synthetic\nmodel: {widths: [1, 2\n", "bad.yaml:2: "),
    "7 repeated key": (b"seed: 1\ndata: synthetic\nseed: 2\n", "bad.yaml:3: "),
    "10 overflow": (b"data: synthetic\noptimizer: {lr: 1e400}\n", "finite"),
    "10 infinite": (b"data: synthetic\noptimizer: {lr: .inf}\n", "finite"),
    "10 not a number": (b"data: synthetic\noptimizer: {lr: .nan}\n", "finite"),
    "11 no is text": (b"data: synthetic\nmodel: {activation: no}\n", "'no'"),
    "11 on is text": (b"data: synthetic\nmodel: {activation: on}\n", "'on'"),
    "13 sexagesimal": (b"data: synthetic\nepochs: 12:30\n", "got '12:30'; expected an integer"),
    "14 underscores": (b"data: synthetic\nepochs: 1_000\n", "got '1_000'; expected an integer"),
    "16 decimal comma": (b"data: synthetic\noptimizer: {name: sgd, lr: '1,5'}\n", "use 1.5"),
    "17 alias bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9))
            for i in range(8)
        ),
        "alias",
    ),
    "18 anchor in itself": (b"data: &a {x: *a}\n", "bad.yaml:1: "),
    "19 nested brackets": (b"a: " + b"[" * 100_000, "32"),
    "20 python tag": (b"data: !!python/object/apply:os.system [id]\n", "tags are not allowed"),
    "21 equals sign": (b"data: synthetic\nepochs: =\n", "got '='; expected an integer"),
    "22 latin-1": ("name: café\n".encode("latin-1"), "not UTF-8 at byte"),
    "22 NUL": (b"name: a\x00b\n", "bad.yaml:1: "),
    "23 too large": (b"#" * (2**20 + 1), "larger than"),
    "24 number as key": (b"1: 2\ndata: synthetic\n", "bad.yaml:1: "),
    "25 merge key": (b"a: &a {b: 1}\ndata:\n  <<: *a\n", "bad.yaml:3: "),
}

MEANING = {
    "26 unknown key": (
        BASE + "epoch: 3\n",
        "bad.yaml:2: epoch: unknown key; did you mean 'epochs'?",
    ),
    "26 unknown option": (
        BASE + "model:\n  width: [3]\n",
        "bad.yaml:3: model.width: unknown key; did you mean 'widths'?",
    ),
    "26 option of another": (
        BASE + "optimizer: {name: adam, momentum: 0.9}\n",
        "optimizer.momentum",
    ),
    "27 no data": ("epochs: 3\n", "data: missing; expected"),
    "28 unknown model": (
        BASE + "model: mpl\n",
        "bad.yaml:2: model: no model is called 'mpl'; did you mean 'mlp'?",
    ),
    "28 unknown optimizer": (BASE + "optimizer: {name: adamm}\n", "did you mean 'adam"),
    "28 unknown loss": (BASE + "loss: msee\n", "did you mean 'mse'"),
    "28 unknown source": ("data: syntetic\n", "did you mean 'synthetic'"),
    "29 lr zero": (BASE + "optimizer: {name: sgd, lr: 0}\n", "got 0; expected a number > 0"),
    "29 lr negative": (BASE + "optimizer: {name: sgd, lr: -1}\n", "got -1; expected a number > 0"),
    "29 lr text": (
        BASE + "optimizer: {name: sgd, lr: fast}\n",
        "got 'fast'; expected a number > 0",
    ),
    "30 epochs 0": (BASE + "epochs: 0\n", "got 0; expected an integer"),
    "30 epochs -1": (BASE + "epochs: -1\n", "got -1; expected an integer"),
    "30 epochs 1.5": (BASE + "epochs: 1.5\n", "got 1.5; expected an integer"),
    "30 epochs true": (BASE + "epochs: true\n", "got true; expected an integer"),
    "30 epochs text": (BASE + "epochs: '10'\n", "got '10'; expected an integer"),
    "31 batch_size 0": (BASE + "batch_size: 0\n", "got 0; expected an integer"),
    "32 width 0": (BASE + "model: {widths: [4, 0]}\n", "model.widths[1]: got 0"),
    "32 width -1": (BASE + "model: {widths: [-1]}\n", "model.widths[0]: got -1"),
    "32 widths a number": (BASE + "model: {widths: 20}\n", "got 20; expected a list"),
    "34 dropout": (BASE + "model: {dropout: 1.5}\n", "got 1.5; expected a number >= 0 and < 1"),
    "39 split sum": (
        "data:\n  source: synthetic\n  split: {train: 0.8, val: 0.2, test: 0.1}\n",
        "bad.yaml:3: data.split: got 0.8 + 0.2 + 0.1 = 1.1",
    ),
    "39 split zero": (
        "data: {source: synthetic, split: {train: 0.9, val: 0.1, test: 0}}\n",
        "data.split.test: got 0; expected",
    ),
    "41 seed -1": (BASE + "seed: -1\n", "got -1; expected an integer"),
    "41 seed 2^70": (BASE + f"seed: {2**70}\n", "expected an integer"),
    "41 seed float": (BASE + "seed: 0.5\n", "got 0.5; expected an integer"),
    "43 device": (BASE + "device: gpu\n", "got 'gpu'; expected auto, cpu, cuda, cuda:N or mps"),
    "45 name path": (BASE + "name: ../../etc\n", "name: got '../../etc'; expected"),
    "45 name slash": (BASE + "name: a/b\n", "name: got 'a/b'; expected"),
    "45 name long": (BASE + f"name: {'a' * 300}\n", "name: got 'aaa"),
    "45 name dash": (BASE + "name: -rf\n", "name: got '-rf'; expected"),
    "49 import string": (BASE + "model: os.system\n", "no model is called 'os.system'"),
    "open value": (
        BASE + "model:\n  widths: {choice: [[8], [16]]}\n",
        "bad.yaml:3: model.widths: is left open",
    ),
    "null where a number belongs": (BASE + "epochs: null\n", "got null; expected an integer"),
    "a mapping where a name belongs": (BASE + "loss: [mse]\n", "expected the name of a loss"),
}

NEEDS_TORCH = {
    "33 too many parameters": (
        BASE + "model: {widths: [1000000, 1000000]}\n",
        3,
        "parameters need",
    ),
    "38 regression loss, class labels": (
        "data: {source: sklearn, dataset: iris}\nloss: mse\n",
        4,
        "expects numbers",
    ),
    "38 class loss, numbers": (
        BASE + ["loss: cross_entropy", "data: {source: synthetic}", ""][0] + "\n",
        4,
        "",
    ),
    "40 monitor": (BASE + "monitor: val_f1\n", 3, "bad.yaml:2: monitor: 'val_f1' is not measured"),
    "42 no such device": (BASE + "device: cuda:9\n", 7, "device: cuda:9 is not on this machine"),
    "metric of another task": (
        BASE + "metrics: [f1]\n",
        3,
        "bad.yaml:2: metrics[0]: f1 is not for",
    ),
    "batch normalisation of one row": (
        BASE + "batch_size: 1\nmodel: {normalization: batch}\n",
        3,
        "batch_size",
    ),
}


def one_line(stderr: str, start: str = "error: ") -> None:
    lines = stderr.splitlines()
    assert lines, "nothing was said"
    assert all(line.startswith(start) for line in lines), stderr


def test_a_fault_of_yaml_text_is_one_line(nnarch: Command, tmp_path: Path) -> None:
    """All of section A in one process a case; the file's name and line lead the message."""
    for name, (text, expected) in YAML_TEXT.items():
        (tmp_path / "bad.yaml").write_bytes(text)
        done = nnarch("train", "bad.yaml")
        assert done.returncode == 3, (name, done.stderr)
        one_line(done.stderr, "error: bad.yaml:")
        assert expected in done.stderr, (name, done.stderr)
        assert done.stdout == ""
        assert not (tmp_path / "runs").exists()
