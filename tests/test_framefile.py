"""Frames of columns in a file: read back equal, whatever the format, and never half written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nnarch import framefile
from nnarch.errors import MachineError, UsageError

FRAMES: list[dict[str, Any]] = [
    {"name": ["a,b", 'say "x"', None], "p": np.array([0.1, 1e-30, 3e8], dtype=np.float32)},
    {"name": ["é\n2", "", "ü"], "p": np.array([0.25, -0.0, 1 / 3], dtype=np.float32)},
]
READERS = {
    ".csv": pl.read_csv,
    ".tsv": lambda path: pl.read_csv(path, separator="\t"),
    ".jsonl": pl.read_ndjson,
    ".parquet": pl.read_parquet,
}


@pytest.mark.parametrize("suffix", framefile.FORMATS)
def test_what_is_written_is_read_back(suffix: str, tmp_path: Path):
    path = tmp_path / f"out{suffix}"
    assert framefile.write(iter(FRAMES), path) == 6
    found = READERS[suffix](path)
    assert found.columns == ["name", "p"]
    assert found["name"].to_list() == ["a,b", 'say "x"', None, "é\n2", "", "ü"]
    written = np.concatenate([frame["p"] for frame in FRAMES])
    assert np.array_equal(found["p"].to_numpy().astype(np.float32), written)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_text_is_the_same_lines_that_are_printed(tmp_path: Path):
    framefile.write(FRAMES, tmp_path / "out.csv")
    printed = [framefile.as_csv(frame, number == 0) for number, frame in enumerate(FRAMES)]
    assert (tmp_path / "out.csv").read_text() == "".join(printed)
    assert printed[0].splitlines()[0] == "name,p"


def test_numbers_that_are_whole_in_one_frame_and_not_in_another(tmp_path: Path):
    frames = [{"a": [1, 2]}, {"a": [None, None]}, {"a": [0.5, None]}]
    framefile.write(frames, tmp_path / "out.parquet")
    expected = pl.DataFrame({"a": [1.0, 2.0, None, None, 0.5, None]})
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), expected)


@pytest.mark.parametrize("suffix", framefile.FORMATS)
@pytest.mark.parametrize("before", [None, b"before"])
def test_what_fails_in_the_middle_leaves_what_was_there(
    suffix: str, before: bytes | None, tmp_path: Path
):
    path = tmp_path / f"out{suffix}"
    if before:
        path.write_bytes(before)

    def broken() -> Iterator[dict[str, Any]]:
        yield FRAMES[0]
        raise ValueError("the second is not to be had")

    with pytest.raises(ValueError, match="not to be had"):
        framefile.write(broken(), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.parametrize("suffix", framefile.FORMATS)
def test_a_file_is_replaced_when_the_new_one_is_whole(suffix: str, tmp_path: Path):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"before")

    def watching() -> Iterator[dict[str, Any]]:
        for frame in FRAMES:
            assert path.read_bytes() == b"before"
            yield frame

    framefile.write(watching(), path)
    assert len(READERS[suffix](path)) == 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(MachineError, match=r"out\.csv: permission denied"):
        framefile.write(FRAMES, tmp_path / "out.csv")


def test_a_folder_that_is_gone_meanwhile(tmp_path: Path):
    with pytest.raises(MachineError, match=r"out\.csv: no such file or directory"):
        framefile.write(FRAMES, tmp_path / "gone" / "out.csv")


def test_what_can_be_known_beforehand_is(tmp_path: Path):
    (tmp_path / "there.csv").touch()
    for name in ("new.csv", "new.TSV", "new.jsonl", "new.parquet"):
        framefile.check(tmp_path / name, force=False)
    framefile.check(tmp_path / "there.csv", force=True)
    refused = {
        "there.csv": "is there already; --force replaces it",
        "out.xlsx": r"got '\.xlsx'; expected a name that ends in \.csv, \.tsv, \.parquet, \.jsonl",
        "out": "got ''; expected a name that ends in",
        "gone/out.csv": "gone: no such directory",
    }
    for name, said in refused.items():
        with pytest.raises(UsageError, match=said):
            framefile.check(tmp_path / name, force=False)
