"""What a network is, layer by layer: its tree of layers with shapes, parameters and operations.

The network is made on the meta device, where tensors have shapes and no memory, and one sample is
sent through it, counted by torch's own counter. So the figures are those of the very modules that
will train, and cost neither memory nor a random number. A network that a family builds by itself
has no plan; its modules are told in the order in which they are called.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nnarch.data.inputs import Inputs
from nnarch.models import network as networks
from nnarch.models.plan import Plan, Step
from nnarch.models.torchlayers import LayerKind, find

FROM_TO = (  # arguments that say what comes into a layer, and as what it leaves
    ("in_features", "out_features"),
    ("in_channels", "out_channels"),
    ("input_size", "hidden_size"),
    ("num_embeddings", "embedding_dim"),
)


@dataclass(frozen=True)
class Row:
    """A layer, or a structure that holds layers.

    Attributes:
        path: of its module, as its parameters are named.
        word: `layer`, or what structure it is: `residual`, `repeat`, `concat`, `sum`, `mul`,
            `from`.
        module: what it is, for a person to read.
        shape: of one sample as it comes out.
        parameters: its own; a tied weight counts where it stands first.
        flops: its own, for one sample.
        chains: what a structure holds: the branches, or one chain for each repetition.
        project: the layer on the way around a residual's body.
        name: what its output is called, if a link leads to it.
        link: the name that `from` leads back to.
    """

    path: str
    word: str
    module: str
    shape: tuple[int, ...]
    parameters: int = 0
    flops: int = 0
    chains: "tuple[tuple[Row, ...], ...]" = ()
    project: "Row | None" = None
    name: str | None = None
    link: str | None = None

    def alike(self, other: "Row") -> bool:
        """Whether the two are the same apart from where they stand."""
        return _unplaced(self) == _unplaced(other)


@dataclass(frozen=True)
class Summary:
    """A network in rows.

    Attributes:
        rows: the layers and structures, in order; those within a structure are in its row.
        shape: of a sample as it comes in.
        parameters, trainable: numbers in the network, and those of them that learn.
        flops: for one sample forward, as torch counts them.
        rows_are_calls: whether the rows are modules in the order of their calls, since what leads
            from one to the other is known to the network alone.
    """

    rows: tuple[Row, ...]
    shape: tuple[int, ...]
    parameters: int
    trainable: int
    flops: int
    rows_are_calls: bool = False

    def walk(self) -> Iterator[tuple[int, Row]]:
        """Every row with its depth, a structure before what it holds."""
        yield from _walk(self.rows, 0)


def summarize(spec: Mapping[str, Any], inputs: Inputs, outputs: int) -> Summary:
    """What `networks.make` would make, with nothing allocated.

    Args:
        spec: a filled `model`.
        inputs: what one sample is.
        outputs: how many numbers to predict for it.

    Raises: ConfigError where the model is not for such samples.
    """
    described, network = networks.unallocated(spec, inputs, outputs)
    return summary_of(network, described.plan, inputs)


def summary_of(network: nn.Module, plan: Plan | None, inputs: Inputs) -> Summary:
    """The same of modules on the meta device, which were made of `plan` if they have one."""
    measure = _Measure(network, inputs)
    rows = _Planned(measure).chain(plan, "") if plan else tuple(_called(measure))
    parameters = list(network.parameters())
    total = sum(each.numel() for each in parameters)
    trainable = sum(each.numel() for each in parameters if each.requires_grad)
    return Summary(rows, inputs.shape, total, trainable, measure.flops(""), plan is None)


class _Measure:
    """The figures of each module of a network."""

    def __init__(self, network: nn.Module, inputs: Inputs):
        self.network = network
        self.trace = networks.traced(network, inputs)
        self._seen: set[int] = set()

    def flops(self, path: str) -> int:
        """Of the module at `path` and all within it."""
        return self.trace.flops.get(path, 0)

    def parameters(self, module: nn.Module, recurse: bool = True) -> int:
        """Those of a module that no module asked for before holds as well."""
        new = [p for p in module.parameters(recurse) if id(p) not in self._seen]
        self._seen.update(map(id, new))
        return sum(each.numel() for each in new)


class _Planned:
    """The rows of a plan."""

    def __init__(self, measure: _Measure):
        self.measure = measure
        self.names: dict[str, str] = {}  # of kept outputs, by their keys

    def chain(self, plan: Plan, above: str) -> tuple[Row, ...]:
        rows = []
        for name, step in plan.steps.items():
            kept = name if name in plan.kept else None
            rows.append(self.row(step, f"{above}{name}", kept))
            if kept:
                self.names[plan.kept[name]] = name
        return tuple(rows)

    def row(self, step: Step, path: str, name: str | None = None) -> Row:
        if step.is_layer:
            module = self.measure.network.get_submodule(path)
            figures = self.measure.parameters(module), self.measure.flops(path)
            return Row(path, "layer", _written(step), step.after.shape, *figures, name=name)
        link = None if step.link is None else self.names[step.link]
        within = f"{path}.body." if step.word == "residual" else f"{path}.{{}}."
        chains = tuple(
            self.chain(chain, within.format(place)) for place, chain in enumerate(step.chains)
        )
        project = step.project and self.row(step.project, f"{path}.project")
        text = _structure(step, link)
        return Row(path, step.word, text, step.after.shape, 0, 0, chains, project, name, link)


def _called(measure: _Measure) -> Iterator[Row]:
    """A row for each module that has something of its own, or nothing within."""
    modules, calls = dict(measure.network.named_modules()), measure.trace.flops
    for path in [*calls, *(path for path in modules if path not in calls)]:
        module = modules[path]
        children = [f"{path}.{name}" if path else name for name, _ in module.named_children()]
        flops = measure.flops(path) - sum(map(measure.flops, children))
        parameters = measure.parameters(module, recurse=False)
        if parameters or flops or (not children and path in calls):
            told = module.extra_repr().replace("\n", ", ")
            text = f"{type(module).__name__}({told})" if told else type(module).__name__
            shape = measure.trace.shapes.get(path, ())
            yield Row(path, "layer", text, shape, parameters, flops)


def _written(step: Step) -> str:
    """A layer with its arguments: `Linear(64 -> 32)`."""
    kind, given = find(step.word), dict(step.arguments)
    told = [_shown(given.pop(name)) for pair in FROM_TO if set(pair) <= given.keys()
            for name in pair]  # fmt: skip
    told = [" -> ".join(told)] if told else []
    told += [_shown(given.pop(name)) for name in kind.facts.infer if name in given]
    told += [
        f"{name}={_shown(value)}"
        for name, value in given.items()
        if value is not None and not _is_usual(kind, name, value)
    ]
    tie = [f"weight of {step.tie}"] if step.tie else []
    return f"{step.word}({', '.join(told + tie)})" if told or tie else step.word


def _is_usual(kind: LayerKind, name: str, value: Any) -> bool:
    """Whether it goes without saying: torch's own default, or what we preset."""
    if kind.component:
        return kind.component.kind.name == "activation" and (
            kind.component.schema.model_fields[name].default == value
        )
    return kind.facts.preset.get(name, kind.parameters.get(name)) == value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", dict(value)))
    if isinstance(value, list | tuple) and value and all(isinstance(one, int) for one in value):
        return "x".join(map(str, value))
    return str(value)


def _structure(step: Step, link: str | None) -> str:
    if step.word == "repeat":
        return f"repeat x {len(step.chains)}"
    if step.word == "residual" and step.drop:
        return f"residual, dropped {step.drop:g}"
    return f"from {link}" if link else step.word


def _walk(rows: tuple[Row, ...], depth: int) -> Iterator[tuple[int, Row]]:
    for row in rows:
        yield depth, row
        for chain in row.chains:
            yield from _walk(chain, depth + 1)
        if row.project:
            yield depth + 1, row.project


def _unplaced(row: Row) -> Any:
    """All of a row but where it stands."""
    chains = [[_unplaced(each) for each in chain] for chain in row.chains]
    around = row.project and _unplaced(row.project)
    figures = row.shape, row.parameters, row.flops
    return row.word, row.module, *figures, chains, around, row.name, row.link


def runs(row: Row) -> list[tuple[int, int]]:
    """Of a repetition, the first and the last of those one after another that are alike."""
    found: list[tuple[int, int]] = []
    for number, chain in enumerate(row.chains):
        before = row.chains[found[-1][0]] if found else None
        if before is not None and _alike(before, chain):
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _alike(one: Sequence[Row], other: Sequence[Row]) -> bool:
    return len(one) == len(other) and all(a.alike(b) for a, b in zip(one, other, strict=True))
