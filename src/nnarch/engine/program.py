"""Operations that were noted down, written as a plain function that calls them one after the other.

What hangs on nothing that changes is computed once, views of what only moves are made once, and
what nobody reads is left out. What is left are the operations that were noted, on the same memory,
in the same order: the results are the same bits.
"""

import keyword
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
SAME = {aten.detach.default, aten.alias.default, aten.lift_fresh.default}  # as they are given
MADE = {  # whose numbers are known without those of the tensor that they are made like
    aten.ones_like.default, aten.zeros_like.default, aten.full_like.default,
    aten.new_zeros.default, aten.new_ones.default, aten.new_full.default,
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """An operation with what it was given and what it gave."""

    function: Any  # torch._ops.OpOverload
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any

    @property
    def given(self) -> list[Tensor]:
        return [*tensors(self.arguments), *tensors(list(self.options.values()))]

    @property
    def made(self) -> list[Tensor]:
        return list(tensors([self.result]))

    @property
    def written(self) -> list[Tensor]:
        """What it is given and changes."""
        by_name = {each.name: each.alias_info for each in self.function._schema.arguments}
        values = dict(zip(by_name, self.arguments, strict=False)) | self.options
        changes = [name for name, alias in by_name.items() if alias and alias.is_write]
        return list(tensors([values.get(name) for name in changes]))

    @property
    def writes(self) -> bool:
        return self.function._schema.is_mutable

    @property
    def is_view(self) -> bool:
        return not self.writes and any(each.alias_info for each in self.function._schema.arguments)

    @property
    def is_by_chance(self) -> bool:
        return torch.Tag.nondeterministic_seeded in self.function.tags

    @property
    def has_effect(self) -> bool:
        """Whether it matters even where nobody reads what it gives."""
        return self.writes or self.is_by_chance


@dataclass(frozen=True)
class Recording:
    """What was recorded: a function that takes inputs of the same shapes, and leaves no gradient.

    Attributes:
        source: of the function, as it was written.
        operations: how many it calls.
    """

    program: Callable[..., tuple[Tensor, ...]]
    source: str
    operations: int


def written(
    calls: Sequence[Call],
    inputs: Sequence[Tensor],
    moving: Sequence[Tensor],
    results: Sequence[Tensor],
) -> Recording:
    """A function of `inputs` that makes the calls and gives `results`.

    Args:
        moving: tensors whose numbers change between calls while their memory stays. All others
            that came from elsewhere are taken to stay as they are.
    """
    return _Writer(calls, inputs, moving).written(results)


class _Writer:
    """Writes calls down as the source of a function.

    Every tensor has a role: an `input`, one that is `moving`, a `constant`, or one that each
    `step` makes anew.
    """

    def __init__(self, calls: Sequence[Call], inputs: Sequence[Tensor], moving: Sequence[Tensor]):
        self._inputs = inputs
        self._roles = dict.fromkeys(map(id, moving), "moving") | dict.fromkeys(
            map(id, inputs), "input"
        )
        self._names = {id(each): f"i{number}" for number, each in enumerate(inputs)}
        self._same: dict[int, Tensor] = {}
        self._turned: dict[int, Tensor] = {}  # what a matrix is the transpose of
        self._known: dict[str, Any] = {}  # what the function finds under its global names
        self._written = {_memory(each) for call in calls for each in call.written}
        self._steps = [call for call in calls if not self._is_done(call)]

    def _is_done(self, call: Call) -> bool:
        """Give what `call` made its role; true where it need not be done again."""
        if (same := self._same_as(call)) is not None:
            self._same[id(call.result)] = same
            return True
        roles = {self._role(each) for each in call.given}
        fixed = roles <= {"constant"} or call.function in MADE
        changed = any(_memory(each) in self._written for each in call.made)
        if fixed and not changed and not call.has_effect:
            return self._give("constant", call)
        if call.is_view and roles <= {"constant", "moving"} and "moving" in roles:
            return self._give("moving", call)
        return not self._give("step", call)

    def _same_as(self, call: Call) -> Tensor | None:
        """The tensor that `call` gives under another name, if it does no more than that."""
        if call.function in SAME:
            return call.arguments[0]
        if call.function is not aten.t.default:
            return None
        given = self._root(call.arguments[0])
        self._turned[id(call.result)] = given
        return self._turned.get(id(given))

    def _give(self, role: str, call: Call) -> bool:
        for each in call.made:
            if self._roles.get(id(each)) not in ("moving", "input"):  # it was written in place
                self._roles[id(each)] = role
        return True

    def _root(self, tensor: Tensor) -> Tensor:
        while id(tensor) in self._same:
            tensor = self._same[id(tensor)]
        return tensor

    def _role(self, tensor: Tensor) -> str:
        """The role that `tensor` has, or gets since it came from elsewhere."""
        role = "moving" if _memory(tensor) in self._written else "constant"
        return self._roles.setdefault(id(self._root(tensor)), role)

    def written(self, results: Sequence[Tensor]) -> Recording:
        lines = [self._line(call) for call in self._needed(results)]
        end = f"return ({''.join(f'{self._name(each)}, ' for each in results)})"
        inputs = ", ".join(f"i{number}" for number in range(len(self._inputs)))
        # Below autograd, as the calls were seen, kernels that ask whether gradients are wanted
        # still hear that they are.
        self._known["below_autograd"] = torch._C._AutoDispatchBelowAutograd
        head = [f"def program({inputs}):", "    with below_autograd():"]
        body = [f"        {line}" for line in _forgetting([*lines, ([], end)])]
        source = "\n".join([*head, *body])
        exec(source, self._known)  # of names and numbers that were written here alone
        return Recording(self._known["program"], source, len(lines))

    def _needed(self, results: Sequence[Tensor]) -> list[Call]:
        """The steps that a result hangs on, or that change what is kept."""
        read, needed = {id(self._root(each)) for each in results}, []
        for call in reversed(self._steps):
            if call.has_effect or any(id(self._root(each)) in read for each in call.made):
                needed.append(call)
                read |= {id(self._root(each)) for each in call.given}
        return needed[::-1]

    def _line(self, call: Call) -> tuple[list[str], str]:
        """The names that a call gives values to, and the call."""
        options = [f"{_checked(name)}={self._word(each)}" for name, each in call.options.items()]
        words = ", ".join([*map(self._word, call.arguments), *options])
        name = call.function._schema.name.split("::")[-1]
        written = f"{self._global(_binding(call.function), name)}({words})"
        several = isinstance(call.result, list | tuple)
        made = [self._new_name(each) for each in (call.result if several else [call.result])]
        if set(made) <= {"_"}:
            return [], written
        left = "".join(f"{name}, " for name in made) if several else made[0]
        return [name for name in made if name != "_"], f"{left} = {written}"

    def _new_name(self, made: Any) -> str:
        """The name that a call's result is to be given, `_` where it has one or needs none."""
        if not isinstance(made, Tensor) or id(self._root(made)) in self._names:
            return "_"
        return self._name(made) if self._role(made) == "step" else "_"

    def _name(self, tensor: Tensor) -> str:
        tensor = self._root(tensor)
        if id(tensor) not in self._names:
            local = self._role(tensor) == "step"
            name = f"t{len(self._names)}" if local else self._global(tensor.detach())
            self._names[id(tensor)] = name
        return self._names[id(tensor)]

    def _word(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self._name(value)
        if isinstance(value, list | tuple):
            words = "".join(f"{self._word(each)}, " for each in value)
            return f"[{words}]" if isinstance(value, list) else f"({words})"
        finite = type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
        return repr(value) if value is None or finite else self._global(value)

    def _global(self, value: Any, word: str = "k") -> str:
        name = f"{_checked(word)}_{len(self._known)}"
        self._known[name] = value
        return name


def _checked(name: str) -> str:
    assert name.isidentifier(), name
    assert not keyword.iskeyword(name), name
    return name


def _binding(function: Any) -> Any:
    """What calls an operation soonest: torch's binding for Python, if there is one of its name."""
    name = function._schema.name.removeprefix("aten::")
    return getattr(torch._C._VariableFunctions, name, function._op)  # pyright: ignore


def _forgetting(lines: Sequence[tuple[list[str], str]]) -> list[str]:
    """The lines, with each name forgotten after its last use, so that its memory is free."""
    last = {name: number for number, (names, _) in enumerate(lines) for name in names}
    for number, (_, line) in enumerate(lines):
        last |= dict.fromkeys(re.findall(r"\bt\d+\b", line), number)
    body = []
    for number, (_, line) in enumerate(lines):
        body.append(line)
        over = [name for name, where in last.items() if where == number < len(lines) - 1]
        body += [f"del {', '.join(over)}"] if over else []
    return body


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(value)
