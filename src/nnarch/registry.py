"""The components that a config may name, and how one adds another.

A component is a builder (a function or a class) under a name of its kind. Its first positional
parameters are what nnarch gives to every builder of that kind; the rest are its options, and
their annotations, defaults and one-sentence descriptions are the schema of what a config may
say. So a new component is one function in one file: nothing else has to be told of it. A name
is given out once, since a second owner would silently change what old configs mean.

The files that hold our own components are imported at the first look-up of their kind, and
import torch only when a component is built.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, TypeVar, overload

from pydantic import BaseModel, Field, PydanticUserError, create_model
from pydantic.errors import PydanticSchemaGenerationError

from nnarch.errors import ConfigError
from nnarch.sections import DataOptions, ScheduleOptions, Section

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kind:
    """A kind of component: what its builders are given, and what they give back."""

    name: str
    home: str  # the module that holds ours
    given: tuple[str, ...]
    contract: str
    key: str = "name"  # what a config calls the component's name
    common: type[Section] = Section  # keys that every component of the kind takes


@dataclass(frozen=True)
class Component:
    """One builder under its name. `facts` are what its kind needs to know before building."""

    kind: Kind
    name: str
    builder: Callable[..., Any]
    facts: Mapping[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it comes with nnarch, rather than from a file of the user's."""
        return self.builder.__module__.startswith("nnarch.")

    @property
    def summary(self) -> str:
        """The first sentence or so of the builder's docstring."""
        doc = inspect.getdoc(self.builder) or ""
        return " ".join(doc.split("\n\n")[0].split())

    @property
    def where(self) -> str:
        """File and line of the builder."""
        code = inspect.unwrap(self.builder)
        return f"{inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]}"

    @cached_property
    def schema(self) -> type[BaseModel]:
        """The options as a strict pydantic model: types, limits, defaults, descriptions."""
        parameters = self._option_parameters()
        sentences = _option_sentences(inspect.getdoc(self.builder) or "")
        fields: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.annotation is parameter.empty or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                raise TypeError(f"option {parameter.name!r} needs a type annotation of its own")
            if parameter.name in (self.kind.key, *self.kind.common.model_fields):
                raise TypeError(f"every {self.kind.name} has {parameter.name!r} already")
            default = ... if parameter.default is parameter.empty else parameter.default
            field = Field(default, description=sentences.get(parameter.name))
            fields[parameter.name] = (parameter.annotation, field)
        try:
            return create_model(self.name, __base__=self.kind.common, **fields)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise TypeError(str(error).split("\n")[0]) from error

    def _option_parameters(self) -> list[inspect.Parameter]:
        given = len(self.kind.given)
        parameters = list(inspect.signature(self.builder).parameters.values())
        if len(parameters) < given:
            raise TypeError(f"a {self.kind.name} is built from ({', '.join(self.kind.given)})")
        if any(isinstance(parameter.annotation, str) for parameter in parameters[given:]):
            evaluated = inspect.signature(self.builder, eval_str=True)
            parameters = list(evaluated.parameters.values())
        return parameters[given:]

    def build(self, spec: Mapping[str, Any], *given: Any) -> Any:
        """Call the builder with what nnarch gives and its own options of a filled `spec`."""
        own = {parameter.name for parameter in self._option_parameters()}
        options = {key: spec[key] for key in own & spec.keys()}
        if self.is_ours:
            return self.builder(*given, **options)
        try:
            return self.builder(*given, **options)
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"{self.name} cannot be built: {cause} ({self.where})") from error


def _option_sentences(doc: str) -> dict[str, str]:
    """The sentences of the `Options:` block of a docstring, by option.

    >>> _option_sentences('''Leaky.
    ...
    ... Options:
    ...     slope: what is left
    ...         of negative values.
    ...     inplace: overwrite.''')
    {'slope': 'what is left of negative values.', 'inplace': 'overwrite.'}
    """
    block = re.search(r"^(?:Options|Args):\n((?:[ ]+.*(?:\n|$)|\n)*)", doc, re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", block[1] if block else "", re.MULTILINE)
    return {name: " ".join(sentence.split()) for name, sentence in entries}


class Registry:
    """The components of one kind, by name."""

    def __init__(self, kind: Kind):
        self.kind = kind
        self._components: dict[str, Component] = {}

    @overload
    def register(self, builder: Builder, /) -> Builder: ...
    @overload
    def register(
        self, /, *, name: str | None = None, **facts: Any
    ) -> Callable[[Builder], Builder]: ...
    def register(self, builder: Any = None, /, *, name: str | None = None, **facts: Any) -> Any:
        """Decorate a builder to give it `name` (its own, unless said) in this registry.

        Raises: ValueError where the name is taken, TypeError where a signature is no schema.
        """
        if builder is None:
            return lambda builder: self._add(builder, name, facts)
        return self._add(builder, name, facts)

    def _add(self, builder: Builder, name: str | None, facts: Mapping[str, Any]) -> Builder:
        component = Component(self.kind, name or builder.__name__, builder, facts)
        if taken := self._components.get(component.name):
            raise ValueError(
                f"there is a {self.kind.name} called {component.name!r} already, in {taken.where}"
            )
        self._components[component.name] = component
        return builder

    def __iter__(self) -> Iterator[Component]:
        importlib.import_module(self.kind.home)
        return iter(sorted(self._components.values(), key=lambda component: component.name))

    def registered(self) -> list[Component]:
        """The components so far, whether or not ours have been imported."""
        return list(self._components.values())

    def names(self) -> list[str]:
        return [component.name for component in self]

    def get(self, name: str) -> Component:
        """The component called `name`.

        Raises: ConfigError with the nearest known name, and all of them.
        """
        names = self.names()
        if name not in self._components:
            raise ConfigError(f"no {self.kind.name} is called {name!r}; {suggestion(name, names)}")
        return self._components[name]

    def build(self, spec: Mapping[str, Any], *given: Any) -> Any:
        """Build what a filled `{name: ..., options}` names."""
        return self.get(spec[self.kind.key]).build(spec, *given)


def suggestion(name: str, known: list[str]) -> str:
    """What a message adds to a name that is not known.

    >>> suggestion("mpl", ["mlp", "resnet"])
    "did you mean 'mlp'? known: mlp, resnet"
    """
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(known)}"


_KINDS = (
    Kind(
        "model",
        "nnarch.models",
        ("inputs", "outputs"),
        "given `inputs`, the shape of one sample as a tuple, and `outputs`, how many numbers to "
        "predict for it; returns an nn.Module that maps (batch, *inputs) to (batch, outputs)",
    ),
    Kind(
        "activation",
        "nnarch.models.activations",
        (),
        "returns an nn.Module that keeps its input's shape",
    ),
    Kind(
        "initialization",
        "nnarch.models.initializations",
        ("weight",),
        "given a weight tensor of two or more dimensions; fills it in place",
    ),
    Kind(
        "loss",
        "nnarch.losses",
        ("task",),
        "given the task (nnarch.data.task.Task); returns an nnarch.losses.Loss",
    ),
    Kind(
        "optimizer",
        "nnarch.optim",
        ("parameters",),
        "given the network's parameters; returns a torch.optim.Optimizer",
    ),
    Kind(
        "schedule",
        "nnarch.schedules",
        ("epochs",),
        "given the number of epochs of the run; returns a function from the (fractional) number "
        "of epochs done to the factor on the learning rate",
        common=ScheduleOptions,
    ),
    Kind(
        "data",
        "nnarch.data",
        (),
        "returns an nnarch.data.table.Table",
        key="source",
        common=DataOptions,
    ),
    Kind(
        "metric",
        "nnarch.metrics",
        ("result",),
        "given targets and predictions as an nnarch.metrics.Result; returns a number",
    ),
)
REGISTRIES = {kind.name: Registry(kind) for kind in _KINDS}

models = REGISTRIES["model"]
activations = REGISTRIES["activation"]
initializations = REGISTRIES["initialization"]
losses = REGISTRIES["loss"]
optimizers = REGISTRIES["optimizer"]
schedules = REGISTRIES["schedule"]
sources = REGISTRIES["data"]
metrics = REGISTRIES["metric"]


def register(kind: str, *, name: str | None = None, **facts: Any) -> Callable[[Builder], Builder]:
    """Add a component of your own: `@nnarch.register("activation")` above a function or class.

    The file that holds it is named on the command line, `--plugin my_layers.py`.
    """
    if kind not in REGISTRIES:
        raise ValueError(
            f"no kind of component is called {kind!r}; " + suggestion(kind, list(REGISTRIES))
        )
    return REGISTRIES[kind].register(name=name, **facts)
