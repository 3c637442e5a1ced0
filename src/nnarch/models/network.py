"""From a model's description to a network.

The description is first followed by shapes alone, with nothing allocated, so that a network's
size is known before its memory is. Then the modules are made in order, from torch's random
numbers as they come, just as a hand-written `nn.Sequential` would make them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nnarch.data.inputs import Inputs
from nnarch.errors import ConfigError, cause
from nnarch.models import torchlayers
from nnarch.models.embedding import TOKEN_WIDTH, embedded, embedding
from nnarch.models.following import follow
from nnarch.models.layers import Layers
from nnarch.models.plan import Plan, Step, entering
from nnarch.models.structures import Branches, Chain, Link, Residual
from nnarch.models.trial import KEEP_SHAPE
from nnarch.registry import initializations, models

if TYPE_CHECKING:
    from nnarch.models.trace import Trace


@dataclass(frozen=True)
class Size:
    """What a network costs.

    Attributes:
        parameters: numbers to learn.
        flops: floating-point operations for one sample.
        widest: how many numbers its largest output has for one sample; 0 where it is not known.
    """

    parameters: int
    flops: int
    widest: int = 0


@dataclass(frozen=True)
class Described:
    """A model as its family describes it for some data: as a plan, or as a module of its own.

    Attributes:
        layers: the family's list of layers, where it gives one; codes are embedded first.
        plan: that list, followed.
        module: the network of a family that builds it by itself.
    """

    layers: Layers | None = None
    plan: Plan | None = None
    module: nn.Module | None = None


def takes_codes(spec: Mapping[str, Any]) -> bool:
    """Whether a model is given tokens and categories as they are, to embed them itself.

    Where that depends on its options, the fact is a function of the filled `model`.
    """
    codes = models.get(spec["name"]).facts.get("codes", False)
    return bool(codes(spec) if callable(codes) else codes)


def autoregressive(spec: Mapping[str, Any]) -> bool:
    """Whether a model answers to every token of a text at once: (B, T) to (B, T, outputs)."""
    return bool(models.get(spec["name"]).facts.get("autoregressive") or spec.get("autoregressive"))


def is_ensemble(spec: Mapping[str, Any]) -> bool:
    """Whether a model answers several times to each sample: (B, members, outputs)."""
    return bool(models.get(spec["name"]).facts.get("ensemble") or spec.get("ensemble"))


def make(spec: Mapping[str, Any], inputs: Inputs, outputs: int, seed: int) -> nn.Module:
    """The network that a filled `model` describes, its weights begun from `seed`.

    Args:
        inputs: what one sample is; codes in it are embedded first, by the model or before it.
        outputs: how many numbers to predict for it.

    Raises: ConfigError where the model is not for such samples.
    """
    _seed(seed)
    return assembled(describe(spec, inputs, outputs))


def make_sized(
    spec: Mapping[str, Any],
    inputs: Inputs,
    outputs: int,
    seed: int,
    check: Callable[[Size], None] = lambda size: None,
) -> tuple[nn.Module, Size]:
    """What `make` makes, and its size, described once.

    Args:
        check: is told the size before much is allocated; what it raises is the end of it.
    """
    with torch.device("meta"):
        described = describe(spec, inputs, outputs)
    if described.plan and (flops := _flops_of_small(described.plan)) is not None:
        _seed(seed)
        network = assembled(described)
        found = Size(_parameters(network), flops, described.plan.widest)
        check(found)
        return network, found
    found = size_of(described, _empty(described), inputs)
    check(found)
    if described.plan is None:
        return make(spec, inputs, outputs, seed), found
    _seed(seed)
    return assembled(described), found


def _seed(seed: int) -> None:
    """Have weights, which are drawn on the CPU, begin from `seed`."""
    torch.default_generator.manual_seed(seed)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def fit_to(network: nn.Module, rows: Callable[[], Tensor]) -> None:
    """Show training rows to a first layer that is made of them, as bins of quantiles are.

    Args:
        network: as `make` gives it; what is to be fitted has a method `fit`.
        rows: gives (N, ...) training rows as the network takes them, where they are wanted.

    Raises: ConfigError where such a layer stands behind others, and would see no rows.
    """
    if not isinstance(network, Chain):
        return
    for name, module in network.named_modules():
        if not callable(fit := getattr(module, "fit", None)):
            continue
        if module is not network[0]:
            raise ConfigError(
                f"layer {name}, a {type(module).__name__}, is made of training rows; expected it "
                "as the first, where the rows come in"
            )
        fit(rows())


def describe(spec: Mapping[str, Any], inputs: Inputs, outputs: int) -> Described:
    """What a filled `model` means for samples that are `inputs`.

    Raises: ConfigError where it is not for such samples.
    """
    codes = not takes_codes(spec) and bool(inputs.vocabulary or inputs.cardinalities)
    made = models.build(spec, embedded(inputs) if codes else inputs.shape, outputs)
    if not isinstance(made, Layers):
        before = embedding(inputs) if codes else None
        return Described(module=made if before is None else nn.Sequential(before, made))
    if codes:
        first = {"Embedding": TOKEN_WIDTH} if inputs.vocabulary else "column_embedding"
        made = replace(made, items=[first, *made.items])
    plan = _followed(made, spec["name"], inputs, outputs)
    expected = (*inputs.shape, outputs) if autoregressive(spec) else (outputs,)
    if is_ensemble(spec):
        expected = (*plan.after.shape[:1], outputs)
    if plan.after.shape != expected:
        raise ConfigError(
            f"{'.'.join(map(str, made.at))}: gives {plan.after}; expected {expected}, as the last "
            f"layer gives with {_cure(plan.after.shape, expected)}"
        )
    return Described(made, plan)


def expanded(spec: Mapping[str, Any], inputs: Inputs, outputs: int) -> dict[str, Any] | None:
    """The same network written layer by layer; None where a module of its own is the network."""
    layers = describe(spec, inputs, outputs).layers
    if layers is None:
        return None
    written = {"layers": list(layers.items), "initialization": dict(layers.initialization)}
    written |= {"autoregressive": True} if autoregressive(spec) else {}
    return written | ({"ensemble": True} if is_ensemble(spec) else {})


def _followed(layers: Layers, family: str, inputs: Inputs, outputs: int) -> Plan:
    """The plan of a list; a fault in one that the user did not write is the family's."""
    try:
        return follow(layers.items, layers.at, entering(inputs), inputs, outputs)
    except ConfigError as error:
        if family == "layers":
            raise
        raise ConfigError(
            f"{family} does not fit samples of shape {inputs.shape}: its layer "
            f"{fault.removeprefix('.'.join(map(str, layers.at)))}"
            for fault in error.faults
        ) from error


def _cure(shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    ends = "{Linear: out}"
    return f"Flatten and {ends} after it" if len(shape) > len(expected) else f"{ends} at the end"


def assembled(described: Described) -> nn.Module:
    """The modules of a description, in order, on torch's current device."""
    if described.plan is None or described.layers is None:
        assert described.module is not None
        return described.module
    network = build(described.plan)
    network.widest = described.plan.widest
    initialize(network, described.layers.initialization)
    return network


def size(spec: Mapping[str, Any], inputs: Inputs, outputs: int) -> Size:
    """What `make` would make, counted on the meta device: nothing is allocated."""
    return size_of(*unallocated(spec, inputs, outputs), inputs)


def size_of(described: Described, network: nn.Module, inputs: Inputs) -> Size:
    """The size of a network that `unallocated` gives."""
    flops = described.plan and _told_flops(described.plan)
    if flops is None:
        flops = traced(network, inputs).flops[""]
    return Size(_parameters(network), flops, described.plan.widest if described.plan else 0)


def unallocated(
    spec: Mapping[str, Any], inputs: Inputs, outputs: int
) -> tuple[Described, nn.Module]:
    """A model's description, and its modules on the meta device, where weights have no memory."""
    with torch.device("meta"):
        described = describe(spec, inputs, outputs)
    return described, _empty(described)


def _empty(described: Described) -> nn.Module:
    """The modules of what was described on the meta device, on that device."""
    with torch.device("meta"):
        network = described.module if described.plan is None else build(described.plan)
    assert network is not None
    return network


def rows_of(inputs: Inputs, count: int) -> torch.Tensor:
    """So many samples (count, *shape) on the meta device."""
    dtype = torch.int64 if inputs.vocabulary else None
    return torch.empty(count, *inputs.shape, device="meta", dtype=dtype)


SMALL = 10_000_000  # operations; a linear layer has half as many weights
WITHOUT_FLOPS = KEEP_SHAPE | {"Embedding", "Flatten", "column_embedding"}


def _told_flops(plan: Plan) -> int | None:
    """Operations of a network whose only products are those of linear layers."""
    total = 0
    for step in plan.layers():
        if step.word == "Linear":
            rows = math.prod(step.before.shape[:-1])
            total += 2 * rows * step.before.shape[-1] * step.after.shape[-1]
        elif step.word not in WITHOUT_FLOPS and not torchlayers.find(step.word).is_activation:
            return None
    return total


def _flops_of_small(plan: Plan) -> int | None:
    """Operations of a network whose memory is nothing to ask for; None of any other."""
    if any(step.word in ("Embedding", "column_embedding") for step in plan.layers()):
        return None
    flops = _told_flops(plan)
    return flops if flops is not None and max(flops, plan.widest) < SMALL else None


def traced(network: nn.Module, inputs: Inputs) -> "Trace":
    """One sample's way through a network on the meta device, which takes a while to import.

    Raises: ConfigError where the network does not take such samples.
    """
    from nnarch.models.trace import trace

    try:
        return trace(network, rows_of(inputs, 1))
    except ConfigError:
        raise
    except Exception as error:  # a module of the user's own
        raise ConfigError(f"cannot take rows of shape {inputs.shape}: {cause(error)}") from error


def build(plan: Plan) -> Chain:
    """The modules of a plan, in order, with the weights that are tied as one."""
    return _chain(plan, {})


def _chain(plan: Plan, made: dict[str, nn.Module]) -> Chain:
    """The modules of a plan; `made` are those before it, by the names that ties lead to."""
    modules: dict[str, nn.Module] = {}
    for name, step in plan.steps.items():
        module = modules[name] = made[name] = _module(step, made)
        if step.tie:
            module.weight = made[step.tie].weight
    return Chain(modules, plan.kept)


def _module(step: Step, made: dict[str, nn.Module]) -> nn.Module:
    if step.is_layer:
        return torchlayers.find(step.word).make(step.arguments)
    if step.link is not None:
        return Link(step.link)
    if step.word == "repeat":
        return _repetition(step, made)
    chains = [_chain(chain, made) for chain in step.chains]
    if step.word != "residual":
        return Branches(chains, step.word, step.dim)
    project = None if step.project is None else _module(step.project, made)
    return Residual(chains[0], project, _dropped(step.drop))


def _repetition(step: Step, made: dict[str, nn.Module]) -> Chain:
    """Behind it, what it calls `h` is `h.0` of the first time, `h.1` of the second."""
    chains: dict[str, nn.Module] = {}
    for time, plan in enumerate(step.chains):
        inside = dict(made)
        chains[str(time)] = _chain(plan, inside)
        for name in inside.keys() - made.keys():
            first, *rest = name.split(".")
            made[".".join([first, str(time), *rest])] = inside[name]
    return Chain(chains)


def _dropped(share: float) -> nn.Module | None:
    return torchlayers.find("drop_path").make({"p": share}) if share else None


def initialize(network: nn.Module, rule: Mapping[str, Any]) -> None:
    """Begin the weights of torch's layers by `rule`, and their biases at zero.

    Blocks that learn something else (positions, frequencies, a class token) begin as they do.
    """
    if rule["name"] == "default":
        return
    for module in network.modules():
        if not type(module).__module__.startswith("torch.nn.modules."):
            continue
        for name, parameter in module.named_parameters(recurse=False):
            what = name.removeprefix("in_proj_")
            if what.startswith("weight") and parameter.dim() >= 2:
                initializations.build(rule, parameter)
            elif what.startswith("bias"):
                nn.init.zeros_(parameter)
