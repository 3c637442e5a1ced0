"""Texts as sequences of tokens, for networks that read words in their order.

A text is split as for a bag of words, and its first tokens are told by their places in a
vocabulary, which is taken from training texts alone. Place 0 pads what is short, place 1 is any
other word: training meets it too, as the words that training texts hold once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from nnarch.data.preprocessing.bagofwords import tokens
from nnarch.data.preprocessing.conversion import as_kind, held, restated
from nnarch.data.preprocessing.features import Feature, name_of_no
from nnarch.data.preprocessing.statistics import Statistics
from nnarch.data.table import Table
from nnarch.errors import ConfigError, DataError

MOST_WORDS = 20_000
LEAST = 2  # times that a word stands in training texts
UNKNOWN, FIRST = 1, 2  # the codes of any other word, and of the commonest; 0 is padding

Length = Annotated[int, Field(ge=1, le=10**6)]


class TextSpec(BaseModel, extra="forbid"):
    """The spec of `TextInputs`, as JSON has it."""

    kind: Literal["text"]
    name: str
    words: list[str]
    length: Length


class TextInputs(nn.Module):
    """The one column of texts of a table, as tokens (N, L) padded on the right.

    Attributes:
        names: of the column.
        features: the column with the words that are known, the commonest first.
        shape: (L,) of one sample.
        vocabulary: how many codes there are.
    """

    kind = "text"
    cardinalities: tuple[int, ...] = ()

    def __init__(self, name: str, words: Iterable[str], length: int):
        super().__init__()
        self.features = (Feature(name, "text", tuple(words)),)
        self.names, self.shape = (name,), (length,)
        self.output_names: list[str] = []
        self._codes = {word: code for code, word in enumerate(self.words, FIRST)}
        self.vocabulary = FIRST + len(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        return self.features[0].words

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "TextInputs":
        """Raises: ValueError for what is no spec."""
        checked = TextSpec.model_validate(dict(spec), strict=True)
        return cls(checked.name, checked.words, checked.length)

    @property
    def spec(self) -> dict[str, Any]:
        """Plain JSON, from which `from_spec` makes it again."""
        (name,), (length,) = self.names, self.shape
        return {"kind": self.kind, "name": name, "words": list(self.words), "length": length}

    @classmethod
    def fit(
        cls, features: Sequence[Feature], statistics: Statistics, length: int
    ) -> tuple["TextInputs", str]:
        """Fit to training rows; and what is to be said of it.

        Args:
            features: of these rows, as `features.choose` gives them.
            statistics: of the training rows.
            length: how many tokens of a text are read.

        Raises: ConfigError unless there is one feature alone, which is a text.
        """
        if [feature.kind for feature in features] != ["text"]:
            there = ", ".join(f"{one.name} ({one.kind})" for one in features)
            raise ConfigError(
                f"data.text: got 'tokens' for columns {there}; expected one column of text alone, "
                "as data.columns chooses and data.types tells"
            )
        name = features[0].name
        place = [column.name for column in statistics.columns].index(name)
        one = restated(statistics.take([place]), {name: "text"})
        (column,), (counts,) = one.columns, one.counts
        assert counts is not None
        made = cls(name, vocabulary(column.words, counts), length)
        lengths = torch.tensor([len(tokens(text)) for text in column.words])
        whole = int(counts[lengths <= length].sum()) / max(1, int(counts.sum()))
        return made, (
            f"{name}: text, read as its first {length} words, which is all of {whole:.1%} of the "
            f"training texts; {len(made.words):,} words are known"
        )

    def raw(self, table: Table) -> Tensor:
        """(N, L) int64 tokens of the rows; all padding where a cell is empty.

        Raises: DataError where the column is missing, or holds what is no text.
        """
        (name,) = self.names
        if name not in table.input_names:
            raise DataError(f"data: no column {name!r}; {name_of_no(name, table.input_names)}")
        place = table.input_names.index(name)
        column, cells = table.columns[place], table.inputs[:, place].double()
        if column.fault:
            raise DataError(column.fault)
        column, cells = as_kind(column, cells, "text")
        texts, cells = held(column.words, cells)
        coded = torch.zeros(len(texts) + 1, *self.shape, dtype=torch.int64)
        for row, text in zip(coded, texts, strict=False):
            codes = [self._codes.get(token, UNKNOWN) for token in tokens(text)[: self.shape[0]]]
            row[: len(codes)] = torch.tensor(codes, dtype=torch.int64)
        return coded[cells.nan_to_num(len(texts)).long()]

    def forward(self, raw: Tensor) -> Tensor:
        return raw


def vocabulary(texts: Sequence[str], counts: Tensor) -> tuple[str, ...]:
    """The commonest words, those of one count by alphabet; of those that stand at least twice.

    Args:
        counts: (len(texts),) how many rows hold each text.

    >>> vocabulary(["a rose is a rose", "Is it?", "it"], torch.tensor([1, 1, 0]))
    ('a', 'is', 'rose')
    """
    total = Counter[str]()
    for text, count in zip(texts, counts.tolist(), strict=True):
        for token in tokens(text) if count else ():
            total[token] += count
    usable = sorted((word for word in total if total[word] >= LEAST), key=lambda w: (-total[w], w))
    return tuple(usable[:MOST_WORDS])
