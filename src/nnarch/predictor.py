"""A trained network as its user sees it: rows in their own units in, answers in theirs out.

The network and the preprocessing it was trained under travel as one module, so that nothing
has to be scaled or decoded by hand, and nothing can be scaled twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nnarch.data.preprocess import Preprocess
from nnarch.data.task import Task
from nnarch.errors import DataError
from nnarch.evaluation import outputs
from nnarch.losses import Loss


class Predictor(nn.Module):
    """A network with its preprocessing.

    Attributes:
        network: the plain PyTorch module; it takes standardised inputs.
        task: what it predicts.
        input_names: the columns it expects, in this order where they have no names.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        loss: Loss,
        task: Task,
        input_names: Sequence[str],
    ):
        super().__init__()
        self.network, self.preprocess = network, preprocess
        self.loss, self.task, self.input_names = loss, task, tuple(input_names)
        self.eval()

    def forward(self, rows: Tensor) -> Tensor:
        """(N, F) raw rows to (N, T) numbers in the target's units, or (N, K) probabilities."""
        weight = next(self.network.parameters())
        made = outputs(self.network, self.preprocess.inputs(rows.cpu()).to(weight))
        predicted = self.loss.predict(made)
        return predicted if self.task.classes else self.preprocess.target.inverse(predicted.cpu())

    def predict(self, table: Any) -> np.ndarray:
        """What the network says of each row of `table`.

        Args:
            table: a data frame or a mapping of columns, matched by name, or an array (N, F).

        Returns: (N,) class labels, or numbers (N,), or (N, T) where there are several targets.

        Raises: DataError where a column is missing, or a value is no finite number.
        """
        made = self(self._rows(table))
        if self.task.classes:
            return np.array(self.task.classes)[made.argmax(1).cpu().numpy()]
        return made.numpy()[:, 0] if made.shape[1] == 1 else made.numpy()

    def predict_proba(self, table: Any) -> np.ndarray:
        """The probability of each class, (N, K), in the order of `task.classes`."""
        if not self.task.classes:
            raise DataError("predict_proba: a regression has no classes")
        return self(self._rows(table)).cpu().numpy()

    def _rows(self, table: Any) -> Tensor:
        names = list(table) if isinstance(table, Mapping) else getattr(table, "columns", None)
        if names is None:
            rows = _numbers(table, "the table")
        else:
            if missing := [name for name in self.input_names if name not in list(names)]:
                raise DataError(f"the table lacks the column {missing[0]!r}; it has {list(names)}")
            columns = [_numbers(table[name], f"column {name!r}") for name in self.input_names]
            if len({column.shape for column in columns}) > 1:
                raise DataError("the table has columns of different lengths")
            rows = torch.stack(columns, dim=1)
        if rows.dim() != 2 or rows.shape[1] != len(self.input_names):
            raise DataError(
                f"got rows of shape {tuple(rows.shape)}; expected (rows, {len(self.input_names)})"
            )
        return rows


def _numbers(values: Any, what: str) -> Tensor:
    """`values` as float64, on the CPU, all finite for a network as well.

    Raises: DataError that begins with `what`.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    try:
        numbers = torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} is not all numbers: {error}") from error
    if not numbers.float().isfinite().all():
        raise DataError(f"{what} holds values that are not finite numbers")
    return numbers
