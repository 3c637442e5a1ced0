"""The layers of a list by their names: torch.nn's classes, and registered layers and activations.

A layer's arguments are those of its class. What nobody should have to compute is filled in from
the sample that comes in: the table below says which argument of which class is what of a sample,
and `infer=` says the same of a registered one. Two more facts keep torch from taking something
for what it is not: how many dimensions a sample has to have, since torch takes a batch of (B, F)
for a single sample where it expects (C, L), and whether a layer looks at the last dimension or at
the first.
"""

import inspect
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import nn

from nnarch.component import Component
from nnarch.errors import OUT_OF_MEMORY, ConfigError, MachineError, cause, is_out_of_memory
from nnarch.layerlist import BESIDE
from nnarch.registry import layer as registered
from nnarch.registry import suggestion
from nnarch.validate import dotted, fill, shortened, unknown_layer

Axis = Literal["features", "channels"]  # the last dimension of a sample, or its first


@dataclass(frozen=True)
class Facts:
    """What has to be known of a layer beside its signature.

    Attributes:
        infer: arguments, and what of the sample each of them is.
        preset: arguments whose usual value is not torch's.
        axis: which dimension the layer takes for features.
        ranks: the numbers of dimensions that a sample may have; any if there are none.
    """

    infer: Mapping[str, str] = field(default_factory=dict)
    preset: Mapping[str, Any] = field(default_factory=dict)
    axis: Axis | None = None
    ranks: tuple[int, ...] = ()


def _of_features(argument: str, *ranks: int, **preset: Any) -> Facts:
    return Facts({argument: "features"}, preset, "features", ranks)


SPATIAL = (
    "Conv", "ConvTranspose", "BatchNorm", "InstanceNorm", "MaxPool", "AvgPool", "AdaptiveAvgPool",
    "AdaptiveMaxPool", "LPPool", "FractionalMaxPool", "ReflectionPad", "ReplicationPad",
    "CircularPad", "ZeroPad", "ConstantPad", "Dropout",
)  # fmt: skip
CHANNELS = {
    "Conv": "in_channels", "ConvTranspose": "in_channels",
    "BatchNorm": "num_features", "InstanceNorm": "num_features",
}  # fmt: skip
TABLE = {
    "Linear": _of_features("in_features"),
    "LayerNorm": _of_features("normalized_shape"),
    "RMSNorm": _of_features("normalized_shape"),
    "RNN": _of_features("input_size", 2, batch_first=True),
    "LSTM": _of_features("input_size", 2, batch_first=True),
    "GRU": _of_features("input_size", 2, batch_first=True),
    "RNNCell": _of_features("input_size", 1),
    "LSTMCell": _of_features("input_size", 1),
    "GRUCell": _of_features("input_size", 1),
    "MultiheadAttention": _of_features("embed_dim", 2, batch_first=True),
    "TransformerEncoderLayer": _of_features("d_model", 2, batch_first=True),
    "Embedding": Facts({"num_embeddings": "vocabulary"}, {}, "features"),
    "EmbeddingBag": Facts({"num_embeddings": "vocabulary"}, {}, "features", (1,)),
    "GroupNorm": Facts({"num_channels": "channels"}, {}, "channels", (2, 3, 4)),
    "LocalResponseNorm": Facts(axis="channels", ranks=(2, 3, 4)),
    "Softmax": Facts(preset={"dim": -1}),
    "LogSoftmax": Facts(preset={"dim": -1}),
    "Softmin": Facts(preset={"dim": -1}),
    "PixelShuffle": Facts(axis="channels", ranks=(3,)),
    "PixelUnshuffle": Facts(axis="channels", ranks=(3,)),
    "ChannelShuffle": Facts(axis="channels", ranks=(2, 3, 4)),
    "Softmax2d": Facts(axis="channels", ranks=(3,)),
    "Upsample": Facts(axis="channels", ranks=(2, 3, 4)),
    "UpsamplingNearest2d": Facts(axis="channels", ranks=(3,)),
    "UpsamplingBilinear2d": Facts(axis="channels", ranks=(3,)),
    "Fold": Facts(ranks=(2,)),
    "Unfold": Facts(ranks=(3,)),
    **{
        f"{name}{dims}d": Facts(
            {CHANNELS[name]: "channels"} if name in CHANNELS else {},
            {},
            "channels",
            (1, 2) if name == "BatchNorm" and dims == 1 else (dims + 1,),
        )
        for name in SPATIAL
        for dims in (1, 2, 3)
    },
}
# modules that hold modules, take several inputs, are losses, or leave shapes for later
NO_LAYERS = {
    "Module", "Container", "Sequential", "ModuleList", "ModuleDict", "ParameterList",
    "ParameterDict", "DataParallel", "SyncBatchNorm", "RNNBase", "RNNCellBase", "Bilinear",
    "CosineSimilarity", "PairwiseDistance", "Transformer", "TransformerEncoder",
    "TransformerDecoder", "TransformerDecoderLayer", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
    "AdaptiveLogSoftmaxWithLoss", "CrossMapLRN2d", "LinearCrossEntropyLoss",
}  # fmt: skip
SIZES = {
    "in_features", "out_features", "in_channels", "out_channels", "hidden_size", "num_layers",
    "num_heads", "nhead", "embedding_dim", "num_groups", "groups", "dim_feedforward", "d_model",
    "embed_dim", "input_size", "num_features", "num_embeddings", "num_channels", "num_parameters",
}  # fmt: skip
OURS_TO_SAY = {"device", "dtype"}  # where and of what type is said for the whole network


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer: what it takes, and how to make one."""

    name: str
    facts: Facts
    parameters: Mapping[str, Any]  # by name in order: the default, or `REQUIRED`
    component: Component | None = None  # of a registered one

    @property
    def is_activation(self) -> bool:
        return self.component is not None and self.component.kind.name == "activation"

    def arguments(self, given: Any) -> dict[str, Any]:
        """Arguments by name, from a mapping, from a list in order, or from a single one.

        Raises: ConfigError where there is no such argument, or it is given otherwise.
        """
        if self.component:
            return self.component.options_from(given)
        if given is None or isinstance(given, Mapping):
            named = dict(given or {})
        else:
            values = given if isinstance(given, list) else [given]
            free = [name for name in self.parameters if name not in self.facts.infer]
            if len(values) > len(free):
                takes = f"at most {', '.join(free)}" if free else "no arguments"
                raise ConfigError(f"got {len(values)} arguments; expected {takes}")
            named = dict(zip(free, values, strict=False))
        for name in named:
            if name not in self.parameters:
                raise ConfigError(f"no argument {name!r}; {self._taken(name)}")
        return {**self.facts.preset, **named}

    def _taken(self, name: str) -> str:
        return suggestion(name, list(self.parameters)) if self.parameters else "it takes none"

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The complete arguments, once inferred ones are filled in.

        Raises: ConfigError where one is missing or of another kind.
        """
        if self.component:
            filled, faults = fill(self.component.schema, arguments)
            if faults:
                raise ConfigError(f"{dotted(path)}: {text}" for path, text in faults)
            return filled
        for name, default in self.parameters.items():
            if name in arguments:
                _check_argument(name, arguments[name], default)
            elif default is REQUIRED:
                raise ConfigError(
                    f"{name}: missing; expected {_wanted(name, default) or 'a value'}"
                )
        if arguments.get("batch_first") is False:
            raise ConfigError("batch_first: got false; expected true, which it is by itself here")
        _check_words(arguments)
        _check_sides(self.name, arguments)
        _check_output_padding(arguments)
        return dict(arguments)

    def make(self, arguments: Mapping[str, Any]) -> nn.Module:
        """The module, on torch's current device.

        Raises: ConfigError with what torch says of its arguments; MachineError where memory runs
            out.
        """
        if self.component:
            return self.component.build(arguments)
        given = {name: _as_tuples(value) for name, value in arguments.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return getattr(nn, self.name)(**given)
            except Exception as error:
                if is_out_of_memory(error):
                    raise MachineError(OUT_OF_MEMORY) from error
                raise ConfigError(said(error)) from error


REQUIRED = inspect.Parameter.empty


def find(name: str) -> LayerKind:
    """The kind of layer that a list calls `name`.

    Raises: ConfigError with the nearest name that is known.
    """
    component = registered(name)
    if component is None:
        return _of_torch(name)
    if name in classes():
        raise ConfigError(f"{name} is torch's own; call the layer in {component.where} otherwise")
    inferred = component.inferred
    axis = next((axis for axis in get_args(Axis) if axis in inferred.values()), None)
    facts = Facts(inferred, {}, component.facts.get("axis", axis), component.facts.get("ranks", ()))
    return LayerKind(name, facts, {}, component)


@cache
def _of_torch(name: str) -> LayerKind:
    if name in classes():
        return LayerKind(name, TABLE.get(name, Facts()), _signature(name))
    if hasattr(nn, name):
        raise ConfigError(
            f"torch.nn.{name} is no layer of one input; structures are " + ", ".join(BESIDE)
        )
    raise ConfigError(unknown_layer(name, classes()))


def said(error: Exception) -> str:
    """What torch says of a layer that it cannot make or run."""
    text = " ".join(str(error).split())
    if "overflow" in text.lower():
        return "has more numbers than can be counted"
    return text or cause(error)


@cache
def classes() -> list[str]:
    """The names of the classes of torch.nn that a list may hold."""
    return [
        name
        for name, each in vars(nn).items()
        if inspect.isclass(each)
        and issubclass(each, nn.Module)
        and not name.startswith("Lazy")
        and not name.endswith(("Loss", "Loss2d"))
        and name not in NO_LAYERS
    ]


def _signature(name: str) -> dict[str, Any]:
    """The parameters of a class; of recurrent ones, those that their parent takes."""
    owner = nn.RNNBase if name in ("RNN", "LSTM", "GRU") else getattr(nn, name)
    found = {
        each.name: each.default
        for each in inspect.signature(owner).parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        and each.name not in {"inplace", *OURS_TO_SAY}
        and not each.name.startswith("_")
        and not (owner is nn.RNNBase and each.name == "mode")
    }
    return found | ({"nonlinearity": "tanh"} if name == "RNN" else {})


MOST_LAYERS = 100  # of a recurrent layer, which makes its weights one by one
APPROXIMATE = ("none", "tanh")


def _check_words(arguments: Mapping[str, Any]) -> None:
    """What torch takes as it is made, to stumble or to hang upon it later."""
    layers, word = arguments.get("num_layers", 1), arguments.get("approximate", "none")
    if layers > MOST_LAYERS:
        raise ConfigError(f"num_layers: got {layers}; expected at most {MOST_LAYERS}")
    if word not in APPROXIMATE:
        raise ConfigError(f"approximate: got {word!r}; expected {' or '.join(APPROXIMATE)}")


OF_EACH_SIDE = ("kernel_size", "stride", "dilation", "output_padding", "padding")


def _check_sides(name: str, arguments: Mapping[str, Any]) -> None:
    """What the meta device lets pass of a convolution or pooling, and the CPU does not."""
    if not (sides := re.fullmatch(r"(?:Conv|ConvTranspose|\w+Pool)([123])d", name)):
        return
    for each in OF_EACH_SIDE:
        given = arguments.get(each)
        if isinstance(given, list) and len(given) != int(sides[1]):
            raise ConfigError(
                f"{each}: got {shortened(given)}; expected a number, or a list of {sides[1]}"
            )


def _check_output_padding(arguments: Mapping[str, Any]) -> None:
    """What the meta device lets pass of a transposed convolution, and the CPU does not."""
    given = arguments.get("output_padding", 0)
    given, *limits = (
        value if isinstance(value, list) else [value] * 3
        for value in (given, arguments.get("stride", 1), arguments.get("dilation", 1))
    )
    for padding, *others in zip(given, *limits, strict=False):
        if isinstance(padding, int) and padding and padding >= max(others):
            raise ConfigError(
                f"output_padding: got {padding}; expected less than the stride or the dilation"
            )


def _check_argument(name: str, value: Any, default: Any) -> None:
    wanted = _wanted(name, default)
    if not wanted:
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    right = {
        WHOLE: whole and value >= 1,
        NUMBER: whole or isinstance(value, float),
        FLAG: isinstance(value, bool),
        TEXT: isinstance(value, str),
    }
    if not right[wanted]:
        raise ConfigError(f"{name}: got {shortened(value)}; expected {wanted}")


WHOLE, NUMBER, FLAG, TEXT = "an integer >= 1", "a number", "true or false", "text"


def _wanted(name: str, default: Any) -> str | None:
    """What an argument has to be, as far as its name or its default tells."""
    if name in SIZES:
        return WHOLE
    if isinstance(default, bool):
        return FLAG
    if isinstance(default, str):
        return TEXT
    return NUMBER if isinstance(default, float) else None


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def output(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """What a layer makes of its input, where torch gives more than that.

    Attention attends to the input itself; of a recurrent layer, it is the output of every step.
    """
    if isinstance(module, nn.MultiheadAttention):
        return module(inputs, inputs, inputs, need_weights=False)[0]
    made = module(inputs)
    return made[0] if isinstance(made, tuple) else made
