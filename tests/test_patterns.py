"""Files that match a pattern: the same as Python's glob finds, where that ends."""

import os
from glob import glob
from pathlib import Path

import pytest

from nnarch.errors import DataError
from nnarch.patterns import matching

FILES = ["a.csv", "b.csv", "a.txt", ".hidden.csv", "d/a.csv", "d/e/a.csv", "d/e/.f/a.csv", "x/y"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.csv").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PATTERNS = [
    *["*.csv", "a.*", ".*.csv", "[ab].csv", "[!a].csv", "?.csv", "*/*.csv", "*/e/*", "d/*/a.csv"],
    *["**/*.csv", "**/a.csv", "**/e/**/*.csv", "d/**/a.csv", "**", "**/**", "d/e/.*/*", "x/*/"],
    *["none/*.csv", "a.csv/*", "../*/a.csv", "./*.csv", "*\0*", "d//*.csv", "**a.csv"],
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_is_found_as_glob_finds(pattern: str, folder: Path) -> None:
    found = list(matching(pattern))
    assert len(found) == len(set(found))
    expected = (
        set() if "\0" in pattern else {os.path.normpath(p) for p in glob(pattern, recursive=True)}
    )
    assert {os.path.normpath(path) for path in found if path} == expected - {"."}
    whole = {os.path.normpath(path) for path in matching(f"{folder}/{pattern}")}
    assert whole - {str(folder)} == {os.path.normpath(folder / path) for path in expected - {"."}}


def test_a_link_to_a_folder_is_no_way_down(folder: Path) -> None:
    (folder / "d" / "again").symlink_to("..")
    (folder / "d" / "once more").symlink_to("..")
    assert sorted(matching("**/a.csv")) == ["a.csv", "d/a.csv", "d/e/a.csv"]
    assert "d/again/b.csv" in matching("d/*/*.csv")


def test_only_so_much_is_looked_at(folder: Path) -> None:
    for name in "abcdefghij":
        (folder / "d" / f"loop {name}").symlink_to(".")
    with pytest.raises(DataError, match=r"is a pattern over more than 100,000 files and folders"):
        list(matching("d" + "/*" * 20 + "/none.csv"))
