"""Run directories that a stranger made: to run something as they are opened, to lead out of where
they lie, or to take all there is.

The sums of a checkpoint are made anew after each change, as whoever means harm would: they tell
damage, not who wrote it. What merely does not fit together, tests/test_trained.py has.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import Start, Tally
from hostile import Gadget, Refused, program, watched

Spoil = Callable[[Path, Path], object]  # of a run, and where the canary would be


@pytest.fixture
def run(_finished: Path, here: Path) -> Path:
    """A finished run in `runs`, where commands are run."""
    return Path(shutil.copytree(_finished, here / "runs" / _finished.name, symlinks=True))


def best(run: Path) -> Path:
    return (run / "checkpoints" / "best").resolve()


def last(run: Path) -> Path:
    return (run / "checkpoints" / "last").resolve()


def seal(directory: Path) -> None:
    """Make the sums of a checkpoint anew."""
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["sha256"] = {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
        for name in manifest["sha256"]
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))


def put(name: str, content: Callable[[Path], bytes]) -> Spoil:
    """Another content for a file of all checkpoints, and sums that fit."""

    def spoil(run: Path, canary: Path) -> None:
        for directory in {best(run), last(run)}:
            if (directory / name).exists():
                (directory / name).write_bytes(content(canary))
                seal(directory)

    return spoil


def pickled(canary: Path) -> bytes:
    return pickle.dumps({"epoch": Gadget(canary)})


def saved_by_torch(canary: Path) -> bytes:
    torch.save({"network": Gadget(canary)}, file := io.BytesIO())
    return file.getvalue()


def saved_the_old_way(canary: Path) -> bytes:
    torch.save({"e": Gadget(canary)}, file := io.BytesIO(), _use_new_zipfile_serialization=False)
    return file.getvalue()


def scripted(canary: Path) -> bytes:
    """An archive as TorchScript has them, with code in it."""
    with zipfile.ZipFile(file := io.BytesIO(), "w") as opened:
        opened.writestr("archive/data.pkl", pickle.dumps(Gadget(canary)))
        opened.writestr("archive/constants.pkl", pickle.dumps(Gadget(canary)))
        opened.writestr("archive/code/__torch__.py", program(canary))
        opened.writestr("archive/version", "3\n")
    return file.getvalue()


def rebuilt(canary: Path) -> bytes:
    """A state whose pickle asks for functions by name, some of them torch's own."""
    lines = b"".join(
        f"c{module}\n{name}\n({argument!r}\ntR0".encode()
        for module, name, argument in (
            ("torch.hub", "load", str(canary)),
            ("torch.serialization", "load", str(canary)),
            ("os", "system", f"touch {canary}"),
        )
    )
    with zipfile.ZipFile(file := io.BytesIO(), "w") as opened:
        opened.writestr("archive/data.pkl", b"\x80\x02" + lines.replace(b"'", b"") + b"N.")
        opened.writestr("archive/version", "3\n")
    return file.getvalue()


def words(canary: Path) -> bytes:
    """A state of plain words that say where something would be found and called."""
    state = {
        "_target_": "os.system",
        "__class__": "subprocess.Popen",
        "optimizer": {"name": "os.system", "hook": f"touch {canary}"},
        "network": "torch.hub.load",
    }
    torch.save(state, file := io.BytesIO())
    return file.getvalue()


STATES = {
    "a pickle": pickled,
    "a file of torch with a gadget": saved_by_torch,
    "a file of an old torch with a gadget": saved_the_old_way,
    "a scripted module": scripted,
    "functions by name": rebuilt,
    "words that name functions": words,
}


@pytest.mark.parametrize("content", STATES.values(), ids=STATES)
def test_a_state_to_go_on_from_holds_numbers(
    refused: Refused, run: Path, content: Callable[[Path], bytes], canary: Path
) -> None:
    put("state.pt", content)(run, canary)
    refused("resume", run.name, "epochs=4", code=5)


def header(size: int, text: bytes) -> Callable[[Path], bytes]:
    return lambda canary: size.to_bytes(8, "little") + text


def tensor(start: int, end: int, shape: str = "[1]", dtype: str = "F32") -> Callable[[Path], bytes]:
    """Weights of one tensor that declares these places."""
    text = f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}}}'
    return header(len(text), text.encode() + bytes(8))


WEIGHTS = {
    "a pickle": pickled,
    "a file of torch": saved_by_torch,
    "a header of 99 MB": header(99_000_000, b" " * 99_000_000),
    "a header of 2^63": header(2**63, b"{}"),
    "a header nested without end": header(100_000, b"[" * 100_000),
    "numbers beyond the end": tensor(0, 2**40),
    "numbers before the beginning": tensor(8, 0),
    "a tensor of 2^80": tensor(0, 4, f"[{2**40},{2**40}]"),
    "numbers of an unknown type": tensor(0, 4, dtype="os.system"),
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_no_more_than_there_are(
    refused: Refused, run: Path, content: Callable[[Path], bytes], canary: Path
) -> None:
    put("model.safetensors", content)(run, canary)
    assert refused("eval", run.name, code=5).startswith("runs/")


def meta(*keys: str | int, to: Any) -> Spoil:
    """An edit of the description of all checkpoints, and sums that fit."""

    def spoil(run: Path, canary: Path) -> None:
        for directory in {best(run), last(run)}:
            about = json.loads((directory / "meta.json").read_text())
            value = about
            for key in keys[:-1]:
                value = value[key]
            value[keys[-1]] = to
            (directory / "meta.json").write_text(json.dumps(about))
            seal(directory)

    return spoil


LARGE = b'{"a": "' + b"x" * 2**25 + b'"}'
DEEP = b"[" * 100_000 + b"]" * 100_000
DESCRIPTIONS: dict[str, Spoil] = {
    "a pickle": put("meta.json", pickled),
    "32 MB": put("meta.json", lambda canary: LARGE),
    "nested without end": put("meta.json", lambda canary: DEEP),
    "a model by its place": meta("config", "model", "name", to="os.system"),
    "a loss by its place": meta("config", "loss", to={"name": "torch.nn.Module"}),
    "a metric by its place": meta("config", "metrics", to=["subprocess.run"]),
    "a source by its place": meta("config", "data", "source", to="pickle.load"),
    "an activation of dunders": meta("config", "model", "activation", to={"name": "__import__"}),
    "a layer by its place": meta(
        "config", "model", to={"name": "layers", "layers": [{"os.system": "id"}, {"Linear": "out"}]}
    ),
    "a private layer": meta(
        "config", "model", to={"name": "layers", "layers": ["_reduction", {"Linear": "out"}]}
    ),
    "inputs by their place": meta("preprocess", "inputs", "kind", to="os.system"),
    "a huge network": meta("config", "model", "widths", to=[10**9, 10**9]),
    "a network of 10^9 layers": meta("config", "model", to={"name": "resnet_mlp", "depth": 10**9}),
    "repetitions without end": meta(
        "config", "model",
        to={"name": "layers", "layers": [{"repeat": 10**9, "do": ["relu"]}, {"Linear": "out"}]},
    ),
    "a number beyond all": meta("config", "model", "widths", to=[10**4000]),
}  # fmt: skip


@pytest.mark.parametrize("spoil", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_description_is_looked_up_and_nothing_else(
    refused: Refused, run: Path, spoil: Spoil, canary: Path
) -> None:
    (run / "evil.py").write_text(program(canary))
    spoil(run, canary)
    refused("eval", run.name, code=5)


def about(key: str, to: Any) -> Spoil:
    def spoil(run: Path, canary: Path) -> None:
        told = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**told, key: to}))

    return spoil


def written(name: str, content: bytes) -> Spoil:
    return lambda run, canary: (run / name).write_bytes(content)


def with_plugins(run: Path, canary: Path) -> None:
    """Python wherever Python could be looked for."""
    for folder in (run, run / "plugins", run / "checkpoints", best(run)):
        folder.mkdir(exist_ok=True)
        for name in ("evil.py", "__init__.py", "sitecustomize.py", "torch.py", "conftest.py"):
            (folder / name).write_text(program(canary))
    source = (run / "plugins" / "evil.py").read_bytes()
    told = {"path": "evil.py", "sha256": hashlib.sha256(source).hexdigest()}
    about("plugins", [told])(run, canary)
    meta("plugins", to=[told])(run, canary)


FILES: dict[str, Spoil] = {
    "plugins": with_plugins,
    "a pickle for run.json": lambda run, canary: (run / "run.json").write_bytes(pickled(canary)),
    "32 MB of run.json": written("run.json", LARGE),
    "run.json nested without end": written("run.json", DEEP),
    "run.json of zero bytes within": written("run.json", b'{"format": 1, "id": "\0"}'),
    "a manifest of 32 MB": lambda run, canary: (best(run) / "manifest.json").write_bytes(LARGE),
    "a manifest nested": lambda run, canary: (best(run) / "manifest.json").write_bytes(DEEP),
    "an id that leads elsewhere": about("id", "../../outside"),
    "an id of escapes": about("id", "\x1b]0;owned\x07\x1b[2J"),
    "an id of 32 MB": about("id", "x" * 2**25),
    "an id of a list": about("id", [["x"]]),
    "a format of escapes": about("format", "\x1b[2J"),
    "a format of 1 MB": about("format", "x" * 2**20),
    "a format of 4,000 digits": about("format", 10**4000),
}  # fmt: skip


MORE = {"eval": [], "resume": ["epochs=4"], "predict": ["new.csv"]}


@pytest.mark.parametrize("spoil", FILES.values(), ids=FILES)
@pytest.mark.share(1, 3)
def test_no_file_of_a_run_is_more_than_text(
    refused: Refused, run: Path, spoil: Spoil, canary: Path, seed: int
) -> None:
    command = list(MORE)[seed]
    (run.parent.parent / "new.csv").write_text("x1,x2,x3\n1,2,3\n")
    spoil(run, canary)
    refused(command, run.name, *MORE[command], code=5)


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path.name),
}
PLACES = ["run.json", "best/manifest.json", "best/meta.json", "best/model.safetensors"]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_not_read(
    refused: Refused, run: Path, place: str, make: Callable[[Path], object]
) -> None:
    path = run / place if "/" not in place else best(run) / Path(place).name
    path.unlink()
    make(path)
    refused("eval", run.name, code=5)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("place", ["state.pt", "history.csv"])
@pytest.mark.share(0, 1)
def test_nor_when_training_goes_on(
    refused: Refused, run: Path, place: str, make: Callable[[Path], object], seed: int
) -> None:
    for directory in {best(run), last(run)}:
        if (directory / place).exists():
            (directory / place).unlink()
            make(directory / place)
    refused("resume", run.name, "epochs=4", code=5)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("place", ["history.csv", "log.txt", "run.lock", "resolved.yaml"])
@pytest.mark.share(0, 1)
def test_what_training_would_write_to_is_a_file_of_the_run(
    child: Start, run: Path, place: str, make: Callable[[Path], object], tally: Tally, seed: int
) -> None:
    """It is refused, or another file is put in its place; nothing is written through it."""
    (run / place).unlink(missing_ok=True)
    make(run / place)
    done = child("resume", run.name, "epochs=4", cwd=run.parent.parent)
    assert watched(done) in (0, 5, 7), done.stderr
    tally("payloads")


def elsewhere(run: Path) -> Path:
    """A file of the user's own, outside of the run."""
    path = run.parent.parent.parent / "mine"
    path.write_text("precious\n")
    return path


@pytest.mark.parametrize("place", ["history.csv", "log.txt", "run.lock", "resolved.yaml"])
def test_a_link_out_of_the_run_is_never_written_through(
    child: Start, run: Path, place: str, tally: Tally
) -> None:
    mine = elsewhere(run)
    (run / place).unlink(missing_ok=True)
    (run / place).symlink_to(mine)
    done = child("resume", run.name, "epochs=4", cwd=run.parent.parent)
    assert watched(done) in (0, 5, 7), done.stderr
    assert mine.read_text() == "precious\n"
    tally("payloads")


@pytest.mark.parametrize("to", ["{}", "../../../../elsewhere", "..", "epoch-0002/../../.."])
@pytest.mark.parametrize("command", ["eval", "predict"])
def test_a_checkpoint_is_a_neighbour_of_its_link(
    refused: Refused, run: Path, command: str, to: str
) -> None:
    outside = run.parent.parent.parent / "elsewhere"
    shutil.copytree(best(run), outside)
    (run / "checkpoints" / "best").unlink()
    (run / "checkpoints" / "best").symlink_to(to.format(outside))
    (run.parent.parent / "new.csv").write_text("x1,x2,x3\n1,2,3\n")
    more = ["new.csv"] if command == "predict" else []
    line = refused(command, run.name, *more, code=5)
    assert "expected a link to a neighbour such as epoch-0007" in line


def test_a_run_is_not_trained_on_in_checkpoints_that_lie_elsewhere(
    refused: Refused, run: Path
) -> None:
    outside = run.parent.parent.parent / "elsewhere"
    (run / "checkpoints").rename(outside)
    (run / "checkpoints").symlink_to(outside)
    refused("resume", run.name, "epochs=4", code=5)


WRITERS = {
    "predictions": ["predict", "{run}", "t.csv", "-o", "out.csv"],
    "predictions in columns": ["predict", "{run}", "t.csv", "-o", "out.parquet"],
    "a config": ["init", "t.csv", "-t", "x1", "-o", "out.yaml"],
    "a drawing": ["check", "t.yaml", "--graph", "out.svg"],
}


@pytest.mark.parametrize("there", ["a link", "a link to nothing yet"])
@pytest.mark.parametrize("words", WRITERS.values(), ids=WRITERS)
def test_what_is_written_takes_the_place_of_a_link(
    child: Start, here: Path, run: Path, words: list[str], there: str, tally: Tally
) -> None:
    """What the link leads to is neither changed nor made."""
    mine = elsewhere(run)
    if there != "a link":
        mine.unlink()
    (here / "t.csv").write_text("x1,x2,x3\n" + "".join(f"{i},{i % 3},{i % 5}\n" for i in range(40)))
    (here / "t.yaml").write_text("data: {source: synthetic, rows: 60, features: 3}\n")
    (here / words[-1]).symlink_to(mine)
    done = child(*(word.format(run=run.name) for word in words), "--force", cwd=here)
    assert watched(done) == 0, done.stderr
    assert not (here / words[-1]).is_symlink()
    assert mine.exists() == (there == "a link")
    assert there != "a link" or mine.read_text() == "precious\n"
    tally("payloads")


BEGINNINGS = {
    "a word": "os.system",
    "a device": "/dev/zero",
    "above": "../../..",
    "an address": "https://localhost:1/run",
    "an escape of the terminal": '"\\e[2J"',
    "a zero byte": '"a\\0b"',
    "a file": "t.yaml",
}


@pytest.mark.parametrize("path", BEGINNINGS.values(), ids=BEGINNINGS)
def test_weights_to_begin_with_are_those_of_a_run(refused: Refused, here: Path, path: str) -> None:
    (here / "t.yaml").write_text(
        f"data: {{source: synthetic, rows: 60, features: 3}}\ninit_from: {path}\n"
    )
    refused("train", "t.yaml", code=5)


@pytest.mark.parametrize("spoil", [with_plugins, put("model.safetensors", pickled)])
def test_weights_to_begin_with_are_opened_with_as_much_care(
    child: Start, here: Path, run: Path, canary: Path, spoil: Spoil, tally: Tally
) -> None:
    spoil(run, canary)
    (here / "t.yaml").write_text(
        "data: {source: synthetic, rows: 60, features: 3}\nmodel: {widths: [4]}\nepochs: 1\n"
        f"init_from: runs/{run.name}\n"
    )
    assert watched(done := child("train", "t.yaml", cwd=here)) in (0, 5), done.stderr
    tally("payloads")


SELECTORS = ["../../etc", "/", "@last/../..", "@best:__class__", "a\x1b[2Jb", "%s{0}", "-", "*"]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_run_is_found_by_its_name(
    child: Start, here: Path, run: Path, selector: str, tally: Tally
) -> None:
    done = child("eval", selector, cwd=here)
    assert watched(done) in (2, 5)
    (line,) = done.stderr.splitlines()
    assert line.isprintable()
    tally("payloads")
