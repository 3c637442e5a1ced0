"""Checkpoints: what is saved comes back bit for bit, or is refused; never anything else."""

import hashlib
import json
import os
import pickle
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from nnarch import checkpoint
from nnarch.checkpoint import Checkpoint
from nnarch.errors import MachineError, RunError

FILES = ["history.csv", "manifest.json", "meta.json", "model.safetensors", "state.pt"]


def example(seed: int = 0) -> Checkpoint:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(40, 30, generator=generator)
    return Checkpoint(
        {"network.weight": weight, "preprocess.mean": weight[0].double()},
        {"epoch": seed, "classes": ["a", "größer", "\udce9"], "nested": {"list": [1, 2.5, None]}},
        {"optimizer": {"step": torch.tensor(float(seed)), "moments": [weight * 2]}, "epoch": seed},
        f"epoch,loss\n1,{seed}.5\n",
    )


def same(one: Any, other: Any) -> bool:
    """Whether two containers hold the same; tensors to the bit."""
    if isinstance(one, Tensor):
        return (
            isinstance(other, Tensor)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and bits(one) == bits(other)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().flatten().view(torch.uint8).numpy())


def seal(directory: Path, **manifest: Any) -> None:
    """Write the manifest anew, as somebody would who edits a checkpoint on purpose."""
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.name != "manifest.json"
    }
    text = json.dumps({"format": 1, "sha256": sums, **manifest})
    (directory / "manifest.json").write_text(text)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    checkpoint.save(example(), tmp_path / "last")
    return tmp_path / "last"


def test_a_checkpoint_comes_back_bit_for_bit(saved: Path):
    loaded, wanted = checkpoint.load(saved, state=True), example()
    assert same(dict(loaded.tensors), dict(wanted.tensors))
    assert loaded.meta == wanted.meta
    assert loaded.state is not None
    assert same(dict(loaded.state), wanted.state)
    assert loaded.history == wanted.history
    assert sorted(os.listdir(saved)) == FILES
    assert os.listdir(saved.parent) == ["last"]


def test_inference_needs_no_state(saved: Path):
    (saved / "state.pt").unlink()
    assert checkpoint.load(saved).state is None
    with pytest.raises(RunError, match=r"state\.pt: no such file"):
        checkpoint.load(saved, state=True)


def test_a_checkpoint_without_state_says_so_when_asked_for_it(tmp_path: Path):
    checkpoint.save(Checkpoint(example().tensors, {}), tmp_path / "best")
    assert sorted(os.listdir(tmp_path / "best")) == FILES[1:4]
    with pytest.raises(RunError, match=r"state\.pt"):
        checkpoint.load(tmp_path / "best", state=True)


WEIGHT = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
TENSORS = {
    "one number": torch.tensor(0.1),
    "no numbers": torch.zeros(0, 3),
    "not finite": torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e-45]),
    "float64": torch.tensor([0.1, 1e300], dtype=torch.float64),
    "bfloat16": WEIGHT.bfloat16(),
    "int64": torch.tensor([2**62 + 1, -1]),
    "bool": torch.tensor([True, False]),
    "transposed": WEIGHT.t(),
    "a part of a larger one": WEIGHT[1:3, ::2],
    "the same number again and again": torch.tensor([0.5]).expand(7),
    "a parameter": torch.nn.Parameter(WEIGHT.clone()),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_every_kind_of_tensor_comes_back(tensor: Tensor, tmp_path: Path):
    checkpoint.save(Checkpoint({"x": tensor}, {}, {"x": tensor}), tmp_path / "last")
    loaded = checkpoint.load(tmp_path / "last", state=True)
    assert loaded.state is not None
    for found in (loaded.tensors["x"], loaded.state["x"]):
        assert same(found.detach(), tensor.detach())


def test_weights_that_two_layers_share_are_saved(tmp_path: Path):
    one, other = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    other.weight = one.weight
    network = torch.nn.Sequential(one, other)
    checkpoint.save(Checkpoint(network.state_dict(), {}), tmp_path / "best")
    loaded = checkpoint.load(tmp_path / "best").tensors
    assert same(dict(loaded), {name: t.detach() for name, t in network.state_dict().items()})


def test_what_is_saved_is_what_was_there_at_that_moment(tmp_path: Path):
    weight = torch.zeros(3)
    checkpoint.save(Checkpoint({"x": weight}, {}), tmp_path / "best")
    weight += 1
    assert checkpoint.load(tmp_path / "best").tensors["x"].tolist() == [0, 0, 0]


def flipped(data: bytes, chance: random.Random) -> bytes:
    position, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(1, len(data))]


def zeroed(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    block = min(4096, len(data) - start)
    return data[:start] + bytes(block) + data[start + block :]


def emptied(data: bytes, chance: random.Random) -> bytes:
    return b""


def lengthened(data: bytes, chance: random.Random) -> bytes:
    return data + chance.choice([b"\0", b"}", b"x" * 4096])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("damage", "times"),
    [(flipped, 100), (truncated, 25), (zeroed, 25), (emptied, 1), (lengthened, 3)],
)
def test_damage_is_never_loaded_silently(
    name: str, damage: Callable[[bytes, random.Random], bytes], times: int, saved: Path
):
    whole = (saved / name).read_bytes()
    for seed in range(times):
        damaged = damage(whole, random.Random(f"{name} {seed}"))
        if damaged == whole:
            continue
        (saved / name).write_bytes(damaged)
        with pytest.raises(RunError) as refused:
            checkpoint.load(saved, state=True)
        assert str(saved) in refused.value.lines[0], seed
        assert refused.value.exit_code == 5
    (saved / name).write_bytes(whole)
    assert same(dict(checkpoint.load(saved).tensors), dict(example().tensors))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_checkpoint_is_refused(name: str, saved: Path):
    checkpoint.save(example(seed=1), saved.with_name("other"))
    shutil.copy(saved.with_name("other") / name, saved / name)
    with pytest.raises(RunError, match="damaged: its SHA-256 is not the one in"):
        checkpoint.load(saved, state=True)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named(name: str, saved: Path):
    (saved / name).unlink()
    with pytest.raises(RunError, match=f"{name}: no such file"):
        checkpoint.load(saved, state=True)


def test_a_checkpoint_that_is_not_there_is_said_so(tmp_path: Path):
    with pytest.raises(RunError, match="no such file; the checkpoint is missing"):
        checkpoint.load(tmp_path / "best")


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_or_a_directory_in_place_of_a_file_is_refused(name: str, saved: Path):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(RunError, match="not a plain file"):
        checkpoint.load(saved, state=True)
    (saved / name).unlink()
    (saved / name).mkdir()
    with pytest.raises(RunError, match="not a plain file"):
        checkpoint.load(saved, state=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "sha256": null}',
        '{"format": 1, "sha256": "abc"}',
        '{"format": 1, "sha256": {}}',
        '{"format": 1, "sha256": {"meta.json": 7}}',
        "[" * 100_000,
        "\ud83d",
    ],
    ids=lambda text: text[:30].encode(errors="replace").decode(),
)
def test_a_manifest_that_says_something_else_is_refused(text: str, saved: Path):
    (saved / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(RunError):
        checkpoint.load(saved, state=True)


@pytest.mark.parametrize("newer", [2, 99, "2", None])
def test_a_newer_format_is_named(newer: Any, saved: Path):
    seal(saved, format=newer)
    with pytest.raises(
        RunError, match=f"has format {newer!r}; this is nnarch .*, which reads format 1"
    ):
        checkpoint.load(saved)


class Gadget:
    """What a stranger might pickle: unpickling it makes a file."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("name", ["model.safetensors", "meta.json", "state.pt"])
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_refused_and_executes_nothing(
    name: str, writer: str, saved: Path, tmp_path: Path
):
    canary = tmp_path / "canary"
    if writer == "pickle":
        (saved / name).write_bytes(pickle.dumps(Gadget(canary)))
    else:
        torch.save({"epoch": 1, "gadget": Gadget(canary)}, saved / name)
    seal(saved)
    with pytest.raises(RunError, match="not a checkpoint of nnarch"):
        checkpoint.load(saved, state=True)
    assert not canary.exists()


CONTENTS = {
    "weights that promise more than there is": ("model.safetensors", b"\xff" * 8 + b"{}"),
    "weights with a header of 99 MB": (
        "model.safetensors",
        (99_000_000).to_bytes(8, "little") + b"{" * 1000,
    ),
    "a description in no known encoding": ("meta.json", b"\xff\xfe{"),
    "a description without an end": ("meta.json", b"[" * 100_000),
    "a state of text": ("state.pt", b"hello"),
}


@pytest.mark.parametrize(("name", "content"), CONTENTS.values(), ids=CONTENTS)
def test_content_of_another_kind_is_refused(name: str, content: bytes, saved: Path):
    (saved / name).write_bytes(content)
    seal(saved)
    with pytest.raises(RunError, match="not a checkpoint of nnarch"):
        checkpoint.load(saved, state=True)


def test_tens_of_thousands_of_tensors_are_read(saved: Path):
    many = {f"t{i}": torch.zeros(0) for i in range(30_000)}
    (saved / "model.safetensors").write_bytes(safetensors.torch.save(many))
    seal(saved)
    assert len(checkpoint.load(saved).tensors) == 30_000


def test_what_an_earlier_kill_left_behind_does_no_harm(saved: Path):
    shutil.copytree(saved, saved.with_name(".last.new"))
    (saved.with_name(".last.new") / "meta.json").write_text("half a fi")
    assert checkpoint.load(saved).meta["epoch"] == 0
    checkpoint.save(example(1), saved)
    assert checkpoint.load(saved).meta["epoch"] == 1
    assert os.listdir(saved.parent) == ["last"]


def test_a_full_disk_loses_nothing_that_was_saved(saved: Path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(MachineError) as failed:
            checkpoint.save(example(1), saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failed.value.exit_code == 7
    assert "file too large" in failed.value.lines[0]
    assert checkpoint.load(saved, state=True).meta["epoch"] == 0
    assert os.listdir(saved.parent) == ["last"]
