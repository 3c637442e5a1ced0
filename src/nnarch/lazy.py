"""Modules that are imported when they are first used.

Importing torch takes about two seconds and scikit-learn one. A registered component says in
its signature what it accepts, and a config is checked against signatures; so the files that
hold components must be importable in milliseconds, with the heavy module behind them left
alone until a component is built. Under `TYPE_CHECKING` these files import the real module, so
that type checkers see through the stand-in.
"""

import importlib
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stands in for the module called `name` until one of its attributes is asked for.

    >>> decimal = LazyModule("decimal")
    >>> decimal.Decimal("0.1") * 3
    Decimal('0.3')
    """

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self.__name__), attribute)
        setattr(self, attribute, value)  # the next look-up does not come here
        return value
