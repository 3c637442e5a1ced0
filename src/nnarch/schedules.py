"""The schedules: how the learning rate moves while a network trains.

A schedule is a function from the number of epochs done to a factor on the optimizer's learning
rate, so that it knows nothing of optimizers and steps, and two runs of different batch sizes
follow one curve. Epochs may be fractional: a step begins when some share of its epoch is done,
and that share, 0 for the very first step, is what a schedule is asked about. A schedule that has
to see results as well (`plateau`) says so by having `observe`.

`with_warmup` wraps whatever was built into a `Schedule`, the one thing that a training loop
deals with.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import Field

from nnarch.options import Count, Fraction, Natural, NonNegative, Positive, Share
from nnarch.registry import schedules

Curve = Callable[[float], float]
State = Mapping[str, float | None]
Decay = Annotated[float, Field(gt=0, le=1)]

START = 0.01  # factor on the first step of a warmup, which would do nothing at 0


@runtime_checkable
class Observer(Protocol):
    """A schedule that follows what training measures, and carries a state from epoch to epoch."""

    def __call__(self, epoch: float, /) -> float: ...
    def observe(self, value: float, /) -> None: ...
    def state(self) -> State: ...
    def restore(self, state: State, /) -> None: ...


@dataclass(frozen=True)
class Schedule:
    """A curve with a warmup, and the same face whether the curve observes or not."""

    curve: Curve | Observer
    warmup: float = 0.0

    def __call__(self, epoch: float) -> float:
        """The factor on the learning rate of a step that begins after `epoch` epochs."""
        climb = min(epoch / self.warmup, 1.0) if self.warmup else 1.0
        return self.curve(epoch) * (START + (1 - START) * climb)

    def observe(self, value: float) -> None:
        """Hear what an epoch ended with; smaller is better."""
        if isinstance(self.curve, Observer):
            self.curve.observe(value)

    def state(self) -> State:
        """What has to be kept to go on later, as plain numbers."""
        return self.curve.state() if isinstance(self.curve, Observer) else {}

    def restore(self, state: State) -> None:
        if isinstance(self.curve, Observer):
            self.curve.restore(state)


def with_warmup(curve: Curve | Observer, warmup: float) -> Schedule:
    """`curve`, multiplied by a line from near 0 to 1 over the first `warmup` epochs.

    The line starts at 1 %, so that the first step is a step.

    >>> schedule = with_warmup(lambda epoch: 1.0, warmup=2)
    >>> [round(schedule(epoch), 3) for epoch in (0, 1, 2, 3)]
    [0.01, 0.505, 1.0, 1.0]
    """
    return Schedule(curve, warmup)


@schedules.register
def constant(epochs: int) -> Curve:
    """The learning rate stays as it is."""
    return lambda epoch: 1.0


@schedules.register
def step(epochs: int, *, every: Count, gamma: Decay = 0.1) -> Curve:
    """Falls by a factor every so many epochs.

    Options:
        every: Epochs between two falls.
        gamma: Factor of each fall.
    """
    return lambda epoch: gamma ** (epoch // every)


@schedules.register
def multistep(
    epochs: int,
    *,
    milestones: Annotated[list[Positive], Field(min_length=1)],
    gamma: Decay = 0.1,
) -> Curve:
    """Falls by a factor at the epochs that are named.

    Options:
        milestones: Epochs after which the rate falls.
        gamma: Factor of each fall.
    """
    ordered = sorted(milestones)
    return lambda epoch: gamma ** bisect_right(ordered, epoch)


@schedules.register
def exponential(epochs: int, *, gamma: Decay = 0.95) -> Curve:
    """Falls by the same factor in every epoch, evenly within it.

    Options:
        gamma: Factor of an epoch.
    """
    return lambda epoch: gamma**epoch


@schedules.register
def linear(epochs: int, *, final: Share = 0.0) -> Curve:
    """Falls in a straight line over the whole run.

    Options:
        final: Factor at the end of the run.
    """
    return lambda epoch: _line(1.0, final, _part(epoch, epochs))


@schedules.register
def polynomial(epochs: int, *, power: Positive = 1.0) -> Curve:
    """Falls to zero as a power of the share of the run that is left.

    Options:
        power: 1 for a straight line; larger falls faster at first.
    """
    return lambda epoch: (1 - _part(epoch, epochs)) ** power


@schedules.register
def cosine(epochs: int, *, final: Share = 0.0) -> Curve:
    """Falls over the whole run along half a cosine wave (Loshchilov & Hutter, 2017).

    Options:
        final: Factor at the end of the run.
    """
    return lambda epoch: _half_wave(1.0, final, _part(epoch, epochs))


@schedules.register
def cosine_restarts(epochs: int, *, every: Count, growth: Count = 1, final: Share = 0.0) -> Curve:
    """Half cosine waves one after another, each from the full rate (Loshchilov & Hutter, 2017).

    Options:
        every: Epochs of the first wave.
        growth: How many times as long each next wave is.
        final: Factor at the end of a wave.
    """

    def factor(epoch: float) -> float:
        begin, length = 0, every
        while epoch >= begin + length:
            begin, length = begin + length, length * growth
        return _half_wave(1.0, final, (epoch - begin) / length)

    return factor


@schedules.register
def one_cycle(
    epochs: int,
    *,
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.3,
    start: Decay = 0.04,
    final: Share = 4e-6,
    shape: Literal["cosine", "linear"] = "cosine",
) -> Curve:
    """Climbs to the full learning rate and falls to almost nothing (Smith & Topin, 2018).

    The optimizer's learning rate is the peak of the cycle. Momentum is left alone.

    Options:
        peak: Share of the run at which the full rate is reached.
        start: Factor at the beginning of the run.
        final: Factor at the end of the run.
        shape: How it moves between them.
    """
    between = _half_wave if shape == "cosine" else _line

    def factor(epoch: float) -> float:
        part = _part(epoch, epochs)
        if part < peak:
            return between(start, 1.0, part / peak)
        return between(1.0, final, (part - peak) / (1 - peak))

    return factor


@dataclass
class Plateau:
    """A factor that falls when results stop getting better."""

    factor: float
    patience: int
    threshold: float
    cooldown: int
    min_factor: float
    now: float = 1.0
    best: float | None = None
    waited: int = 0  # epochs without improvement
    resting: int = 0  # epochs of the cooldown that are left

    def __call__(self, epoch: float) -> float:
        return self.now

    def observe(self, value: float) -> None:
        """Hear what an epoch ended with; smaller is better."""
        if self._improves(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.resting:
            self.resting, self.waited = self.resting - 1, 0
        if self.waited > self.patience:
            self.now = max(self.now * self.factor, self.min_factor)
            self.resting, self.waited = self.cooldown, 0

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return math.isfinite(value)
        return value < self.best - self.threshold * abs(self.best)

    def state(self) -> State:
        return {
            "now": self.now,
            "best": self.best,
            "waited": self.waited,
            "resting": self.resting,
        }

    def restore(self, state: State) -> None:
        if not 0 <= (state["now"] or 0) <= 1:
            raise ValueError(f"plateau: got {state['now']:g}; expected a factor of 0 to 1")
        for name in self.state():
            setattr(self, name, state[name])


@schedules.register
def plateau(
    epochs: int,
    *,
    factor: Fraction = 0.1,
    patience: Natural = 10,
    threshold: NonNegative = 1e-4,
    cooldown: Natural = 0,
    min_factor: Share = 0.0,
) -> Plateau:
    """Falls by a factor when the monitored value has not improved for some epochs.

    Options:
        factor: Factor of each fall.
        patience: Epochs without improvement that are let pass.
        threshold: Least improvement that counts, as a share of the best value.
        cooldown: Epochs after a fall in which nothing is counted.
        min_factor: Least factor on the optimizer's learning rate.
    """
    return Plateau(factor, patience, threshold, cooldown, min_factor)


def _part(epoch: float, epochs: int) -> float:
    """The share of the run that is done."""
    return min(epoch / epochs, 1.0)


def _line(begin: float, end: float, part: float) -> float:
    return begin + (end - begin) * part


def _half_wave(begin: float, end: float, part: float) -> float:
    """From `begin` to `end` along half a cosine wave, flat at both."""
    return end + (begin - end) * (1 + math.cos(math.pi * part)) / 2
