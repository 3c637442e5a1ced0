"""Rows as a data source gives them: numbers to learn from, and what to predict from them.

Nothing is scaled, split or encoded here; a target of classes keeps the user's own words.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Table:
    """N rows.

    Attributes:
        inputs: (N, F) float64, finite.
        input_names: F names.
        target: (N, T) float64, finite; or N class labels; or None where rows are to be predicted.
        target_names: T names.
    """

    inputs: "torch.Tensor"
    input_names: tuple[str, ...]
    target: "torch.Tensor | list[str] | None"
    target_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.inputs)
