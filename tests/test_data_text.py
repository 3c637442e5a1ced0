"""Running text: every token comes back, and documents end where they end."""

import gzip
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnarch.data.formats.vocabulary import END, PAD, UNKNOWN, WORD, Level, coded, encode
from nnarch.data.sources import text as module
from nnarch.data.sources.text import text
from nnarch.data.table import Table
from nnarch.data.tokens import PADDING, Tokens
from nnarch.errors import ConfigError, DataError, MachineError, NnarchError

NAMES = "emma\nolivia\nava\n"


def fault(call: Callable[[], Any], kind: type[NnarchError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines
    return line


def put(folder: Path, content: str | bytes, name: str = "a.txt") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def running(path: str, **options: Any) -> Tokens:
    tokens = text(path=path, **options)
    assert isinstance(tokens, Tokens)
    return tokens


def documents(tokens: Tokens) -> list[list[str]]:
    """The tokens of each document, and its end."""
    starts = tokens.documents.tolist()
    words = [tokens.vocabulary[code] for code in tokens.ids.tolist()]
    return [words[start:stop] for start, stop in pairwise(starts)]


# What is read


def test_lines_of_characters(tmp_path: Path):
    tokens = running(put(tmp_path, NAMES), documents="lines", context=5)
    assert documents(tokens) == [[*"emma", END], [*"olivia", END], [*"ava", END]]
    assert tokens.vocabulary[PADDING] == PAD
    assert tokens.vocabulary == (PAD, END, "a", "i", "m", "v", "e", "l", "o")  # most frequent first
    assert (tokens.ids.dtype, tokens.documents.dtype) == (torch.int64, torch.int64)
    assert tokens.context == 5
    assert tokens.target_names == ("next",)
    assert (tokens.parts, tokens.notes) == (None, ())


def test_one_document(tmp_path: Path):
    tokens = running(put(tmp_path, NAMES), documents="file")
    assert documents(tokens) == [[*NAMES, END]]


def test_words_as_they_are_spelt(tmp_path: Path):
    path = put(tmp_path, "Emma's 2 cats:\n\nnaïve, Cats!\n")
    tokens = running(path, tokens="words", documents="lines")
    first, second = documents(tokens)
    assert first == ["Emma", "'", "s", "2", "cats", ":", END]
    assert second == ["naïve", ",", "Cats", "!", END]


def test_bytes_of_any_file(tmp_path: Path):
    raw = bytes(range(256)) * 2
    tokens = running(put(tmp_path, raw), tokens="bytes", documents="file")
    assert len(tokens.vocabulary) == 258
    shown = {tokens.vocabulary[code] for code in tokens.ids.tolist()}
    assert {"a", "\\x0a", "\\xff", END} <= shown
    (one,) = documents(tokens)
    back = [int(token[2:], 16) if len(token) == 4 else ord(token) for token in one[:-1]]
    assert bytes(back) == raw


def test_bytes_that_do_not_occur_are_known_too(tmp_path: Path):
    assert len(running(put(tmp_path, "a"), tokens="bytes").vocabulary) == 258


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=6),
    st.sampled_from(["characters", "bytes", "words"]),
)
def test_documents_come_back_as_they_were(texts: list[str], level: Level):
    given_texts = [one.encode().decode("latin-1") for one in texts] if level == "bytes" else texts
    codes, starts, vocabulary = coded(given_texts, level, None)
    split = WORD.findall if level == "words" else list
    lengths = [len(split(one)) + 1 for one in given_texts]
    assert starts.diff().tolist() == lengths
    assert len(codes) == sum(lengths)
    assert len(set(vocabulary)) == len(vocabulary)
    assert codes.numel() == 0 or int(codes.min()) > PADDING
    for one, start, length in zip(texts, starts.tolist(), lengths, strict=False):
        row = codes[start : start + length].tolist()
        assert vocabulary[row[-1]] == END
        again = encode([one], vocabulary, level, length + 1)[0].tolist()
        assert again == [PADDING, PADDING, *row[:-1]]


def test_the_most_frequent_tokens_are_kept(tmp_path: Path):
    words = ["a", "a", "a", "b", "b", "c", "c", "d"]
    path = put(tmp_path, " ".join(words))
    tokens = running(path, tokens="words", vocabulary=2)
    assert tokens.vocabulary == (PAD, END, UNKNOWN, "a", "b")
    (one,) = documents(tokens)
    assert Counter(one) == {UNKNOWN: 3, "a": 3, "b": 2, END: 1}
    assert UNKNOWN not in running(path, tokens="words", vocabulary=4).vocabulary
    assert UNKNOWN in running(path, vocabulary=3).vocabulary


def test_ten_thousand_words_unless_said(tmp_path: Path):
    path = put(tmp_path, " ".join(f"w{number}" for number in range(10_001)))
    assert len(running(path, tokens="words").vocabulary) == 3 + 10_000
    assert len(running(path, tokens="words", vocabulary=20_000).vocabulary) == 2 + 10_001


@pytest.mark.parametrize(
    ("content", "found", "why"),
    [
        ("anna\n" * 100, "lines", "100 lines, of 4 characters"),
        ("anna\n" * 99, "file", "99 lines only"),
        ("anna", "file", "1 line only"),
        ("anna\n\n" * 100, "file", "empty lines between others"),
        ("anna\n" * 100 + "\n\n", "lines", "100 lines"),
        ("anna\nbea", "file", "2 lines only"),
        (("x" * 200 + "\n") * 100, "file", "long lines, of 200 characters"),
    ],
)
def test_what_the_documents_are_is_seen_and_said(
    tmp_path: Path, content: str, found: str, why: str
):
    tokens = running(put(tmp_path, content))
    assert len(tokens.documents) - 1 == (100 if found == "lines" else 1)
    (note,) = tokens.notes
    assert note.startswith(f"data.documents: {found}, since the file has ")
    assert why in note


@pytest.mark.parametrize("content", ["a\nb\n", "a\r\nb\r\n", "a\rb", "\ufeffa\nb", "a\n \nb"])
def test_lines_however_they_end(tmp_path: Path, content: str):
    tokens = running(put(tmp_path, content), documents="lines")
    assert documents(tokens) == [["a", END], ["b", END]]


def test_gzip(tmp_path: Path):
    plain = running(put(tmp_path, NAMES), documents="lines")
    packed = running(put(tmp_path, gzip.compress(NAMES.encode()), "a.gz"), documents="lines")
    assert torch.equal(plain.ids, packed.ids)


# What follows a text


def test_prompts_are_padded_on_the_left_and_cut_there():
    vocabulary = (PAD, END, "a", "b", "c")
    codes = encode(["", "ab", "abcabc"], vocabulary, "characters", 4)
    assert codes.dtype == torch.int64
    assert codes.tolist() == [[0, 0, 0, 0], [0, 0, 2, 3], [4, 2, 3, 4]]
    assert encode([], vocabulary, "characters", 4).shape == (0, 4)


def test_prompts_of_tokens_that_are_not_known():
    line = fault(lambda: encode(["ab", "ax"], (PAD, END, "a", "b"), "characters", 4))
    assert line.startswith("text 2: got 'x', ")
    known = (PAD, END, UNKNOWN, "a", "b")
    assert encode(["a x b"], known, "words", 4).tolist() == [[0, 3, 2, 4]]
    assert encode(["<end>"], known, "words", 3).tolist() == [[2, 2, 2]]  # three words, no end


# Texts to tell apart


def test_texts_with_a_target(tmp_path: Path):
    path = put(tmp_path, "id,review,label\na1,very good,pos\nb2,rather bad,neg\nc3,very good,pos\n")
    table = text(path=path, target="label")
    assert isinstance(table, Table)
    (column,) = table.columns
    assert (column.name, column.kind) == ("review", "text")
    codes = table.inputs[:, 0].long().tolist()
    assert [column.words[code] for code in codes] == ["very good", "rather bad", "very good"]
    assert table.target == ["pos", "neg", "pos"]
    assert table.target_names == ("label",)
    other = text(path=path, target="label", column="id")
    assert isinstance(other, Table)
    assert other.columns[0].words == ("a1", "b2", "c3")


# What is refused


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n \n\t\n", "is empty"),
        (b"ab\nc\xff\n", "line 2: byte 4 is not UTF-8; save it in UTF-8, or take data.tokens"),
        (gzip.compress(NAMES.encode(), mtime=0)[:-4], "is truncated or damaged"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: str | bytes, words: str):
    path = put(tmp_path, content)
    line = fault(lambda: text(path=path))
    assert line.startswith(f"{path}: ")
    assert words in line


def test_files_that_are_not_there(tmp_path: Path):
    assert "no such file" in fault(lambda: text(path=str(tmp_path / "none.txt")))
    assert "is a directory" in fault(lambda: text(path=str(tmp_path)))


def test_options_that_do_not_go_together(tmp_path: Path):
    path = put(tmp_path, NAMES)
    line = fault(lambda: text(path=path, column="review"), ConfigError)
    assert line.startswith("data.column: given without data.target")
    line = fault(lambda: text(path=path, tokens="bytes", vocabulary=9), ConfigError)
    assert line.startswith("data.vocabulary: got 9; expected none")
    for key, value in (("tokens", "bytes"), ("context", 9), ("documents", "file")):
        options: dict[str, Any] = {key: value}
        line = fault(lambda options=options: text(path=path, target="y", **options), ConfigError)
        assert line.startswith(f"data.{key}: got {value!r}; expected none beside data.target")


def test_more_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A gzip file tells its size by unfolding; it is followed no further than memory goes."""
    monkeypatch.setattr("nnarch.machine.memory", lambda: module.ROOM * 2.0**21)
    path = put(tmp_path, gzip.compress(bytes(2**24)))
    assert "GiB of memory" in fault(lambda: text(path=path), MachineError)
