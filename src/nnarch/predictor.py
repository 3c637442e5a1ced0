"""A trained network as its user sees it: rows in their own units in, answers in theirs out.

The network and the preprocessing it was trained under travel as one module, so that nothing
has to be scaled or decoded by hand, and nothing can be scaled twice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nnarch.data.batches import Rows
from nnarch.data.dataset import inputs_of
from nnarch.data.preprocessing.preprocess import Columns, Preprocess
from nnarch.data.preprocessing.sequenceinputs import TokenInputs
from nnarch.data.table import Column, Table, numeric
from nnarch.data.task import Task
from nnarch.errors import DataError
from nnarch.evaluation import Evaluation, evaluate, outputs, predictions, rows_at_once
from nnarch.losses import Loss


class Predictor(nn.Module):
    """A network with its preprocessing.

    Attributes:
        network: the plain PyTorch module; it takes preprocessed inputs.
        task: what it predicts.
        input_names: the columns it expects, in this order where they have no names.
    """

    def __init__(self, network: nn.Module, preprocess: Preprocess, loss: Loss, task: Task):
        super().__init__()
        self.network, self.preprocess = network, preprocess
        self.loss, self.task = loss, task
        self.eval()

    @property
    def input_names(self) -> tuple[str, ...]:
        return self.preprocess.inputs.names

    @property
    def members(self) -> "tuple[Predictor, ...]":
        """Those whose mean answer is this one's: itself, unless it is of several."""
        return (self,)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return next(self.network.parameters()).dtype

    def forward(self, raw: Tensor) -> Tensor:
        """(N, ...) raw samples to (N, T) numbers in the target's units, or (N, K) probabilities.

        Of a table, raw samples are what `preprocess.inputs.raw` makes of it.
        """
        weight = next(self.network.parameters())
        inputs = self.preprocess.inputs(raw.cpu())
        inputs = inputs.to(weight) if inputs.is_floating_point() else inputs.to(weight.device)
        predicted = predictions(self.loss, self._made(raw, inputs)).cpu()
        if self.task.kind != "regression":
            return predicted
        return self.preprocess.target.inverse(predicted)

    def _made(self, raw: Tensor, inputs: Tensor) -> Tensor:
        """What the network puts out; of every token of a text, that of the last."""
        made = self.preprocess.inputs
        if not (isinstance(made, TokenInputs) and made.every):
            return outputs(self.network, inputs)
        size, last = rows_at_once(self.network, inputs), made.last(raw.cpu()).to(inputs.device)
        pieces = zip(inputs.split(size), last.split(size), strict=True)
        return torch.cat(
            [outputs(self.network, some)[torch.arange(len(some)), ends] for some, ends in pieces]
        )

    def predict(self, table: Any) -> np.ndarray:
        """What the network says of each row of `table`.

        Args:
            table: a data frame or a mapping of columns, matched by name, or an array (N, ...).

        Returns: (N,) class labels, or numbers (N,), or (N, T) where there are several targets; of
            labels, 0 or 1.

        Raises: DataError where a column is missing, or a value is not of its kind.
        """
        made = self.answer(table)
        if self.task.classes:
            return np.array(self.task.classes)[made.argmax(1).numpy()]
        made = (made > 0.5).long() if self.task.kind == "multilabel" else made
        return made.numpy()[:, 0] if made.shape[1] == 1 else made.numpy()

    def predict_proba(self, table: Any) -> np.ndarray:
        """The probability of each class, (N, K), in the order of `task.classes`; or label."""
        if self.task.kind == "regression":
            raise DataError("predict_proba: a regression has no classes")
        return self.answer(table).numpy()

    def mean(self, answers: Sequence[Tensor]) -> Tensor:
        """What its members' answers to the same samples come to."""
        (answer,) = answers
        return answer

    def answer(self, table: Any) -> Tensor:
        """What `forward` makes of a table, or of an array (N, ...)."""
        return self(self._raw(table))

    def evaluate(
        self,
        rows: "Callable[[Predictor], Rows]",
        wanted: Sequence[Mapping[str, Any]],
        device: torch.device,
    ) -> Evaluation:
        """Measure the network, which is moved to `device`.

        Args:
            rows: gives what is to be measured as this predictor's network takes it.
            wanted: metrics as filled components.
        """
        those = rows(self).to(device, self.dtype)
        network, target = self.network.to(device), self.preprocess.target
        return evaluate(network, self.loss, those, target, self.task, wanted)

    def _raw(self, table: Any) -> Tensor:
        """Samples as `forward` takes them."""
        made = self.preprocess.inputs
        if isinstance(made, Columns):
            return made.raw(self.table(table))
        expected = inputs_of(self.preprocess).shape
        samples = _array(table, "the array")
        if tuple(samples.shape[1:]) != expected:
            raise DataError(
                f"got samples of shape {tuple(samples.shape)}; expected (samples, "
                f"{', '.join(map(str, expected))})"
            )
        if bool(samples.isnan().any()):
            raise DataError("the array holds values that are not finite numbers")
        return _tokens(samples, made.vocabulary) if made.vocabulary else samples

    def table(self, given: Any) -> Table:
        """Those columns of a data frame, a mapping or an array (N, F) that are looked at."""
        if isinstance(given, Table):
            return given
        names = list(given) if isinstance(given, Mapping) else getattr(given, "columns", None)
        if names is None:
            rows = _array(given, "the table").double()
            if rows.dim() != 2 or rows.shape[1] != len(self.input_names):
                raise DataError(
                    f"got rows of shape {tuple(rows.shape)}; expected "
                    f"(rows, {len(self.input_names)})"
                )
            return Table(rows, numeric(self.input_names), None, ())
        wanted = [name for name in self.input_names if name in list(names)]
        if not wanted:
            raise DataError(
                f"the table has none of the columns {', '.join(self.input_names)}; it has "
                f"{', '.join(map(str, names))}"
            )
        columns = [_column(name, given[name]) for name in wanted]
        if len({len(values) for _, values in columns}) > 1:
            raise DataError("the table has columns of different lengths")
        inputs = torch.stack([values for _, values in columns], dim=1)
        return Table(inputs, tuple(column for column, _ in columns), None, ())


def _tokens(samples: Tensor, vocabulary: int) -> Tensor:
    """Samples as int64, each a token below `vocabulary`."""
    tokens = samples.long()
    strange = (tokens != samples) | (tokens < 0) | (tokens >= vocabulary)
    if bool(strange.any()):
        raise DataError(
            f"the array holds {samples[strange][0].item()}; expected tokens, whole numbers from 0 "
            f"to {vocabulary - 1}"
        )
    return tokens


def _column(name: str, values: Any) -> tuple[Column, Tensor]:
    """A column of anything that is like a list: of numbers, or else of words."""
    cells = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if cells.ndim != 1:
        raise DataError(f"column {name!r} has the shape {cells.shape}; expected one cell a row")
    if cells.dtype.kind in "biuf":
        return Column(name), _finite(cells, f"column {name!r}")
    if cells.dtype.kind == "M":
        seconds = cells.astype("datetime64[us]").astype("float64") / 1e6
        return Column(name, "datetime"), torch.from_numpy(
            np.where(np.isnat(cells), np.nan, seconds)
        )
    listed = ["" if _is_nothing(cell) else str(cell).strip() for cell in cells.tolist()]
    words = {word: code for code, word in enumerate(dict.fromkeys(filter(None, listed)))}
    codes = [words.get(cell, torch.nan) for cell in listed]
    return Column(name, "categorical", tuple(words)), torch.tensor(codes, dtype=torch.float64)


def _is_nothing(cell: Any) -> bool:
    return cell is None or cell != cell


def _finite(cells: np.ndarray, what: str) -> Tensor:
    numbers = torch.from_numpy(np.array(cells, dtype=np.float64))
    if bool(numbers.float().isinf().any()):
        raise DataError(f"{what} holds values that are not finite numbers")
    return numbers


def _array(values: Any, what: str) -> Tensor:
    """`values` as numbers on the CPU: whole ones as they are, others as float64, all finite.

    Raises: DataError that begins with `what`.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    try:
        cells = np.asarray(values)
        if cells.dtype.kind in "biu":
            return torch.from_numpy(np.array(cells))
        return _finite(np.array(cells, dtype=np.float64), what)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} is not all numbers: {error}") from error
