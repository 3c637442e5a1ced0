"""Made-up data of known kinds: what to try a network on before there are real rows.

Every kind is drawn from the option `seed` alone, not from the run's seed, so that runs with other
seeds meet the same rows. A kind of shape lies in the first two features; any further ones are
noise that a network has to learn to pass over. Neighbouring shapes are about 1 apart whatever
their number, so that `noise` means the same for each kind.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from nnarch import machine
from nnarch.data.table import Table, numeric
from nnarch.errors import ConfigError, MachineError
from nnarch.lazy import LazyModule
from nnarch.options import LARGEST, WHOLE, Count, Natural, NonNegative
from nnarch.registry import sources
from nnarch.seeds import derive

if TYPE_CHECKING:
    import torch
else:
    torch = LazyModule("torch")

Kind = Literal[
    "nonlinear",
    "linear",
    "friedman1",
    "sine",
    "blobs",
    "moons",
    "circles",
    "spirals",
    "xor",
    "levels",
]
Classes = Annotated[int, Field(ge=2, le=LARGEST), WHOLE]


@sources.register
def synthetic(
    *,
    kind: Kind = "nonlinear",
    rows: Count = 1000,
    features: Count | None = None,
    classes: Classes | None = None,
    noise: NonNegative = 0.1,
    seed: Natural = 0,
) -> Table:
    """Made-up rows of a known kind, for regression or classification.

    Options:
        kind: A function to learn (`nonlinear`, `linear`, `friedman1`, `sine`), classes that are
            shapes in a plane (`blobs`, `moons`, `circles`, `spirals`, `xor`), or `levels`, equal
            shares of the `nonlinear` function's values.
        rows: How many rows.
        features: How many features; those that the kind does not need are noise. 10 unless given,
            2 for shapes and 1 for `sine`.
        classes: How many classes, where the kind leaves that open; 2 unless given.
        noise: Standard deviation of what is added to a function's value (which has about 1
            itself, but 4.9 in `friedman1`), or to each position in a shape.
        seed: Seed of the rows.
    """
    recipe = RECIPES[kind]
    features = features or recipe.features
    _check_options(kind, rows, features, classes)
    _check_memory(rows, features)
    generator = torch.Generator().manual_seed(derive(seed, "synthetic", kind))
    draw = Draw(rows, features, classes or 2, noise, generator)
    inputs, target = recipe.make(draw)
    words = [str(label) for label in range(draw.classes)]
    return Table(
        inputs,
        numeric(f"x{place}" for place in range(1, features + 1)),
        target.unsqueeze(1)
        if target.is_floating_point()
        else [words[label] for label in target.tolist()],
        ("y",),
    )


def _check_options(kind: Kind, rows: int, features: int, classes: int | None) -> None:
    recipe = RECIPES[kind]
    if features < recipe.fewest:
        raise ConfigError(
            f"data.features: got {features}; expected at least {recipe.fewest} for {kind!r}"
        )
    if classes is None:
        return
    if recipe.classes == 0:
        raise ConfigError(f"data.classes: got {classes}; expected none, {kind!r} is a regression")
    if recipe.classes not in (None, classes):
        raise ConfigError(f"data.classes: got {classes}; expected 2, as {kind!r} has")
    if classes > rows:
        raise ConfigError(f"data.classes: got {classes}; expected at most one a row, {rows}")


def _check_memory(rows: int, features: int) -> None:
    """Refuse a table that the machine cannot hold, instead of being killed for it."""
    needed = 8 * rows * (features + 8) + 100 * features  # and what is on the way, and the names
    if needed > (there := machine.memory()):
        raise MachineError(
            f"data.rows: {rows} rows of {features} features take {needed / 2**30:.1f} GiB of "
            f"memory; this machine has {there / 2**30:.1f}"
        )


@dataclass(frozen=True)
class Draw:
    """What is to be drawn, and the chance to draw it with."""

    rows: int
    features: int
    classes: int
    noise: float
    generator: "torch.Generator"

    def normal(self, *shape: int) -> "torch.Tensor":
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, low: float, high: float, *shape: int) -> "torch.Tensor":
        drawn = torch.rand(*shape, generator=self.generator, dtype=torch.float64)
        return drawn.mul_(high - low).add_(low)

    def balanced(self) -> "torch.Tensor":
        """(rows,) a class for each row, as many rows for each as can be."""
        return torch.randperm(self.rows, generator=self.generator) % self.classes

    def noisy(self, values: "torch.Tensor") -> "torch.Tensor":
        return values + self.normal(self.rows) * self.noise

    def along(self, inputs: "torch.Tensor") -> "torch.Tensor":
        """(rows,) how far each row lies in a direction of chance.

        Summed a column at a time: a matrix product would round as the threads share it out.
        """
        weights = self.normal(self.features)
        weights /= weights.norm()
        total = torch.zeros(self.rows, dtype=torch.float64)
        for column, weight in zip(inputs.T, weights.tolist(), strict=True):
            total += column * weight
        return total

    def plane(self, x: "torch.Tensor", y: "torch.Tensor") -> "torch.Tensor":
        """(rows, features) the positions with noise, and further features that are all noise."""
        inputs = self.normal(self.rows, self.features)
        for place, position in enumerate((x, y)):
            inputs[:, place] = inputs[:, place] * self.noise + position
        return inputs


Rows = tuple["torch.Tensor", "torch.Tensor"]  # (rows, features), and (rows,) values or classes


def _smooth(draw: Draw) -> Rows:
    """A slope and, across it, a saddle that no straight line can follow."""
    inputs = draw.normal(draw.rows, draw.features)
    slope, east, north = (draw.along(inputs) for _ in range(3))
    return inputs, draw.noisy((slope + 2 * east.tanh() * north.tanh()) / 1.27)


def _linear(draw: Draw) -> Rows:
    inputs = draw.normal(draw.rows, draw.features)
    return inputs, draw.noisy(draw.along(inputs))


def _friedman1(draw: Draw) -> Rows:
    """Friedman, Multivariate Adaptive Regression Splines, 1991."""
    inputs = draw.uniform(0, 1, draw.rows, draw.features)
    x1, x2, x3, x4, x5 = inputs[:, :5].T
    values = 10 * (math.pi * x1 * x2).sin() + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
    return inputs, draw.noisy(values)


def _sine(draw: Draw) -> Rows:
    inputs = draw.uniform(-math.pi, math.pi, draw.rows, draw.features)
    return inputs, draw.noisy(inputs[:, 0].sin())


def _levels(draw: Draw) -> Rows:
    inputs, values = _smooth(draw)
    classes = torch.empty(draw.rows, dtype=torch.int64)
    classes[values.argsort(stable=True)] = torch.arange(draw.rows) * draw.classes // draw.rows
    return inputs, classes


def _blobs(draw: Draw) -> Rows:
    """Spots on a circle that is as large as it takes to keep neighbours 1 apart."""
    classes = draw.balanced()
    angle = classes.double() * (2 * math.pi / draw.classes)
    radius = 0.5 / math.sin(math.pi / draw.classes)
    return draw.plane(radius * angle.cos(), radius * angle.sin()), classes


def _moons(draw: Draw) -> Rows:
    """Two half circles, each with one end inside the other."""
    classes = draw.balanced()
    angle = draw.uniform(0, math.pi, draw.rows)
    side = 1 - 2 * classes
    return draw.plane(side * angle.cos() + classes, side * angle.sin() + 0.5 * classes), classes


def _circles(draw: Draw) -> Rows:
    """Rings around one centre, of radius 1, 2 and so on."""
    classes = draw.balanced()
    angle = draw.uniform(0, 2 * math.pi, draw.rows)
    return draw.plane((classes + 1) * angle.cos(), (classes + 1) * angle.sin()), classes


def _spirals(draw: Draw) -> Rows:
    """Arms from one centre that turn once around it."""
    classes = draw.balanced()
    way = draw.uniform(0, 1, draw.rows)
    angle = 2 * math.pi * (way + classes.double() / draw.classes)
    radius = draw.classes * way
    return draw.plane(radius * angle.cos(), radius * angle.sin()), classes


def _xor(draw: Draw) -> Rows:
    """A square in quarters; those that touch at a corner are one class."""
    x, y = draw.uniform(-1, 1, 2, draw.rows)
    return draw.plane(x, y), ((x > 0) ^ (y > 0)).long()


@dataclass(frozen=True)
class Recipe:
    """How a kind is made. `classes`: how many it has, 0 for a regression; None leaves it open."""

    make: Callable[[Draw], Rows]
    features: int = 2
    fewest: int = 2
    classes: int | None = None


RECIPES: dict[Kind, Recipe] = {
    "nonlinear": Recipe(_smooth, features=10, fewest=1, classes=0),
    "linear": Recipe(_linear, features=10, fewest=1, classes=0),
    "friedman1": Recipe(_friedman1, features=10, fewest=5, classes=0),
    "sine": Recipe(_sine, features=1, fewest=1, classes=0),
    "levels": Recipe(_levels, features=10, fewest=1),
    "blobs": Recipe(_blobs),
    "moons": Recipe(_moons, classes=2),
    "circles": Recipe(_circles),
    "spirals": Recipe(_spirals),
    "xor": Recipe(_xor, classes=2),
}
