"""numpy's files: arrays come back as they were saved, and nothing is believed or unpickled."""

import io
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.array import Array
from nnarch.data.sources.npz import PAIRS, npz, read
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError, MachineError, NnarchError

X = np.array([[1.5, 2], [3, 4], [5, 6]])
Y = np.array([0.5, 1, 2])


def fault(call: Callable[[], Any], kind: type[NnarchError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines
    return line


Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Puts arrays into `a.npz`, and gives its path."""

    def put(name: str = "a.npz", packed: bool = False, **arrays: Any) -> str:
        path = tmp_path / name
        (np.savez_compressed if packed else np.savez)(path, **arrays)
        return str(path)

    return put


# What is read


@pytest.mark.parametrize(("inputs", "target"), PAIRS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_matrix_is_a_table_under_the_usual_names(
    save: Save, inputs: str, target: str, packed: bool
):
    table = npz(path=save(packed=packed, **{inputs: X, target: Y, "extra": np.zeros(9)}))
    assert isinstance(table, Table)
    assert table.inputs.dtype == torch.float64
    assert table.inputs.tolist() == X.tolist()
    assert table.input_names == ("x1", "x2")
    assert isinstance(table.target, torch.Tensor)
    assert table.target.tolist() == [[0.5], [1], [2]]
    assert table.target_names == (target,)
    assert table.parts is None


def test_arrays_of_other_names_are_named(save: Save):
    path = save(features=X, price=Y, city=np.array(["Rome", "Oslo", "Rome"]))
    line = fault(lambda: npz(path=path))
    assert "'city' 3 of <U4, 'features' 3 x 2 of float64, 'price' 3 of float64" in line
    assert line.endswith("name data.inputs and data.target")
    assert npz(path=path, inputs="features", target="city").target == ["Rome", "Oslo", "Rome"]
    assert "expected 'cost', as data.target says" in fault(
        lambda: npz(path=path, inputs="features", target="cost")
    )


def test_one_name_is_enough_where_the_other_is_usual(save: Save):
    assert len(npz(path=save(features=X, y=Y), inputs="features")) == 3
    assert npz(path=save(x=X, y=Y, z=-Y), target="z").target_names == ("z",)
    assert "name data.inputs and data.target" in fault(
        lambda: npz(path=save(x=X, data=X, z=Y), target="z")
    )


def test_parts_of_one_archive(save: Save):
    table = npz(path=save(x_train=X, y_train=Y, x_test=X[:1] + 1, y_test=Y[:1] + 1))
    assert table.inputs.tolist() == [*X.tolist(), [2.5, 3]]
    assert table.parts is not None
    assert table.parts.tolist() == [0, 0, 0, 2]
    more = save("more.npz", X=X[:2], y=Y[:2])
    path = save(x_train=X, y_train=Y, x_test=X[:1] + 1, y_test=Y[:1] + 1)
    table = npz(path=path, val=more)
    assert table.parts is not None
    assert table.parts.tolist() == [0, 0, 0, 2, 1, 1]
    assert "'x_test' already" in fault(lambda: npz(path=path, test=more), ConfigError)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (np.array([3, 1, 3], np.uint8), [[3], [1], [3]]),
        (np.array([True, False, True]), [[1], [0], [1]]),
        (np.array([[1, 2], [3, 4], [5, 6]], ">i2"), [[1, 2], [3, 4], [5, 6]]),
        (np.array([[1], [2], [3]], np.float32), [[1], [2], [3]]),
        (np.array(["b", "a", "é"]), ["b", "a", "é"]),
        (np.array([["b"], ["a"], ["é"]]), ["b", "a", "é"]),
        (np.array([b"b", b"a", b"c"]), ["b", "a", "c"]),
    ],
)
def test_targets(save: Save, target: np.ndarray, expected: list[Any]):
    found = npz(path=save(x=X, y=target)).target
    assert (found.tolist() if isinstance(found, torch.Tensor) else found) == expected


def test_missing_values_stay_missing_in_a_table(save: Save):
    table = npz(path=save(x=np.array([[1, math.nan], [2, 3]]), y=np.array([math.nan, 1])))
    assert table.inputs.isnan().tolist() == [[False, True], [False, False]]
    assert isinstance(table.target, torch.Tensor)
    assert table.target.isnan().tolist() == [[True], [False]]


@pytest.mark.parametrize(
    ("shape", "kind", "expected", "dtype"),
    [
        ((2, 5, 6), "u1", (2, 1, 5, 6), torch.uint8),
        ((2, 3, 5, 6), "u1", (2, 3, 5, 6), torch.uint8),
        ((2, 5, 6, 3), "u1", (2, 3, 5, 6), torch.uint8),
        ((2, 5, 6, 1), "f8", (2, 1, 5, 6), torch.float64),
        ((2, 3, 4, 3), "u1", (2, 3, 4, 3), torch.uint8),  # three channels of 4 x 3 as well
        ((2, 5, 6, 2), "u1", (2, 5, 6, 2), torch.uint8),
        ((2, 5, 6), "f4", (2, 5, 6), torch.float32),
        ((2, 5, 6), ">i2", (2, 5, 6), torch.float32),
        ((2, 5, 6), "i8", (2, 5, 6), torch.float64),
        ((2, 2, 2, 2, 2), "u1", (2, 2, 2, 2, 2), torch.float32),
        ((2, 3, 5), "?", (2, 3, 5), torch.float32),
    ],
)
def test_what_has_more_dimensions_is_an_array(
    save: Save, shape: tuple[int, ...], kind: str, expected: tuple[int, ...], dtype: torch.dtype
):
    values = np.arange(math.prod(shape)).reshape(shape).astype(kind)
    data = npz(path=save(x=values, y=np.array([0, 1])))
    assert isinstance(data, Array)
    assert data.inputs.dtype == dtype
    moved = expected != shape and len(shape) == 4
    wanted = values.transpose(0, 3, 1, 2) if moved else values.reshape(expected)
    assert np.array_equal(data.inputs.numpy(), wanted)
    assert data.inputs.is_contiguous()
    assert [note for note in data.notes if "channels last" in note] == list(data.notes)
    assert len(data.notes) == moved


@given(
    st.sampled_from(["?", "i1", "<i2", ">i4", "u8", "f2", ">f4", "f8"]),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.booleans(),
)
def test_any_type_and_order_of_bytes_and_dimensions(
    tmp_path_factory: pytest.TempPathFactory, kind: str, shape: tuple[int, int], fortran: bool
):
    values = np.arange(math.prod(shape)).reshape(shape).astype(kind)
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez(path, x=np.asfortranarray(values) if fortran else values, y=np.arange(shape[0]))
    assert npz(path=str(path)).inputs.tolist() == values.astype(float).tolist()


# One matrix


def test_a_matrix_in_a_file_of_its_own(tmp_path: Path):
    path = str(tmp_path / "a.npy")
    np.save(path, np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    table = npz(path=path)
    assert (table.inputs.tolist(), table.target_names) == ([[1, 2], [4, 5]], ("y",))
    assert isinstance(table.target, torch.Tensor)
    assert table.target.tolist() == [[3], [6]]
    assert npz(path=path, target=0).inputs.tolist() == [[2, 3], [5, 6]]
    assert "has 3 columns, counted from 0; expected column 3" in fault(
        lambda: npz(path=path, target=3)
    )
    assert "the number of a column" in fault(lambda: npz(path=path, target="y"), ConfigError)
    assert "the number of a column" in fault(lambda: npz(path=path, inputs="x"), ConfigError)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(3), "has the shape (3,); expected a matrix"),
        (np.zeros((2, 2, 2)), "has the shape (2, 2, 2); expected a matrix"),
        (np.zeros((2, 1)), "has one column; expected inputs and a target"),
        (np.zeros((2, 2), complex), "holds complex128; expected numbers"),
    ],
)
def test_what_is_no_matrix_with_a_target(tmp_path: Path, values: np.ndarray, words: str):
    path = str(tmp_path / "a.npy")
    np.save(path, values)
    assert words in fault(lambda: npz(path=path))


# New files


def test_a_file_to_predict_may_lack_the_target(save: Save, tmp_path: Path):
    assert read(save(x=X)).target is None
    assert read(save(anything=X)).target is None
    assert read(save(features=X), inputs="features", target="price").target is None
    table = read(save(features=X, price=Y), inputs="features", target="price")
    assert isinstance(table.target, torch.Tensor)
    assert "expected 'price'" in fault(
        lambda: read(save(features=X), inputs="features", target="price", needs_target=True)
    )
    assert "name data.inputs" in fault(lambda: read(save(a=X, b=X)))
    path = tmp_path / "a.npy"
    np.save(path, np.array([[1, 2, 3]]))
    assert read(path, features=3).target is None
    assert read(path).inputs.tolist() == [[1, 2, 3]]
    assert read(path, target=0, features=2).inputs.tolist() == [[2, 3]]
    assert "column 3" in fault(lambda: read(path, target=3, features=2))


# What is refused


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:2], "'y' holds 2 samples, 'x' 3; expected as many of both"),
        (X[:, 0], Y, "'x' has the shape (3,); expected samples along the first of two or more"),
        (X[:0], Y[:0], "'x' has the shape (0, 2), which holds nothing"),
        (X.astype(complex), Y, "'x' holds complex128; expected numbers"),
        (X.astype("M8[s]"), Y, "'x' holds datetime64[s]; expected numbers"),
        (X.astype(str), Y, "'x' holds <U32; expected numbers"),
        (np.zeros(3, [("a", "f8"), ("b", "i4")]), Y, "expected numbers"),
        (X.astype(object), Y, "'x' holds pickled objects, which are refused"),
        (X, Y.astype(object), "'y' holds pickled objects, which are refused"),
        (X, Y.astype("m8[s]"), "'y' holds timedelta64[s]; expected numbers or words"),
        (X, np.zeros((3, 1, 1)), "'y' has the shape (3, 1, 1); expected (N,) or (N, targets)"),
        (X, np.zeros((3, 0)), "'y' has the shape (3, 0)"),
        (X, np.array([["a", "b"]] * 3), "'y' holds 2 columns of words; expected one"),
        (X, np.array([b"\xff"] * 3), "'y' holds bytes that are not UTF-8"),
        (X, np.array([2**60] * 3), "'y' holds whole numbers above 2**53"),
        (X, np.array([1, math.inf, 2]), "infinite, the first at y[1, 0]"),
        (
            np.array([[1, 2], [math.inf, -math.inf]]),
            Y[:2],
            "'x' has 2 values that are infinite, the first at x[1, 0]",
        ),
        (np.array([[1, 1e39]]), Y[:1], "1 value that is beyond float32, which ends at 3.4e38"),
        (
            np.array([[[1, math.nan]], [[1, 2]]]),
            Y[:2],
            "'x' has 1 value that is missing (NaN), the first at x[0, 0, 1]",
        ),
    ],
)
def test_arrays_that_cannot_be_used(save: Save, x: np.ndarray, y: np.ndarray, words: str):
    path = save(x=x, y=y)
    line = fault(lambda: npz(path=path))
    assert line.startswith(f"{path}: ")
    assert words in line


def test_parts_that_do_not_go_together(save: Save):
    path = save(x_train=X, y_train=Y, x_test=X[:, :1], y_test=Y)
    assert "'x_test' has samples of shape (1,); expected (2,), as 'x_train' has" in fault(
        lambda: npz(path=path)
    )
    path = save(x_train=X, y_train=Y, x_test=X, y_test=np.array(["a", "b", "c"]))
    assert "'y_test' holds <U1" in fault(lambda: npz(path=path))


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    """What an .npy file begins with."""
    buffer = io.BytesIO()
    words = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, words)  # type: ignore[arg-type]
    return buffer.getvalue()


def archive(path: Path, **files: bytes) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(f"{name}.npy", content)
    return str(path)


def test_sizes_that_lie(tmp_path: Path):
    lie = header((10**6, 10**9))
    path = archive(tmp_path / "a.npz", x=lie + bytes(80), y=header((10,)) + bytes(80))
    assert "'x': declares 8,000,000,000,000,000 bytes of values, but there are 80" in fault(
        lambda: npz(path=path)
    )
    (tmp_path / "a.npy").write_bytes(lie)
    assert "but there are 0" in fault(lambda: npz(path=str(tmp_path / "a.npy")))
    (tmp_path / "a.npy").write_bytes(header((-5, 2)))
    assert "declares the shape (-5, 2)" in fault(lambda: npz(path=str(tmp_path / "a.npy")))


def test_a_bomb_is_refused_from_what_the_archive_declares(tmp_path: Path):
    """An entry whose sizes agree, in the directory and in the array's header, on 8 petabytes."""
    start = header((10**6, 10**9))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("x.npy", start)
        zipped.writestr("y.npy", header((1,)) + bytes(8))
        zipped.getinfo("x.npy").file_size = len(start) + 8 * 10**15
    assert "GiB of memory; this machine has" in fault(lambda: npz(path=str(path)), MachineError)


@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_archive(save: Save, packed: bool):
    path = Path(save(packed=packed, x=np.arange(200.0).reshape(100, 2), y=np.arange(100)))
    whole = path.read_bytes()
    for raw in (whole[:-30], whole[:100], whole[:200] + b"\xaa\x55" + whole[202:]):
        path.write_bytes(raw)
        assert "damaged" in fault(lambda: npz(path=str(path)))
    path.write_bytes(b"")
    assert "is neither .npz nor .npy" in fault(lambda: npz(path=str(path)))


@given(st.integers(0, 600), st.integers(0, 255))
def test_any_changed_byte_is_harmless_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez(path, x=X, y=Y)
    raw = bytearray(path.read_bytes())
    raw[place % len(raw)] = byte
    path.write_bytes(raw)
    try:
        values = npz(path=str(path)).inputs.tolist()
    except NnarchError as error:
        assert len(error.lines) == 1  # noqa: PT017 (either may happen)
    else:
        assert values == X.tolist()


def test_headers_that_are_no_headers(tmp_path: Path):
    path = tmp_path / "a.npy"
    magic = b"\x93NUMPY"
    for raw in (
        magic,
        magic + b"\x09\x00" + struct.pack("<H", 2) + b"{}",
        magic + b"\x01\x00" + struct.pack("<H", 60_000) + b"{}",
        magic + b"\x01\x00" + struct.pack("<H", 4) + b"((((",
        magic + b"\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
        header((2, 2)).replace(b"<f8", b"<q9"),
        header((2, 2)).replace(b"(2, 2)", b"'2, 2'"),
    ):
        path.write_bytes(raw)
        assert "has no readable header" in fault(lambda: npz(path=str(path)))


def test_an_encrypted_archive(save: Save):
    path = Path(save(x=X, y=Y))
    raw = bytearray(path.read_bytes())
    for start in (b"PK\x03\x04", b"PK\x01\x02"):
        place = raw.index(start) + (6 if start[2] == 3 else 8)
        raw[place] |= 1
    path.write_bytes(raw)
    assert "is encrypted" in fault(lambda: npz(path=str(path)))


def test_nothing_is_unpickled(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "a.npz", x=X, y=np.array([Trap()] * 3, dtype=object))
    fault(lambda: npz(path=str(tmp_path / "a.npz")))
    np.save(tmp_path / "a.npy", np.array([[Trap()] * 3], dtype=object))
    fault(lambda: npz(path=str(tmp_path / "a.npy")))
    assert not (tmp_path / "sprung").exists()
