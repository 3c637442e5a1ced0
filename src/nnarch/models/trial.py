"""One layer tried on a sample: what becomes of it, or why it does not fit.

A layer is run on torch's meta device, where tensors have shapes and no memory, so that what fits is
found out by the very module that will train. The layers that small networks are made of keep or
replace a dimension in a way that can be told without running them, which spares them the second
that torch takes to import its meta device.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.models import torchlayers
from nnarch.models.embedding import embedded
from nnarch.models.metadevice import TellingShapes
from nnarch.models.plan import Sample
from nnarch.models.torchlayers import LayerKind

ROWS = 3  # samples in a trial batch: more than one, and no likely size of anything else
KEEP_SHAPE = {
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "RMSNorm", "Dropout", "Identity",
    "ReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "ELU", "SELU", "LeakyReLU", "Mish", "Softplus",
    "Hardswish",
}  # fmt: skip
EMBED = "expected a layer that embeds them first, as {Embedding: 64} does tokens"


def check_sample(kind: LayerKind, sample: Sample) -> None:
    """Refuse what torch would take for something else."""
    facts = kind.facts
    if sample.codes and not {"vocabulary", "cardinalities"} & set(facts.infer.values()):
        raise ConfigError(f"got codes as they are; {EMBED}")
    rank = len(sample.shape)
    if facts.ranks and rank not in facts.ranks:
        raise ConfigError(f"got {sample}; expected {_wanted_shapes(facts)}{_cure(facts, sample)}")
    if facts.axis == "features" and sample.axis == "channels" and rank > 1:
        raise ConfigError(
            f"got {sample}, whose channels come first; expected features: add Flatten before it, "
            "or transpose"
        )


def check_dimensions(kind: LayerKind, arguments: Mapping[str, Any], sample: Sample) -> None:
    """Refuse what goes across samples, and what torch's meta device lets pass."""
    rank = len(sample.shape)
    for name in () if kind.component else ("dim", "start_dim", "end_dim"):
        if not isinstance(dim := arguments.get(name), int):
            continue
        if dim in (0, -rank - 1):
            raise ConfigError(f"{name}: got {dim}, which goes across samples; {_dims(rank)}")
        if not -rank <= dim <= rank:
            raise ConfigError(f"{name}: got {dim} for {sample}; {_dims(rank)}")


def _dims(rank: int) -> str:
    every = f"1 to {rank}" if rank > 1 else "1"
    return f"expected {every}, or the last, -1"


def _wanted_shapes(facts: torchlayers.Facts) -> str:
    two = "(steps, features)" if facts.axis == "features" else "(channels, steps)"
    words = {1: "(features,)", 2: two, 3: "(channels, height, width)"}
    return " or ".join(words.get(rank, "(channels, depth, height, width)") for rank in facts.ranks)


def _cure(facts: torchlayers.Facts, sample: Sample) -> str:
    """What to put before a layer that takes samples of another number of dimensions."""
    rank, count = len(sample.shape), math.prod(sample.shape)
    if facts.ranks[0] == 1:
        return "; add Flatten before it"
    if rank != 1:
        return ""
    side = math.isqrt(count)
    shapes = {2: [1, count], 3: [1, side, side] if side * side == count else [1, 1, count]}
    if facts.axis == "features":
        shapes[2] = [count, 1]
    found = shapes.get(facts.ranks[0])
    return f"; add {{Unflatten: [1, {found}]}} before it" if found else ""


def agrees(given: Any, right: Any, sample: Sample) -> bool:
    """Whether a given argument is what the sample says; a shape may be the end of the sample's."""
    if isinstance(given, list | tuple) and isinstance(right, int):
        return tuple(given) == sample.shape[len(sample.shape) - len(given) :]
    return given == right


def tried(
    kind: LayerKind, arguments: Mapping[str, Any], sample: Sample
) -> tuple[Sample, tuple[int, ...] | None]:
    """What becomes of a sample in a layer, and the shape of the layer's weight if it has one."""
    with torch.device("meta"):
        module = kind.make(arguments).eval()
    weight = getattr(module, "weight", None)
    shape = _told(kind, arguments, sample)
    if shape is None:
        shape = _run(kind, module, sample)
    axis = kind.facts.axis or sample.axis
    if kind.component:
        axis = kind.component.facts.get("gives", axis)
    axis = "features" if len(shape) == 1 else axis
    if len(shape) > max(2, len(sample.shape)) and kind.name == "Unflatten":
        axis = "channels"
    return Sample(shape, axis), None if weight is None else tuple(weight.shape)


def _told(kind: LayerKind, arguments: Mapping[str, Any], sample: Sample) -> tuple[int, ...] | None:
    """The shape that a layer gives, where it can be told without running it."""
    if kind.name == "Embedding":
        return (*sample.shape, arguments["embedding_dim"])
    if kind.name == "column_embedding":
        return embedded(Inputs(sample.shape, tuple(arguments["cardinalities"])))
    if kind.name == "Linear":
        return (*sample.shape[:-1], arguments["out_features"])
    if kind.name == "Flatten" and not arguments:
        return (math.prod(sample.shape),)
    keeps = kind.name in KEEP_SHAPE or kind.is_activation
    return (
        sample.shape if keeps and not isinstance(arguments.get("normalized_shape"), list) else None
    )


def _run(kind: LayerKind, module: nn.Module, sample: Sample) -> tuple[int, ...]:
    kinds = {True: torch.int64, False: torch.get_default_dtype()}
    tokens = sample.codes and "vocabulary" in kind.facts.infer.values()
    batch = torch.empty(ROWS, *sample.shape, dtype=kinds[tokens], device="meta")
    try:
        # torch warns once of what is slow, as of an even kernel's padding; that is no fault
        with torch.no_grad(), TellingShapes(), warnings.catch_warnings(action="ignore"):
            made = torchlayers.output(module, batch)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"cannot take {sample}: {torchlayers.said(error)}") from error
    if not isinstance(made, torch.Tensor):
        raise ConfigError(f"gives {type(made).__name__}; expected a tensor")
    if made.dim() < 2 or len(made) != ROWS:
        given = f"gives {tuple(made.shape)} for {ROWS} {sample}"
        raise ConfigError(f"{given}; expected ({ROWS}, ...), each sample by itself")
    if 0 in made.shape:
        raise ConfigError(f"makes {tuple(made.shape[1:])} of {sample}; nothing is left of it")
    return tuple(made.shape[1:])
