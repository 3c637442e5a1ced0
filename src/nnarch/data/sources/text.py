"""The data source `text`: running text to continue, or short texts to tell apart.

Without a target, each token is to be told from those before it in its document. With one, the
file is a table of which one column holds texts. Either way a text is kept as it is written: case
and accents tell words apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Literal

from nnarch.data.formats import wordcolumn
from nnarch.data.formats.datafile import content
from nnarch.data.formats.paths import shown
from nnarch.data.formats.vocabulary import Level, coded
from nnarch.data.table import Table
from nnarch.data.tokens import Tokens
from nnarch.errors import ConfigError, DataError
from nnarch.options import Count, FilePath
from nnarch.registry import sources

EXPECTED = "a text file in UTF-8, gzipped or not"
ROOM = 40  # bytes of memory for each of text, while it is made into tokens
MOST_WORDS = 10_000
CONTEXT = 32
FEWEST_LINES, SHORT = 100, 200


@sources.register
def text(
    *,
    path: FilePath,
    target: str | None = None,
    column: str | None = None,
    tokens: Level = "characters",
    context: Count = CONTEXT,
    documents: Literal["auto", "lines", "file"] = "auto",
    vocabulary: Count | None = None,
) -> Tokens | Table:
    """Running text, to learn which token comes next; or a CSV file of texts, to learn a target.

    Options:
        path: The file, in UTF-8 and gzipped or not; of tokens that are bytes, any file.
        target: The column to predict, if the file is CSV.
        column: The column of texts, if the file is CSV; that of the longest texts unless given.
        tokens: What a text consists of; `words` are runs of letters and digits, and other signs.
        context: How many tokens the network sees.
        documents: `lines` if each line is a text of its own, `file` if they go on; `auto` takes
            100 short lines or more, without empty ones between them, for texts of their own.
        vocabulary: How many distinct tokens to know, the most frequent; 10,000 words unless
            given, and all characters.
    """
    if target is not None:
        beside = {"tokens": tokens, "context": context, "documents": documents}
        _check_unused({**beside, "vocabulary": vocabulary})
        return _labelled(path, target, column)
    if column is not None:
        raise ConfigError("data.column: given without data.target; expected both, of a CSV file")
    if tokens == "bytes" and vocabulary is not None:
        raise ConfigError(f"data.vocabulary: got {vocabulary}; expected none, bytes are always 256")
    if tokens == "words":
        vocabulary = vocabulary or MOST_WORDS
    whole = _decoded(path, tokens)
    lines = [line for line in whole.split("\n") if line and not line.isspace()]
    if not lines:
        raise DataError(f"{shown(path)}: is empty; expected {EXPECTED}")
    notes = ()
    if documents == "auto":
        documents, why = _documents(whole, lines)
        notes = (f"data.documents: {documents}, since the file has {why}",)
    ids, starts, known = coded(lines if documents == "lines" else [whole], tokens, vocabulary)
    return Tokens(ids, starts, known, context, notes=notes)


def _check_unused(options: Mapping[str, object]) -> None:
    """Texts with a target are read as words, by whatever makes features of them."""
    usual = {"tokens": "characters", "context": CONTEXT, "documents": "auto", "vocabulary": None}
    for key, given in options.items():
        if given != usual[key]:
            raise ConfigError(
                f"data.{key}: got {given!r}; expected none beside data.target, where texts are "
                "read as words"
            )


def _documents(whole: str, lines: list[str]) -> tuple[Literal["lines", "file"], str]:
    """What the documents of a text are, and why."""
    empty = whole.rstrip().count("\n") + 1 - len(lines)
    if len(lines) < FEWEST_LINES:
        return "file", f"{len(lines)} line{'s' * (len(lines) > 1)} only"
    if empty > len(lines) / 100:
        return "file", "empty lines between others"
    if (length := median(map(len, lines))) >= SHORT:
        return "file", f"long lines, of {length:g} characters"
    return "lines", f"{len(lines)} lines, of {length:g} characters"


def _decoded(path: str, tokens: Level) -> str:
    """The text of a file; one character for each byte, where `tokens` are bytes."""
    raw = content(path, EXPECTED, ROOM)
    if tokens == "bytes":
        return raw.decode("latin-1")
    try:
        whole = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{shown(path)}: line {line}: byte {error.start} is not UTF-8; save it in UTF-8, or "
            "take data.tokens: bytes"
        ) from None
    return whole.replace("\r\n", "\n").replace("\r", "\n")


def _labelled(path: str, target: str, column: str | None) -> Table:
    """The texts of a CSV file, and what to tell of each."""
    table = wordcolumn.read(path, column, target, _mean_length, "data.column")
    (words,) = table.columns
    return replace(table, columns=(replace(words, kind="text"),))


def _mean_length(words: Sequence[str]) -> float:
    return fmean(map(len, words))
