"""IDX files: MNIST's format read back as it was written, its relatives found, its lies refused."""

import gzip
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.array import Array
from nnarch.data.sources.idx import idx, read
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError, MachineError, NnarchError

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([7, 2, 1, 0, 7], np.uint8)


def packed(values: np.ndarray) -> bytes:
    head = bytes([0, 0, CODES[values.dtype.name], values.ndim])
    return (
        head
        + struct.pack(f">{values.ndim}I", *values.shape)
        + values.astype(values.dtype.newbyteorder(">")).tobytes()
    )


def put(folder: Path, name: str, values: np.ndarray | bytes) -> str:
    raw = values if isinstance(values, bytes) else packed(values)
    path = folder / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return str(path)


def fault(call: Callable[[], Any], kind: type[NnarchError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines
    return line


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """The four files of a data set like MNIST: 5 images to learn from, 3 to test with."""
    put(tmp_path, "train-images-idx3-ubyte.gz", IMAGES)
    put(tmp_path, "train-labels-idx1-ubyte.gz", LABELS)
    put(tmp_path, "t10k-images-idx3-ubyte.gz", IMAGES[:3] + 100)
    put(tmp_path, "t10k-labels-idx1-ubyte", LABELS[:3])
    return tmp_path


@pytest.mark.parametrize("name", ["", "train-images-idx3-ubyte.gz"])
def test_the_four_files_are_found_by_name(mnist: Path, name: str):
    data = idx(path=str(mnist / name))
    assert isinstance(data, Array)
    assert data.inputs.dtype == torch.uint8
    expected = np.concatenate([IMAGES, IMAGES[:3] + 100])[:, None]
    assert np.array_equal(data.inputs.numpy(), expected)
    assert data.target == ["7", "2", "1", "0", "7", "7", "2", "1"]
    assert data.target_names == ("label",)
    assert data.parts is not None
    assert data.parts.tolist() == [0] * 5 + [2] * 3
    (note,) = data.notes
    assert "t10k-images-idx3-ubyte.gz" in note
    assert "data.test: none" in note


def test_the_test_file_can_be_left_out_or_be_another(mnist: Path):
    path = str(mnist / "train-images-idx3-ubyte.gz")
    alone = idx(path=path, test="none")
    assert (len(alone), alone.parts, alone.notes) == (5, None, ())
    labels = str(mnist / "t10k-labels-idx1-ubyte")
    other = put(mnist, "other-images-idx3-ubyte", IMAGES[:3])
    data = idx(path=path, val=other, val_labels=labels, test=other, test_labels=labels)
    assert data.parts is not None
    assert data.parts.tolist() == [0] * 5 + [1] * 3 + [2] * 3
    assert data.notes == ()


def test_a_file_that_is_no_training_file_stands_alone(mnist: Path):
    data = idx(path=str(mnist / "t10k-images-idx3-ubyte.gz"))
    assert (len(data), data.parts, data.target) == (3, None, ["7", "2", "1"])


def test_names_with_a_dot_and_those_of_emnist(tmp_path: Path):
    path = put(tmp_path, "emnist-train-images.idx3-ubyte", IMAGES)
    put(tmp_path, "emnist-train-labels.idx1-ubyte", LABELS)
    put(tmp_path, "emnist-test-images.idx3-ubyte", IMAGES[:2])
    put(tmp_path, "emnist-test-labels.idx1-ubyte", LABELS[:2])
    data = idx(path=path)
    assert data.target == ["7", "2", "1", "0", "7", "7", "2"]


@given(
    st.sampled_from(list(CODES)),
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_every_type_and_shape_comes_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, shape: list[int], zipped: bool, seed: int
):
    folder = tmp_path_factory.mktemp("idx")
    values = np.random.default_rng(seed).integers(-100, 100, shape).astype(name)
    data = read(put(folder, "a.gz" if zipped else "a", values))
    if len(shape) == 2:
        assert isinstance(data, Table)
        assert data.input_names == tuple(f"x{place + 1}" for place in range(shape[1]))
    elif len(shape) == 3 and name == "uint8":
        values = values[:, None]
    assert np.array_equal(data.inputs.numpy(), values)
    assert data.inputs.dtype in (torch.uint8, torch.float32, torch.float64)
    assert data.inputs.is_contiguous()
    assert data.target is None


def test_labels_that_are_numbers_stay_numbers(tmp_path: Path):
    path = put(tmp_path, "images", IMAGES)
    labels = put(tmp_path, "labels", np.array([0.5, 1, 2, 3, 4], np.float32))
    data = idx(path=path, labels=labels)
    assert isinstance(data.target, torch.Tensor)
    assert data.target.dtype == torch.float64
    assert data.target.tolist() == [[0.5], [1], [2], [3], [4]]


def test_new_images_bring_their_labels_where_these_are_there(mnist: Path):
    assert read(mnist / "t10k-images-idx3-ubyte.gz").target == ["7", "2", "1"]
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    assert read(mnist / "t10k-images-idx3-ubyte.gz").target is None
    missing = fault(lambda: read(mnist / "t10k-images-idx3-ubyte.gz", needs_target=True))
    assert "no file of labels stands beside it" in missing


# What is refused

HEADER = bytes([0, 0, 8, 3]) + struct.pack(">3I", 5, 3, 4)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "begins with the bytes nothing"),
        (b"PK\x03\x04", "begins with the bytes 80 75 3 4; expected 0 0, a type (8, 9, 11"),
        (bytes([0, 0, 10, 1, 0, 0, 0, 1, 5]), "is no IDX file"),
        (bytes([0, 0, 8, 0]), "is no IDX file"),
        (HEADER[:9], "is truncated within its header"),
        (HEADER + bytes(59), "is truncated: it declares 5 x 3 x 4 numbers in 60 bytes, and has 59"),
        (HEADER + bytes(61), "declares 5 x 3 x 4 numbers in 60 bytes, and has more"),
        (bytes([0, 0, 8, 2]) + struct.pack(">2I", 0, 4), "declares 0 x 4 numbers; expected some"),
        (bytes([0, 0, 8, 1]) + struct.pack(">I", 1) + b"7", "holds 1 dimension"),
    ],
)
@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str, raw: bytes, words: str):
    path = put(tmp_path, name, raw)
    line = fault(lambda: read(path))
    assert line.startswith(f"{path}: ")
    assert words in line


def test_a_size_beyond_memory_is_refused_from_the_header(tmp_path: Path):
    lie = bytes([0, 0, 8, 3]) + struct.pack(">3I", *[2**32 - 1] * 3)
    for name in ("a", "a.gz"):
        line = fault(lambda name=name: read(put(tmp_path, name, lie)), MachineError)
        assert "GiB of memory; this machine has" in line


def test_a_damaged_gzip_file(tmp_path: Path):
    path = Path(put(tmp_path, "a.gz", IMAGES))
    whole = path.read_bytes()
    for raw in (whole[:-9], whole[:12], whole[:-6] + b"wrong!"):
        path.write_bytes(raw)
        assert "truncated" in fault(lambda: read(path))


def test_labels_that_do_not_go_with_the_images(tmp_path: Path):
    path = put(tmp_path, "images", IMAGES)
    few = put(tmp_path, "labels", LABELS[:4])
    assert "holds 4 labels for 5 images" in fault(lambda: idx(path=path, labels=few))
    other = put(tmp_path, "test", IMAGES[:, :2])
    line = fault(lambda: idx(path=path, labels=few[:-6] + "five", test=other))
    assert "five" in line
    full = put(tmp_path, "full", LABELS)
    line = fault(lambda: idx(path=path, labels=full, test=other, test_labels=full))
    assert "has samples of shape (2, 4); expected (3, 4)" in line


def test_options_and_folders_that_say_too_little(tmp_path: Path):
    path = put(tmp_path, "train-images-idx3-ubyte", IMAGES)
    assert "data.labels" in fault(lambda: idx(path=path))
    line = fault(lambda: idx(path=path, labels=path, test="none", test_labels=path), ConfigError)
    assert line.startswith("data.test_labels: ")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there are: none" in fault(lambda: idx(path=str(empty)))
    put(tmp_path, "train-images-idx3-ubyte.gz", IMAGES)  # the same file again
    put(tmp_path, "train-labels-idx1-ubyte", LABELS)
    assert len(idx(path=str(tmp_path))) == 5
    put(tmp_path, "more-train-images-idx3-ubyte", IMAGES)
    assert "more-train-images-idx3-ubyte" in fault(lambda: idx(path=str(tmp_path)))


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe or a device" in fault(lambda: read(tmp_path / "pipe"))
    assert "no such file" in fault(lambda: read(tmp_path / "none"))
    assert "no such file" in fault(lambda: idx(path=str(tmp_path / "none")))


def test_values_that_no_network_takes_are_named(tmp_path: Path):
    values = np.zeros((2, 3, 4), np.float64)
    values[1, 2, 3] = math.nan
    line = fault(lambda: read(put(tmp_path, "a", values)))
    assert "has 1 value that is missing (NaN), the first at images[1, 2, 3]" in line
    values[1, 0, 0] = 1e39
    assert "beyond float32" in fault(lambda: read(put(tmp_path, "a", values)))
