"""Files: replaced whole or not at all, and JSON that every reader takes."""

import json
import math
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch import files
from nnarch.errors import MachineError


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The kernel refuses to write more than `size` bytes into a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("content", ["", "a\nb", "ä€😀", b"", b"\x00\xff" * 100_000])
def test_what_is_written_can_be_read(content: str | bytes, tmp_path: Path):
    path = tmp_path / "file"
    files.write(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert files.read(path) == path.read_bytes()
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_replaced(tmp_path: Path):
    path = tmp_path / "file"
    for content in ("long " * 1000, "short"):
        files.write(path, content)
        assert path.read_text() == content


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_may_be_read_by_whom_the_user_lets(umask: int, mode: int, tmp_path: Path):
    before = os.umask(umask)
    try:
        files.write(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "file"
    files.write(path, "old")
    with files_limited_to(10_000), pytest.raises(MachineError) as failed:
        files.write(path, b"x" * 20_000)
    assert failed.value.exit_code == 7
    assert failed.value.lines == [f"{path}: file too large"]
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_that_is_not_there_is_said_in_one_line(tmp_path: Path):
    path = tmp_path / "missing" / "file"
    with pytest.raises(MachineError) as failed:
        files.write(path, "x")
    assert failed.value.lines == [f"{path}: no such file or directory"]


def test_a_directory_in_the_way_is_left_alone(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(MachineError, match="is a directory"):
        files.write(tmp_path / "taken", "x")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path):
    (tmp_path / "other").write_text("precious")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    files.write(tmp_path / "file", "new")
    assert (tmp_path / "other").read_text() == "precious"
    assert (tmp_path / "file").read_text() == "new"


def test_a_reader_never_meets_half_a_file(tmp_path: Path):
    path = tmp_path / "file"
    contents = [bytes([i]) * 50_000 for i in range(30)]
    files.write(path, contents[0])
    done = threading.Event()

    def writer() -> None:
        for content in contents:
            files.write(path, content)
        done.set()

    thread = threading.Thread(target=writer)
    thread.start()
    while not done.is_set():
        assert path.read_bytes() in contents
    thread.join()
    assert os.listdir(tmp_path) == ["file"]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="not a plain file"):
            files.read(path)


def test_json_is_of_numbers_that_every_reader_knows():
    value = {"a": math.nan, "b": [math.inf, (-math.inf, 1.5)], "c": {"d": math.nan}, "e": None}
    text = files.to_json(value)
    assert json.loads(text) == {"a": None, "b": [None, [None, 1.5]], "c": {"d": None}, "e": None}
    assert "NaN" not in text
    assert "Infinity" not in text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary().map(os.fsdecode),  # file names, even of bytes that are no characters
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON, st.sampled_from([None, 1]))
def test_json_says_what_it_was_given_and_is_utf_8(value: object, indent: int | None):
    text = files.to_json(value, indent)
    assert json.loads(text.encode()) == value


def test_json_is_readable():
    assert files.to_json({"name": "größe"}, indent=1) == '{\n "name": "größe"\n}'
