"""A list of layers, followed: every argument known, every shape seen, nothing allocated.

A sample's shape goes through the list layer by layer. What it says (`in_features`) is filled in,
what was given is checked against it, and each layer is then run on torch's meta device, where
tensors have shapes and no memory; so what fits is found out by the very module that will train.
The layers that small networks are made of keep or replace a dimension in a way that can be told
without running them, which spares them the second that torch takes to import its meta device.

What comes out is a tree of steps, of which `nnarch.models.network` makes modules.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from nnarch import layerlist
from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError
from nnarch.errors import Path as ConfigPath
from nnarch.layerlist import Item
from nnarch.models import torchlayers
from nnarch.models.embedding import embedded
from nnarch.models.metadevice import TellingShapes
from nnarch.models.torchlayers import Axis, LayerKind
from nnarch.validate import dotted, shortened

ROWS = 3  # samples in a trial batch: more than one, and no likely size of anything else
KEEP_SHAPE = {
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "RMSNorm", "Dropout", "Identity",
    "ReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "ELU", "SELU", "LeakyReLU", "Mish", "Softplus",
    "Hardswish",
}  # fmt: skip


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

    @property
    def width(self) -> int:
        return self.shape[0 if self.axis == "channels" else -1] if self.shape else 1

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
    path: ConfigPath
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


def follow(
    raw: Sequence[Any], at: ConfigPath, sample: Sample, inputs: Inputs, outputs: int
) -> Plan:
    """Follow a list of layers.

    Args:
        raw: the list, as a config or a family of networks gives it.
        at: where it stands in a config.
        sample: what comes into it.
        inputs: what the data is, for layers that embed its codes.
        outputs: how wide a layer that says `out` has to be.

    Raises: ConfigError with the place of the layer that does not fit, what came in, and a cure.
    """
    items, faults = layerlist.parse(list(raw), at)
    if faults:
        raise ConfigError(f"{dotted(path)}: {message}" for path, message in faults)
    follower = _Follower(inputs, outputs, {item.name for item in layerlist.walk(items)} - {None})
    plan = follower.chain(items, sample, sample, {})
    return follower.without_idle_names(plan)


@dataclass
class _Kept:
    """An output with a name: its key, and the layer that made it if one did."""

    key: str
    sample: Sample
    weight: tuple[int, ...] | None = None


Scope = dict[str, _Kept]


class _Follower:
    def __init__(self, inputs: Inputs, outputs: int, names: set[Any]):
        self.inputs, self.outputs, self.names = inputs, outputs, names
        self.linked: set[str] = set()
        self.keys = 0
        self.seen: dict[Any, tuple[Sample, tuple[int, ...] | None]] = {}

    def chain(self, items: Sequence[Item], sample: Sample, entered: Sample, scope: Scope) -> Plan:
        """Follow items one after the other; `entered` is what `same` refers to."""
        steps: dict[str, Step] = {}
        kept: dict[str, str] = {}
        for place, item in enumerate(items):
            step, weight = self.step(item, sample, entered, scope)
            name = item.name or str(place)
            if item.name:
                _check_name(item)
                kept[name] = str(self.keys)
                self.keys += 1
                scope[name] = _Kept(kept[name], step.after, weight)
            steps[name] = step
            sample = step.after
        return Plan(steps, kept, sample)

    def step(
        self, item: Item, sample: Sample, entered: Sample, scope: Scope
    ) -> tuple[Step, tuple[int, ...] | None]:
        match item.word:
            case "from":
                kept = self._linked(item, item.value, scope)
                self.linked.add(kept.key)
                return Step("from", item.path, sample, kept.sample, link=kept.key), None
            case "repeat":
                return self._repeat(item, sample, scope), None
            case "residual":
                return self._residual(item, sample, scope), None
            case "concat" | "sum" | "mul":
                return self._branches(item, sample, scope), None
        step, weight = self.layer(item, sample, entered)
        if tied := item.options.get("tie"):
            self._check_tie(item, weight, self._linked(item, tied, scope))
            step = replace(step, tie=tied)
        return step, weight

    def _linked(self, item: Item, name: str, scope: Scope) -> _Kept:
        if name in scope:
            return scope[name]
        if name.split(".")[0] in self.names:
            inside = [known for known in scope if known.split(".")[0] == name.split(".")[0]]
            known = f"; expected one of {', '.join(inside)}" if inside else ""
            raise _fault(item, f"{name!r} does not come before it; a link leads back only{known}")
        known = ", ".join(scope) or "none"
        raise _fault(item, f"no item is called {name!r} by as; before it there are: {known}")

    def _check_tie(self, item: Item, weight: tuple[int, ...] | None, other: _Kept) -> None:
        if weight is None or weight != other.weight:
            raise _fault(
                item,
                f"tie: its weight is {_or_none(weight)} and that of {item.options['tie']} is "
                f"{_or_none(other.weight)}; expected equal shapes",
            )

    def _repeat(self, item: Item, sample: Sample, scope: Scope) -> Step:
        chains, before = [], sample
        for time in range(item.value):
            inside = dict(scope)
            chains.append(self.chain(item.lists[0], sample, sample, inside))
            sample = chains[-1].after
            for name in inside.keys() - scope.keys():
                first, *rest = name.split(".")
                scope[".".join([first, str(time), *rest])] = inside[name]
        return Step("repeat", item.path, before, sample, chains=tuple(chains))

    def _residual(self, item: Item, sample: Sample, scope: Scope) -> Step:
        body = self.chain(item.lists[0], sample, sample, scope)
        if sample.codes:
            raise _fault(item, f"got codes as they are; {EMBED}")
        project = None
        if body.after.shape != sample.shape:
            if not item.options.get("project"):
                raise _fault(
                    item,
                    f"its layers make {body.after.shape} of {sample}; expected the shape to stay, "
                    "or project: true beside it",
                )
            project = self._projection(item, sample, body.after)
        drop = item.options.get("drop", 0.0)
        return Step("residual", item.path, sample, body.after, chains=(body,), project=project,
                    drop=drop)  # fmt: skip

    def _projection(self, item: Item, before: Sample, after: Sample) -> Step:
        """A linear layer over features, or a convolution of width 1 over channels."""
        made: Item | None = None
        if before.shape[:-1] == after.shape[:-1] and after.axis == "features":
            given: dict[str, Any] = {"out_features": after.shape[-1], "bias": False}
            made = Item("Linear", item.path, given)
        elif len(before.shape) == len(after.shape) > 1 and after.axis == "channels":
            sides = zip(before.shape[1:], after.shape[1:], strict=True)
            strides = [round(old / new) or 1 for old, new in sides]
            given = {"out_channels": after.shape[0], "kernel_size": 1, "stride": strides}
            made = Item(f"Conv{len(strides)}d", item.path, {**given, "bias": False})
        step = made and self.layer(made, replace(before, axis=after.axis), before)[0]
        if step is None or step.after.shape != after.shape:
            raise _fault(
                item,
                f"project: no linear layer and no convolution of width 1 makes {after.shape} of "
                f"{before.shape}",
            )
        return step

    def _branches(self, item: Item, sample: Sample, scope: Scope) -> Step:
        chains = tuple(self.chain(branch, sample, sample, scope) for branch in item.lists)
        made = [chain.after for chain in chains]
        shapes = [each.shape for each in made]
        if any(each.codes for each in made):
            raise _fault(item, f"got codes as they are; {EMBED}")
        told = " and ".join(map(str, shapes))
        if item.word != "concat":
            same = len({len(shape) for shape in shapes}) == 1
            fits = same and all(len(set(sizes) - {1}) <= 1 for sizes in zip(*shapes, strict=True))
            if not fits:
                raise _fault(item, f"its branches make {told}; expected equal shapes")
            shape = tuple(map(max, zip(*shapes, strict=True)))
            return Step(item.word, item.path, sample, replace(made[0], shape=shape), chains=chains)
        ranks = {len(shape) for shape in shapes}
        rank = len(shapes[0])
        dim = item.options.get("dim", 0 if made[0].axis == "channels" else -1)
        place = dim + rank if dim < 0 else dim
        if len(ranks) > 1 or not 0 <= place < rank:
            wanted = f"dimension {dim} to join them by" if len(ranks) == 1 else "as many dimensions"
            raise _fault(item, f"its branches make {told}; expected {wanted}")
        rests = {(*shape[:place], *shape[place + 1 :]) for shape in shapes}
        if len(rests) > 1:
            raise _fault(
                item, f"its branches make {told}; expected them to differ in dimension {dim} alone"
            )
        joined = list(shapes[0])
        joined[place] = sum(shape[place] for shape in shapes)
        after = replace(made[0], shape=tuple(joined))
        return Step("concat", item.path, sample, after, chains=chains, dim=place + 1)

    def layer(
        self, item: Item, sample: Sample, entered: Sample
    ) -> tuple[Step, tuple[int, ...] | None]:
        try:
            kind = torchlayers.find(item.word)
            given = self._meant(kind.arguments(item.value), entered, kind)
            _check_sample(kind, sample)
            arguments = self._completed(kind, given, sample)
            _check_dimensions(kind, arguments, sample)
            known = (item.word, repr(sorted(arguments.items())), sample)
            if known not in self.seen:
                self.seen[known] = _tried(kind, arguments, sample)
            after, weight = self.seen[known]
        except ConfigError as error:
            raise ConfigError(_located(item, fault) for fault in error.faults) from error
        return Step(item.word, item.path, sample, after, arguments), weight

    def _meant(self, given: Mapping[str, Any], entered: Sample, kind: LayerKind) -> dict[str, Any]:
        """Arguments with `out` and `same` as numbers; of a padding, torch knows `same` itself."""
        axis = kind.facts.axis or entered.axis
        width = entered.shape[0 if axis == "channels" else -1]
        symbols = {"out": self.outputs, "same": width}
        return {
            name: symbols.get(value, value)
            if isinstance(value, str) and name != "padding"
            else value
            for name, value in given.items()
        }

    def _completed(
        self, kind: LayerKind, given: Mapping[str, Any], sample: Sample
    ) -> dict[str, Any]:
        """Arguments with those that the sample decides filled in, or checked."""
        inferred = {
            name: self._inferred(kind, name, what, sample)
            for name, what in kind.facts.infer.items()
        }
        for name, right in inferred.items():
            if given.get(name) is not None and not _agrees(given[name], right, sample):
                raise ConfigError(
                    f"got {name} {shortened(given[name])} for {sample}; expected {right}, or none "
                    "to have it filled in"
                )
        kept = {name: value for name, value in given.items() if value is not None}
        return kind.check({**inferred, **kept})

    def _inferred(self, kind: LayerKind, name: str, what: str, sample: Sample) -> Any:
        if what == "vocabulary" and not (sample.codes and self.inputs.vocabulary):
            raise ConfigError(f"got {sample} that are numbers; expected tokens, as texts are")
        if what == "cardinalities" and sample.codes and self.inputs.vocabulary:
            raise ConfigError(f"got {sample} that are tokens; expected rows of a table")
        values: dict[str, Any] = {
            "vocabulary": self.inputs.vocabulary,
            "cardinalities": list(self.inputs.cardinalities) if sample.codes else [],
            "features": sample.shape[-1],
            "channels": sample.shape[0],
            "steps": sample.shape[0],
            "shape": list(sample.shape),
        }
        if what not in values:
            raise ConfigError(
                f"{kind.name}: infer={{{name!r}: {what!r}}}; expected one of {', '.join(values)}"
            )
        return values[what]

    def without_idle_names(self, plan: Plan) -> Plan:
        """The plan with only those outputs kept that a link leads to."""
        steps = {
            name: replace(step, chains=tuple(map(self.without_idle_names, step.chains)))
            for name, step in plan.steps.items()
        }
        kept = {name: key for name, key in plan.kept.items() if key in self.linked}
        return replace(plan, steps=steps, kept=kept)


EMBED = "expected a layer that embeds them first, as {Embedding: 64} does tokens"


def _fault(item: Item, message: str) -> ConfigError:
    return ConfigError(_located(item, message))


def _located(item: Item, message: str) -> str:
    message = message.removeprefix(f"{item.word}: ")
    return f"{dotted(item.at)}: {f'{item.word}: ' if item.bare else ''}{message}"


def _check_name(item: Item) -> None:
    if hasattr(nn.ModuleList, str(item.name)):
        place = dotted((*item.path, "as"))
        raise ConfigError(f"{place}: {item.name!r} means something to torch; expected another name")


def _or_none(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else f"of shape {shape}"


def _check_sample(kind: LayerKind, sample: Sample) -> None:
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


def _check_dimensions(kind: LayerKind, arguments: Mapping[str, Any], sample: Sample) -> None:
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


def _agrees(given: Any, right: Any, sample: Sample) -> bool:
    """Whether a given argument is what the sample says; a shape may be the end of the sample's."""
    if isinstance(given, list | tuple) and isinstance(right, int):
        return tuple(given) == sample.shape[len(sample.shape) - len(given) :]
    return given == right


def _tried(
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
    keeps = kind.name in KEEP_SHAPE or (kind.component and kind.component.kind.name == "activation")
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
