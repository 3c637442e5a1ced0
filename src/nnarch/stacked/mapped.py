"""M networks of the same modules and shapes as one function, under `torch.func.vmap`.

Whatever a network computes, it computes for stacked weights as well, without being known here.
What it would draw by chance is taken out: calls of dropout are noted down while one network takes
a batch by itself, each network draws what it would draw alone, and the calls multiply by that.
What draws otherwise, and what vmap does not know, is refused. (Recurrent layers are: written out
step by step, a stack of 32 takes 1.4 times as long as torch's own kernel for one after the other.)
"""

import copy
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from weakref import ReferenceType

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from nnarch.errors import cause
from nnarch.gradient import unchanged
from nnarch.models.blocks.modules.attention import SelfAttention
from nnarch.models.blocks.modules.depth import DropPath
from nnarch.stacked.chance import Drawing
from nnarch.stacked.outline import Unstackable
from nnarch.stacked.padded import Stacked

OF_ANY = vars(nn.Module()).keys()  # what every module has
FEW = 3  # rows, to try a network on


def structure(network: nn.Module) -> Hashable:
    """What `network` is made of, equal for networks that can be mapped together.

    Shares of dropout are left out, but for whether there are any.

    Raises: Unstackable where it changes, or holds, what is not known here.
    """
    known = {id(each) for each in (*network.parameters(), *network.buffers())}
    if not all(each.requires_grad for each in network.parameters()):
        raise Unstackable("some of its parameters are frozen")
    if not all(each.dim() for each in network.parameters()):
        raise Unstackable("a parameter of it is a single number")
    modules = [
        (name, _kind(module), tuple(_numbers(module, known)))
        for name, module in network.named_modules(remove_duplicate=False)
    ]
    tensors = (*network.named_parameters(remove_duplicate=False), *network.named_buffers())
    places = {id(each): place for place, each in enumerate(network.parameters())}
    shapes = [(name, tuple(each.shape), places.get(id(each))) for name, each in tensors]
    return tuple(modules), tuple(shapes)


def _kind(module: nn.Module) -> str:
    """The name of its class; torch makes a class for each module with a parametrized weight."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _numbers(module: nn.Module, known: set[int]) -> Iterator[tuple[str, Hashable]]:
    """What `module` knows beside its weights and modules."""
    if isinstance(module, _BatchNorm) and module.momentum is None:
        raise Unstackable("a normalization counts its steps to average them")
    dropped = {_DropoutNd: "p", DropPath: "p", SelfAttention: "dropout"}
    share = next((name for kind, name in dropped.items() if isinstance(module, kind)), None)
    for name, value in vars(module).items():
        if name == share:
            yield name, value > 0
        elif name not in OF_ANY:
            yield name, _plain(value, known)


def _plain(value: Any, known: set[int]) -> Hashable:
    match value:
        case Tensor():
            if id(value) not in known:
                raise Unstackable("a module keeps a tensor that is no parameter and no buffer")
            return None
        case ReferenceType():  # torch's recurrent layers have them of their weights
            return None
        case dict():
            return tuple((key, _plain(each, known)) for key, each in value.items())
        case list() | tuple():
            return tuple(_plain(each, known) for each in value)
        case None | bool() | int() | float() | str():
            return value
    return id(value)  # a function, say, that has to be the very same


class Mapped:
    """M networks as one function.

    Attributes:
        weights: of the networks' parameters, in the order of these; they want gradients.
        buffers: running statistics and whatever else belongs to a network's state.
        widest: numbers that a layer puts out for a sample, as far as it is known.
    """

    def __init__(self, networks: Sequence[nn.Module], sample: Tensor):
        """Args:
        networks: of one `structure`.
        sample: (1, ...) as the networks take it.

        Raises: Unstackable where it keeps counts.
        """
        self._networks, self._sample = networks, sample
        self._network = copy.deepcopy(networks[0])  # which takes the numbers of all
        self._shared_dims = sample.dim()
        self.widest: int = getattr(networks[0], "widest", 0) or sample[0].numel()
        own = zip(*(network.parameters() for network in networks), strict=True)
        self.weights = [Stacked(list(each)) for each in own]
        for each in self.weights:
            each.tensor.requires_grad_(True)
        self.buffers: list[Stacked] = []
        self.counted: list[list[Tensor]] = []  # steps that a normalization has seen, by network
        named = {name: each for name, each in self._of_networks() if name is not None}
        self._names = [name for name, _ in networks[0].named_parameters()], list(named)
        self._moving = list(named.values())

    def _of_networks(self) -> Iterator[tuple[str | None, Stacked]]:
        """The buffers by their names; those of a network's state are noted down."""
        first = self._networks[0]
        states = set(first.state_dict())
        for name, buffer in first.named_buffers():
            own = [network.get_buffer(name) for network in self._networks]
            if buffer.is_floating_point():
                stacked = Stacked(own)
                if name in states:
                    self.buffers.append(stacked)
                yield name, stacked
            elif name.endswith("num_batches_tracked"):
                self.counted.append(own)
            elif name in states or not all(torch.equal(buffer, each) for each in own):
                raise Unstackable(f"{name} is no number that a stack knows")

    def __call__(self, inputs: Tensor, noise: Iterable[Tensor] | None = None) -> Tensor:
        """Outputs (M, rows, ...) of rows (rows, ...) that all share, or (M, rows, ...).

        Args:
            noise: what the dropouts multiply by, (M, ...) each; given in training.
        """
        self._network.train(noise is not None)
        shared = inputs.dim() == self._shared_dims
        weights, buffers = ([e.tensor for e in es] for es in (self.weights, self._moving))
        mapped = torch.func.vmap(self._one, (0, 0, None if shared else 0, 0))
        return mapped(weights, buffers, inputs, list(noise or ()))

    def _one(
        self, weights: list[Tensor], buffers: list[Tensor], inputs: Tensor, noise: list[Tensor]
    ) -> Tensor:
        given, names = iter(noise), self._names
        numbers = dict(zip((*names[0], *names[1]), (*weights, *buffers), strict=True))
        with _Dropouts(lambda like, share: next(given)):
            return torch.func.functional_call(self._network, numbers, (inputs,))

    def write(self, member: int, steps: int) -> None:
        """Give a network its numbers, after so many steps."""
        for each in (*self.weights, *self.buffers):
            each.write(member)
        for counts in self.counted:
            counts[member] += steps

    def drawings(self, rows: int) -> list[Drawing]:
        """The dropouts of a batch of so many rows, in their order."""
        batch = self._sample.expand(rows, *self._sample.shape[1:])
        noted = [_dropouts_of(network, batch) for network in self._networks]
        return [_drawing(calls) for calls in zip(*noted, strict=True)]


class _Call(NamedTuple):
    """A call of dropout: what it draws is like `like` in memory."""

    like: Tensor
    share: float


def _dropouts_of(network: nn.Module, batch: Tensor) -> list[_Call]:
    """The calls of dropout while `network`, left as it is, takes a batch in training."""
    calls: list[_Call] = []

    def note(like: Tensor, share: float) -> Tensor:
        calls.append(_Call(torch.empty_like(like), share))
        return torch.ones_like(like)

    with unchanged(network), torch.no_grad(), _Dropouts(note):
        network.train()
        network(batch)
    return calls


def _drawing(calls: Sequence[_Call]) -> Drawing:
    like = calls[0].like
    assert all(call.like.shape == like.shape for call in calls)
    size, numbers = len(calls), like.numel()
    order = torch.arange(numbers, device=like.device).expand(size, numbers)
    strides = numbers, *like.stride()
    of_all = torch.empty_strided((size, *like.shape), strides, dtype=like.dtype, device=like.device)
    return Drawing([call.share for call in calls], [numbers] * size, order, of_all)


class _Dropouts(TorchFunctionMode):
    """Has every dropout multiply by what `noise` gives for a tensor to be like, and a share."""

    def __init__(self, noise: Callable[[Tensor, float], Tensor]):
        super().__init__()
        self._noise = noise

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        match func:
            case F.dropout:
                return self._dropout(*args, **kwargs)
            case F.dropout1d | F.dropout2d | F.dropout3d:
                return self._channels(*args, **kwargs)
            case F.scaled_dot_product_attention:
                return self._attention(*args, **kwargs)
            case torch._weight_norm:  # pyright: ignore[reportPrivateImportUsage]
                return _weight_norm(*args)
        return func(*args, **kwargs)

    def _dropout(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        return input * self._noise(input, p) if training else input

    def _channels(
        self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training:
            return input
        of_each = input.new_empty(*input.shape[:2], *[1] * (input.dim() - 2))
        return input * self._noise(of_each, p)

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **others: Any,
    ) -> Tensor:
        """Attention as it is defined, where torch's own kernel cannot be mapped or draws."""
        if attn_mask is not None or any(others.values()):
            raise Unstackable("attention with a mask or a scale of its own")
        root = query.shape[-1] ** -0.25
        scores = (query * root) @ (key * root).transpose(-2, -1)
        if is_causal:
            ahead = scores.new_ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(ahead, -torch.inf)
        shares = scores.softmax(-1)
        if dropout_p:
            shares = shares * self._noise(shares, dropout_p)
        return shares @ value


def _weight_norm(v: Tensor, g: Tensor, dim: int) -> Tensor:
    """g v / |v|, the norm over all dimensions but `dim` (Salimans & Kingma, 2016)."""
    others = [other for other in range(v.dim()) if other != dim]  # all, where it is -1
    return v * (g / v.norm(dim=others, keepdim=True))


def numbers_of(network: nn.Module, sample: Tensor, rows: int) -> int:
    """The numbers that a step of `network` touches: weights, and outputs of so many rows."""
    made = [0]

    def add(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not any(module.children()):
            made[0] += output.numel()

    batch = sample.expand(FEW, *sample.shape[1:])
    hooks = [module.register_forward_hook(add) for module in network.modules()]
    try:
        with unchanged(network), torch.no_grad():
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(each.numel() for each in network.parameters()) + made[0] * rows // FEW


def check(network: nn.Module, sample: Tensor) -> None:
    """Try `network` as two of a stack.

    Raises: Unstackable where vmap cannot compute it, or only one network after the other.
    """
    batch = sample.expand(FEW, *sample.shape[1:])
    two = [copy.deepcopy(network) for _ in range(2)]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "There is a performance drop")
            mapped = Mapped(two, sample)
            noise = [torch.ones_like(each.like) for each in mapped.drawings(FEW)]
            made = mapped(batch, noise)
            torch.autograd.grad(made.sum(), [each.tensor for each in mapped.weights])
            with torch.no_grad():
                mapped(batch)
    except (RuntimeError, ValueError, TypeError, UserWarning) as error:
        said = cause(error).split(". ")[0]
        raise Unstackable(f"torch.func.vmap cannot compute it: {said}") from error
