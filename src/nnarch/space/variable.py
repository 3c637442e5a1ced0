"""One value that a config leaves open, as samplers, summaries and the space itself know it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnarch.errors import Path
from nnarch.space.domains import Choice, Domain
from nnarch.space.forms import labels


@dataclass(frozen=True, eq=False)
class Variable:
    """One value that is left open, whatever it is drawn for.

    Attributes:
        key: what a point calls it: its dotted path, with the option taken where it stands within a
            choice (`optimizer:sgd.lr`), or the name that it was given.
        path: where it stands in the config as it was written.
        domain: what it may be.
        default: what it is where nothing is explored, as it would be drawn; None without one.
        tied: whether it has a name, so that it may stand in several places.
    """

    key: str
    path: Path
    domain: Domain
    default: Any = None
    tied: bool = False

    @property
    def first(self) -> Any:
        """Its default, or else the first of its values."""
        return self.domain.at(0.0) if self.default is None else self.default

    def shown(self, value: Any) -> Any:
        """What a person reads for what was drawn: a number, an option, or an option's name."""
        if not isinstance(self.domain, Choice):
            return value
        options = self.domain.options
        option = options[value]
        simple = not isinstance(option, Mapping | list) or _is_flat(option)
        return option if simple else labels(options)[value]


def _is_flat(option: Any) -> bool:
    return isinstance(option, list) and not any(isinstance(one, Mapping | list) for one in option)
