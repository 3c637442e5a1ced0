"""A trial: one config that a search tried, and what came of it.

It is plain data, a line of `trials.jsonl`, and all that samplers, the summary and a later search
ever see of a training. Its id is a hash of the config, so that the same trial is known wherever it
was run, and never run twice. A search's directory may come from a stranger, so a line is taken
only where every part is of its kind.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import NoneType
from typing import Any, Literal, get_args

Status = Literal["finished", "pruned", "failed", "refused"]
NO_TIME = "the search's time was over"  # why a trial was broken off that can be tried again
COSTS = ("parameters", "flops", "latency")  # objectives that no training is needed for


@dataclass(frozen=True)
class Trial:
    """One config, tried.

    Attributes:
        id: hash of the config.
        number: which of the search's proposals it is, counted from 0; those that differ in their
            seed alone share it.
        seed: of the run.
        point: what was drawn, by the keys of the variables that were active.
        shown: the same as a person reads it, by dotted path.
        config: the complete config.
        status: `pruned` ended early by choice, `failed` by a fault, `refused` never began.
        reason: what a fault or a refusal was.
        epochs: how many were trained.
        best_epoch: which of them was the best.
        figures: of the best epoch: `train_loss`, `val_loss`, `val_` and each metric.
        history: `train_loss` and `val_loss` of each epoch.
        parameters, flops: of the network; None where it was never counted.
        latency: seconds that one row takes, where that was asked for.
        seconds: of training, its share where it was trained with others.
        how: `stacked`, `vmap` or `alone`, and with how many.
    """

    id: str
    number: int
    seed: int
    point: Mapping[str, Any]
    shown: Mapping[str, Any]
    config: Mapping[str, Any]
    status: Status
    reason: str | None = None
    epochs: int = 0
    best_epoch: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    parameters: int | None = None
    flops: int | None = None
    latency: float | None = None
    seconds: float = 0.0
    how: str = ""

    @property
    def is_broken_off(self) -> bool:
        """Whether the end of the search's time ended it; with more time it is tried again."""
        return self.status == "pruned" and self.reason == NO_TIME

    def objective(self, name: str) -> float | None:
        """The value of `val_loss`, `val_rmse`, `parameters`, ...; None where there is none."""
        value = getattr(self, name) if name in COSTS else self.figures.get(name)
        return value if value is not None and math.isfinite(value) else None

    def to_json(self) -> str:
        """One line, without its end; a figure that is not finite is null."""
        told = {name: getattr(self, name) for name in KINDS}
        told["figures"] = {name: _finite(value) for name, value in self.figures.items()}
        told["history"] = {name: list(map(_finite, row)) for name, row in self.history.items()}
        return json.dumps(told, ensure_ascii=False, allow_nan=False, default=dict)

    @classmethod
    def from_json(cls, line: str | bytes) -> "Trial":
        """What `to_json` gave; a figure that is null is not a number.

        Raises: ValueError, TypeError or RecursionError where `line` is none.
        """
        told = json.loads(line)
        if not isinstance(told, dict):
            raise ValueError("not a mapping")
        _check(told)
        figures, history = told.get("figures", {}), told.get("history", {})
        told["figures"] = dict(zip(figures, _floats([*figures.values()]), strict=True))
        told["history"] = {name: _floats(row) for name, row in history.items()}
        return cls(**told)


KINDS: Mapping[str, tuple[type, ...]] = {
    "id": (str,), "number": (int,), "seed": (int,), "point": (dict,), "shown": (dict,),
    "config": (dict,), "status": (str,), "reason": (str, NoneType), "epochs": (int,),
    "best_epoch": (int,), "figures": (dict,), "history": (dict,), "parameters": (int, NoneType),
    "flops": (int, NoneType), "latency": (int, float, NoneType), "seconds": (int, float),
    "how": (str,),
}  # fmt: skip
NUMBERS = {int, float, NoneType}  # what JSON has for one; truth values are not among them
assert list(KINDS) == [field.name for field in fields(Trial)]


def _check(told: Mapping[str, Any]) -> None:
    """Raises: ValueError where a part is of another kind."""
    for name, value in told.items():
        if name in KINDS and type(value) not in KINDS[name]:
            raise ValueError(f"{name} is {value!r:.40}")
    if told.get("status") not in get_args(Status):
        raise ValueError(f"status is {told.get('status')!r:.40}")
    if not set(map(type, told.get("figures", {}).values())) <= NUMBERS:
        raise ValueError("a figure is no number")
    for name, row in told.get("history", {}).items():
        if not (isinstance(row, list) and set(map(type, row)) <= NUMBERS):
            raise ValueError(f"history of {name!r:.40} is not of numbers")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _floats(values: list[float | None]) -> Any:
    return [math.nan if value is None else value for value in values] if None in values else values


def text_of(value: Any) -> str:
    """A value that was open, at the length that a person compares.

    >>> text_of(0.00123456), text_of("gelu"), text_of([64, 64]), text_of(True), text_of(None)
    ('0.001235', 'gelu', '[64, 64]', 'true', 'null')
    >>> text_of({"name": "adamw", "lr": 0.1})
    'adamw {lr: 0.1}'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        name = value.get("name")
        rest = {key: inner for key, inner in value.items() if key != "name" or name is None}
        options = ", ".join(f"{key}: {text_of(inner)}" for key, inner in rest.items())
        named = [text_of(name)] if name is not None else []
        return " ".join([*named, *([f"{{{options}}}"] if options or not named else [])])
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    return json.dumps(value) if isinstance(value, bool | None) else str(value)


def identity(config: Mapping[str, Any]) -> str:
    """What a config is known by: the same for equal configs, whatever the order of their keys.

    >>> identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    True
    """
    canonical = json.dumps(config, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode(errors="backslashreplace")).hexdigest()[:12]
