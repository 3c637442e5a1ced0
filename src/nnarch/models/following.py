"""The walk through a list of layers that makes a plan of it.

A sample's shape goes through the list layer by layer. What it says (`in_features`) is filled in,
what was given is checked against it, `out` and `same` become numbers, links find the outputs that
they name, and nothing is allocated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from nnarch import layerlist
from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError, Path
from nnarch.layerlist import Item
from nnarch.models import torchlayers, trial
from nnarch.models.plan import Plan, Sample, Step
from nnarch.models.torchlayers import LayerKind
from nnarch.validate import dotted, shortened


def follow(raw: Sequence[Any], at: Path, sample: Sample, inputs: Inputs, outputs: int) -> Plan:
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
Seen = dict[Any, tuple[Sample, tuple[int, ...] | None]]
SEEN: Seen = {}  # what torch's own layers make of samples, which is always the same
MOST_SEEN = 10_000


def _seen() -> Seen:
    if len(SEEN) >= MOST_SEEN:
        SEEN.clear()
    return SEEN


class _Follower:
    def __init__(self, inputs: Inputs, outputs: int, names: set[Any]):
        self.inputs, self.outputs, self.names = inputs, outputs, names
        self.linked: set[str] = set()
        self.keys = 0
        self.seen: Seen = {}

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
            raise _fault(item, f"got codes as they are; {trial.EMBED}")
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
            raise _fault(item, f"got codes as they are; {trial.EMBED}")
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
            trial.check_sample(kind, sample)
            arguments = self._completed(kind, given, sample)
            trial.check_dimensions(kind, arguments, sample)
            known = (item.word, repr(sorted(arguments.items())), sample)
            seen = self.seen if kind.component else _seen()
            if known not in seen:
                seen[known] = trial.tried(kind, arguments, sample)
            after, weight = seen[known]
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
            if given.get(name) is not None and not trial.agrees(given[name], right, sample):
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
