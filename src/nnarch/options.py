"""What an option may be: the types that a component's signature is written in.

A builder's signature is its schema, so the limits of an option stand in its annotation and
nowhere else: the config check, the listing of components, the JSON Schema and the messages
all read them from there. Plain `float`, `bool`, `Literal[...]`, `list[...]` and `X | None` work
as well; the names below only spare repetition.

>>> from pydantic import TypeAdapter
>>> TypeAdapter(Count).validate_python(1e3)
1000
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

EXACT = 2**53  # below it a float is the very number that was written


def _whole(value: Any) -> Any:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return int(value) if whole else value


WHOLE = BeforeValidator(_whole)  # 1e3 is as good a way to say 1000 as any
LARGEST = 1_000_000_000

Count = Annotated[int, Field(ge=1, le=LARGEST), WHOLE]
Times = Annotated[int, Field(ge=1, le=1_000), WHOLE]  # of what takes a step of its own each
Natural = Annotated[int, Field(ge=0, le=LARGEST), WHOLE]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Betas = Annotated[list[Fraction], Field(min_length=2, max_length=2)]


@dataclass(frozen=True)
class Named:
    """Marks an option that names a component of `kind`: `relu`, or `{name: elu, alpha: 0.5}`."""

    kind: str
    many: bool = False  # a list of them


@dataclass(frozen=True)
class IsPath:
    """Marks an option that names a file, looked for from the working directory on."""


@dataclass(frozen=True)
class IsLayers:
    """Marks an option that is a list of layers, whose form `nnarch.layerlist` knows."""


LayerList = Annotated[
    list[Any],
    Field(
        min_length=1, json_schema_extra={"expected": "a list of layers, as [{Linear: 64}, ReLU]"}
    ),
    IsLayers(),
]
NOTHING = "none"  # in place of a file that would be found by itself
FilePath = Annotated[str, Field(min_length=1), IsPath()]
Paths = Annotated[list[str], Field(min_length=1), IsPath()]
Activation = Annotated[Any, Named("activation")]
Initialization = Annotated[Any, Named("initialization")]
