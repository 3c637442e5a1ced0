"""Data files that a stranger made: to run something as they are opened, or to unfold without end.

What is not repeated here, tests/test_bad_data.py has: what a file may hold, and how each fault of
an ordinary file is told.
"""

import gzip
import io
import os
import pickle
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image, PngImagePlugin

from harness import Start, Tally
from hostile import Gadget, Refused, program, watched

NETWORK = "model: {widths: [4]}\nepochs: 1\nthreads: 1\n"
X, Y = np.arange(48.0).reshape(24, 2), np.arange(24.0)

Make = Callable[[Path], bytes]  # of where the canary would be


def config(folder: Path, data: str) -> None:
    (folder / "bad.yaml").write_text(f"data: {{{data}}}\n{NETWORK}")


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def headed(header: str, version: int = 1) -> bytes:
    """An .npy file of nothing but this header."""
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode()


def shaped(shape: str, descr: str = "'<f8'", version: int = 1) -> bytes:
    return headed(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", version)


def archive(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in {"y": npy(Y), **entries}.items():
            opened.writestr(f"{name}.npy", content)
    return file.getvalue()


def objects(canary: Path) -> np.ndarray:
    return np.array([Gadget(canary)] * 24, dtype=object)


def structured(canary: Path) -> np.ndarray:
    rows = np.zeros(24, dtype=[("number", "<f8"), ("hidden", "O")])
    rows["hidden"] = Gadget(canary)
    return rows


def called(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w')"


def torch_file(canary: Path) -> bytes:
    torch.save({"X": Gadget(canary)}, file := io.BytesIO())
    return file.getvalue()


def overlapping(count: int) -> bytes:
    """An archive of very many entries that are all one."""
    body, crc = npy(X), zlib.crc32(npy(X))
    sizes = (crc, len(body), len(body), 5)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 0, 0, 0, *sizes, 0) + b"X.npy" + body
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, *[0] * 4, *sizes, *[0] * 6)
    entries = (entry + b"X.npy") * count
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(entries), len(local), 0)
    return local + entries + end


ARRAYS: dict[str, Make] = {
    "objects": lambda canary: archive(X=npy(objects(canary).reshape(-1, 1))),
    "objects as a target": lambda canary: archive(X=npy(X), y=npy(objects(canary))),
    "objects in a structure": lambda canary: archive(X=npy(structured(canary))),
    "a pickle in place of an array": lambda canary: archive(X=pickle.dumps(Gadget(canary))),
    "a pickle in place of an archive": lambda canary: pickle.dumps(Gadget(canary)),
    "a file of torch": torch_file,
    "a file of torch within": lambda canary: archive(X=torch_file(canary)),
    "a call in a shape": lambda canary: archive(X=shaped(f"({called(canary)}, 2)")),
    "a call in a type": lambda canary: archive(X=shaped("(24, 2)", called(canary))),
    "a call in a matrix": lambda canary: shaped(f"({called(canary)}, 2)"),
    "a header nested without end": lambda canary: archive(X=headed("(" * 60_000)),
    "a header nested in version 2": lambda canary: archive(X=headed("[" * 200_000, 2)),
    "a header of 16 MB": lambda canary: archive(X=headed(" " * 2**24, 2)),
    "a header of 4 GB declared": lambda canary: archive(
        X=b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    ),
    "a size of 5,000 digits": lambda canary: archive(X=shaped(f"({'9' * 5000},)")),
    "65 dimensions": lambda canary: archive(X=shaped(f"(24{',1' * 64})") + bytes(192)),
    "a size that is no whole number": lambda canary: archive(X=shaped("(24.5, 2)")),
    "words of 8 GB": lambda canary: archive(X=npy(X), y=shaped("(24,)", "'<U2000000000'")),
    "values of no size": lambda canary: archive(X=shaped("(10000000000000, 2)", "'|V0'")),
    "values of 8 TB each": lambda canary: archive(X=shaped("(24,)", "('<f8', (1000000, 1000000))")),
    "200,000 columns": lambda canary: archive(X=npy(np.zeros((24, 200_000)))),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_numbers_or_nothing(
    refused: Refused, here: Path, canary: Path, make: Make
) -> None:
    (here / "d.npz").write_bytes(make(canary))
    config(here, "source: npz, path: d.npz")
    assert refused("train", "bad.yaml", code=4).startswith("d.npz: ")
    assert refused("init", "d.npz", "-o", "made.yaml", code=4).startswith("d.npz: ")


def test_what_lies_beside_arrays_is_not_opened(
    child: Start, here: Path, canary: Path, tally: Tally
) -> None:
    entries = {"data.pkl": pickle.dumps(Gadget(canary)), "evil.py": program(canary).encode()}
    entries |= {"../../outside/canary": b"", f"{canary}": b"", "../../outside/canary.npy": npy(Y)}
    with zipfile.ZipFile(here / "d.npz", "w") as opened:
        for name, content in {"X.npy": npy(X), "y.npy": npy(Y), **entries}.items():
            opened.writestr(name, content)
    config(here, "source: npz, path: d.npz")
    done = child("train", "bad.yaml", "--quiet", cwd=here)
    assert watched(done) == 0, done.stderr
    tally("payloads")
    assert not list(canary.parent.iterdir())


def idx(kind: int, *shape: int) -> bytes:
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


IDX = {
    "2^40 images": (idx(8, 2**20, 2**20, 1), 7),
    "2^40 images packed": (gzip.compress(idx(8, 2**20, 2**20, 1)), 7),
    "2^96 numbers": (idx(14, *[2**32 - 1] * 3), 7),
    "255 dimensions": (idx(8, *[1] * 255) + b"1", 4),
    "a gigabyte that is not there": (gzip.compress(idx(8, 2**20, 32, 32)), 4),
}


@pytest.mark.parametrize(("content", "code"), IDX.values(), ids=IDX)
def test_images_are_no_more_than_there_are(
    refused: Refused, here: Path, content: bytes, code: int
) -> None:
    for name in ("a-images-idx3-ubyte", "a-labels-idx1-ubyte"):
        (here / name).write_bytes(content)
    config(here, "source: idx, path: a-images-idx3-ubyte")
    assert refused("train", "bad.yaml", code=code).startswith("a-images-idx3-ubyte: ")


def packed(first: str, rest: str, times: int) -> bytes:
    """gzip of a text whose rest comes many times, in a few bytes."""
    return gzip.compress(first.encode()) + gzip.compress((rest * (2**24 // len(rest))).encode()) * (
        times
    )


LONG = {
    "a line of 100 MB": lambda path: path.write_bytes(b"x,y\n" + b"1" * 100_000_000),
    "a header of 100 MB": lambda path: path.write_bytes(b"x" * 100_000_000),
    "a line that unfolds to 4 GB": lambda path: path.write_bytes(packed("x,y\n", "1", 256)),
    "such a line behind others": lambda path: path.write_bytes(
        gzip.compress(b"x,y\n" + b"1,2\n" * 200_000) + packed("", "1", 256)
    ),
    "such a line in quotes": lambda path: path.write_bytes(packed('x,y\n"', "1", 256)),
    "100,001 columns": lambda path: path.write_text(
        ",".join(f"c{i}" for i in range(100_000)) + ",y\n" + "1," * 100_000 + "2\n"
    ),
    "a program called CSV": lambda path: path.write_text(program(path.with_name("canary"))),
    "a pickle called CSV": lambda path: path.write_bytes(pickle.dumps(Gadget(path / "canary"))),
}


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_a_table_of_text_has_lines_and_columns_within_reason(
    refused: Refused, here: Path, make: Callable[[Path], object]
) -> None:
    make(here / "t.csv")
    config(here, "source: csv, path: t.csv, target: y")
    assert refused("train", "bad.yaml", code=4).startswith("t.csv: ")
    assert refused("init", "t.csv", "-t", "y", code=4).startswith("t.csv: ")


@pytest.mark.parametrize("source", ["csv", "text"])
@pytest.mark.share(0, 1)
def test_what_unfolds_beyond_memory_is_refused_before_it_has_all(
    child: Start, here: Path, source: str, seed: int, tally: Tally
) -> None:
    """Memory is what the process may have; so it is given less than the machine has."""
    (here / "t").write_bytes(packed("x,y\n", "1,2\n", 512))
    more = ", target: y" if source == "csv" else ""
    config(here, f"source: {source}, path: t{more}")
    done = child("train", "bad.yaml", cwd=here)
    resource.prlimit(done.pid, resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
    assert watched(done, seconds=60, memory=2200) == 7, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(("error: t: takes 3.0 GiB of memory", "error: out of memory"))
    tally("payloads")


def png(width: int, height: int) -> bytes:
    """A picture that declares these sides, and holds nothing."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        crc = zlib.crc32(kind + data)
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc))
    return b"".join(parts)


def with_text(folder: Path) -> None:
    """A picture that holds a text which unfolds."""
    told = PngImagePlugin.PngInfo()
    told.add_text("comment", "0" * 2**27, zip=True)
    Image.new("L", (4, 4)).save(folder / "a" / "3.png", pnginfo=told)


def loop(folder: Path) -> None:
    (folder / "a" / "again").symlink_to("..")


PICTURES: dict[str, Callable[[Path], object]] = {
    "60,000 pixels each way": lambda at: (at / "a" / "3.png").write_bytes(png(60_000, 60_000)),
    "2^31 pixels each way": lambda at: (at / "a" / "3.png").write_bytes(png(2**31 - 1, 2**31 - 1)),
    "a bitmap of 60,000": lambda at: (at / "a" / "3.bmp").write_bytes(
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60_000, 60_000, 1, 24, *[0] * 6)
    ),
    "a text that unfolds": with_text,
    "a folder within itself": loop,
    "a link to a device": lambda at: (at / "a" / "3.png").symlink_to("/dev/zero"),
    "a pipe": lambda at: os.mkfifo(at / "a" / "3.png"),
    "a program that draws": lambda at: (at / "a" / "3.png").write_text("%!PS\n(x) run\n"),
}


@pytest.mark.parametrize("spoil", PICTURES.values(), ids=PICTURES)
def test_pictures_are_looked_at_before_they_are_unfolded(
    refused: Refused, here: Path, spoil: Callable[[Path], object]
) -> None:
    for label in "ab":
        (here / "d" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (4, 4), number).save(here / "d" / label / f"{number}.png")
    spoil(here / "d")
    config(here, "source: images, path: d, cache: false")
    assert refused("train", "bad.yaml", code=4).startswith("d/a/")


FRAME = pl.DataFrame({"x": X[:, 0], "y": [1.0, 2.0] * 12})
METADATA = {
    "pandas": lambda canary: {"pandas": f'{{"index_columns": [{called(canary)!r}]}}'},
    "a type of pyarrow's": lambda canary: {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Gadget(canary)).hex(),
    },
    "a megabyte": lambda canary: {"note": "x" * 2**20},
}


@pytest.mark.parametrize("make", METADATA.values(), ids=METADATA)
def test_what_a_parquet_file_says_beside_its_columns_is_not_heeded(
    child: Start, here: Path, canary: Path, make: Callable[[Path], dict[str, str]], tally: Tally
) -> None:
    FRAME.write_parquet(here / "d.parquet", metadata=make(canary))
    config(here, "source: parquet, path: d.parquet, target: y")
    done = child("train", "bad.yaml", "--quiet", cwd=here)
    assert watched(done) == 0, done.stderr
    tally("payloads")


def test_a_schema_that_polars_panics_at_is_one_line(refused: Refused, here: Path) -> None:
    FRAME.write_parquet(here / "d.parquet", metadata={"ARROW:schema": "////"})
    config(here, "source: parquet, path: d.parquet, target: y")
    line = refused("train", "bad.yaml", code=4)
    assert line.startswith("d.parquet: cannot be read as Parquet, it is damaged")


@pytest.mark.share(2, 40)
def test_a_parquet_file_with_a_byte_changed_trains_or_is_one_line(
    child: Start, here: Path, seed: int, tally: Tally
) -> None:
    FRAME.write_parquet(here / "d.parquet")
    whole = bytearray((here / "d.parquet").read_bytes())
    place = len(whole) - 9 - seed * 7 % int.from_bytes(whole[-8:-4], "little")
    whole[place] ^= 0xFF
    (here / "d.parquet").write_bytes(whole)
    config(here, "source: parquet, path: d.parquet, target: y")
    done = child("train", "bad.yaml", "--quiet", cwd=here)
    code = watched(done)
    assert (code, done.stderr.count("\n")) in ((0, 0), (4, 1), (3, 1)), done.stderr
    tally("payloads")


PATHS = {
    "a command": "'|touch canary'",
    "a shell's substitution": "'$(touch canary).csv'",
    "an address": "'https://localhost:1/t.csv'",
    "an address of a file": "'file:///etc/passwd'",
    "a bucket": "'s3://bucket/t.csv'",
    "a zero byte": '"t\\0.csv"',
    "an escape of the terminal": '"\\e]0;owned\\a\\e[2J.csv"',
    "a line break": '"t\\n.csv"',
    "a format": "'{0.__class__}%s%n'",
    "a device": "/dev/zero",
    "a terminal": "/dev/tty",
    "itself": "/proc/self/mem",
    "all that there is": "/proc/self/root/**/*.nothing",
}


@pytest.mark.parametrize("source", ["csv", "parquet", "npz", "text", "images"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.share(0, 1)
def test_a_path_is_the_name_of_a_file(
    refused: Refused, here: Path, path: str, source: str, seed: int
) -> None:
    target = "" if source == "npz" else ", target: y"
    config(here, f"source: {source}, path: {path}{target}")
    refused("train", "bad.yaml", code=4)
