"""What stands before and behind a network, fitted once on training samples and kept with it.

Whoever uses a network gives samples in their own units and gets answers in theirs: what turns
one into the other travels with the weights, as buffers and a `spec` of plain JSON. Nothing of
the samples that a network is measured on can reach it this way.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import nn

from nnarch.data.preprocessing.arrayinputs import ArrayInputs
from nnarch.data.preprocessing.sequenceinputs import SeriesInputs, TokenInputs
from nnarch.data.preprocessing.tableinputs import TableInputs
from nnarch.data.preprocessing.target import Target
from nnarch.data.preprocessing.textinputs import TextInputs

Columns: TypeAlias = TableInputs | TextInputs  # what reads a table by the names of its columns
Inputs: TypeAlias = Columns | ArrayInputs | TokenInputs | SeriesInputs
KINDS = {
    kind.kind: kind for kind in (TableInputs, TextInputs, ArrayInputs, TokenInputs, SeriesInputs)
}


class Preprocess(nn.Module):
    """From a sample's own units to the network's, and a regression's predictions back again.

    It stays on the CPU and in float64, wherever a module that holds it is moved to.
    """

    def __init__(self, inputs: Inputs, target: Target):
        super().__init__()
        self.inputs, self.target = inputs, target

    @property
    def spec(self) -> dict[str, Any]:
        """Plain JSON; `from_spec` and `load_state_dict` make the same module again."""
        return {"inputs": self.inputs.spec, "target": self.target.spec}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Preprocess":
        """One with the buffers still to be loaded.

        A spec comes from a file that anyone may have written: what is made of it takes no more
        memory than the spec itself and some 100 MB at most.

        Raises: ValueError for what is no spec.
        """
        try:
            inputs, target = dict(spec["inputs"]), spec["target"]
            return cls(KINDS[inputs["kind"]].from_spec(inputs), Target.from_spec(target))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no preprocessing can be made of this: {error!r}") from error

    def _apply(self, fn: object, recurse: bool = True) -> "Preprocess":
        return self
