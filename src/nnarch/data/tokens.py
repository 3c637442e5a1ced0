"""Running text as numbers, to learn which token comes next."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PADDING = 0  # the token that stands before the beginning of a document


@dataclass(frozen=True)
class Tokens:
    """Documents one after another, each token to be told from those before it.

    Attributes:
        ids: (T,) int64 tokens, indices of `vocabulary`; a document ends with a token of its own.
        documents: (D + 1,) int64: document d is `ids[documents[d]:documents[d + 1]]`.
        vocabulary: what each token stands for; the first is what pads the left.
        context: how many tokens the network sees; never those of another document.
        target_names: one name, of what is predicted.
        parts: (D,) int64, the part that each document was given for, or None.
        notes: what reading inferred or left out, for the user to know.
    """

    ids: "torch.Tensor"
    documents: "torch.Tensor"
    vocabulary: tuple[str, ...]
    context: int
    target_names: tuple[str, ...] = ("next",)
    parts: "torch.Tensor | None" = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)
