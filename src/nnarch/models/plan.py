"""A list of layers that has been followed: every argument known, every shape seen.

A plan is a tree of steps, plain data of which `nnarch.models.network` makes modules,
`nnarch.models.summary` a table and `nnarch.models.drawing` a picture.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnarch import layerlist
from nnarch.data.inputs import Inputs
from nnarch.errors import Path
from nnarch.models.torchlayers import Axis


@dataclass(frozen=True)
class Sample:
    """What goes from one layer to the next, without the batch.

    Attributes:
        shape: its dimensions.
        axis: the dimension that holds features, the last, or channels, the first.
        codes: whether it holds codes (tokens, categories) that no layer has embedded yet.
    """

    shape: tuple[int, ...]
    axis: Axis = "features"
    codes: bool = False

    def __str__(self) -> str:
        return f"samples of shape {self.shape}"


@dataclass(frozen=True)
class Step:
    """One layer or structure, ready to be made.

    Attributes:
        word: a layer's name, or `residual`, `repeat`, `concat`, `sum`, `mul` or `from`.
        path: where it stands in the config.
        before, after: the sample that comes in, and what it becomes.
        arguments: of a layer, all that are given or filled in.
        chains: of a structure, the lists that it holds; of a repetition, one for each time.
        project: the layer that brings a residual's input into the shape of what is added to it.
        drop: the chance that a residual's layers are left out of a training step.
        dim: the dimension, counted with the batch, along which `concat` joins.
        link: the key under which `from` finds an output.
        tie: the name of the layer whose weight this one shares.
    """

    word: str
    path: Path
    before: Sample
    after: Sample
    arguments: Mapping[str, Any] = field(default_factory=dict)
    chains: "tuple[Plan, ...]" = ()
    project: "Step | None" = None
    drop: float = 0.0
    dim: int | None = None
    link: str | None = None
    tie: str | None = None

    @property
    def is_layer(self) -> bool:
        return self.word not in layerlist.BESIDE


@dataclass(frozen=True)
class Plan:
    """Steps one after the other, by the names of their modules.

    Attributes:
        steps: by name: what `as` says, or the place in the list.
        kept: of the steps whose output a link leads to, the key that it is found under.
        after: the sample that comes out.
    """

    steps: Mapping[str, Step]
    kept: Mapping[str, str]
    after: Sample

    @property
    def widest(self) -> int:
        """How many numbers the largest output of a layer has, for one sample."""
        return max((math.prod(step.after.shape) for step in self.layers()), default=0)

    def layers(self) -> Iterator[Step]:
        """Every layer in it, in the order in which they are made."""
        for step in self.steps.values():
            if step.is_layer:
                yield step
            for chain in step.chains:
                yield from chain.layers()
            if step.project:
                yield step.project


def entering(inputs: Inputs) -> Sample:
    """What comes into a network, codes as they are."""
    axis: Axis = "channels" if len(inputs.shape) > 2 else "features"
    return Sample(inputs.shape, axis, bool(inputs.vocabulary or inputs.cardinalities))
