"""What a config leaves open: values to be explored rather than given.

An open value is one of three mappings: `{choice: [...]}`, `{int: [1, 4]}`, `{float: [1e-4, 1e-1]}`,
with `log`, `step`, `default` or `name` beside it. Training needs every value, so here they are
only found, for a message that names each of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
FORMS = frozenset({"choice", "int", "float"})
BESIDE = frozenset({"log", "step", "default", "name"})


def is_open(value: Any) -> bool:
    """Whether `value` stands for a set of values.

    >>> is_open({"float": [1e-4, 1e-1], "log": True}), is_open({"name": "mlp"})
    (True, False)
    """
    keys = value.keys() if isinstance(value, Mapping) else set()
    return len(keys & FORMS) == 1 and keys <= FORMS | BESIDE


def open_values(value: Any, at: Path = ()) -> Iterator[Path]:
    """The paths of the open values within `value`.

    >>> list(open_values({"model": {"widths": {"choice": [[8], [8, 8]]}}, "epochs": 3}))
    [('model', 'widths')]
    """
    if at and is_open(value):  # a whole config is none, whatever its keys
        yield at
        return
    if isinstance(value, Mapping):
        inside = value.items()
    else:
        inside = enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from open_values(inner, (*at, key))
