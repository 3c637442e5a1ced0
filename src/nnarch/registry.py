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
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nnarch.errors import ConfigError
from nnarch.sections import DataOptions, ScheduleOptions, Section

VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
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
    facts: tuple[str, ...] = ()  # what has to be said when one is registered
    marks: tuple[str, ...] = ()  # attributes of which what is built has one

    @property
    def noun(self) -> str:
        """What one of them is called in a sentence."""
        return "data source" if self.name == "data" else self.name

    @property
    def a_noun(self) -> str:
        """
        >>> REGISTRIES["optimizer"].kind.a_noun, REGISTRIES["data"].kind.a_noun
        ('an optimizer', 'a data source')
        """
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


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
        return " ".join(self._doc.split("\n\n")[0].split())

    @property
    def _doc(self) -> str:
        return inspect.cleandoc(self.builder.__doc__ or "")  # of a class, not of its parent

    @property
    def where(self) -> str:
        """File and line of the builder, or its module where it has no source."""
        code = inspect.unwrap(self.builder)
        try:
            return f"{inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]}"
        except (OSError, TypeError):
            return self.builder.__module__

    @cached_property
    def schema(self) -> type[BaseModel]:
        """The options as a strict pydantic model: types, limits, defaults, descriptions."""
        parameters = self._option_parameters()
        sentences = _option_sentences(self._doc)
        fields: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.annotation is parameter.empty or parameter.kind in VARIABLE:
                raise TypeError(
                    f"{self.name}: option {parameter.name!r} needs a type annotation of its own"
                )
            if parameter.name in (self.kind.key, *self.kind.common.model_fields):
                raise TypeError(
                    f"{self.name}: every {self.kind.noun} has {parameter.name!r} already"
                )
            default = ... if parameter.default is parameter.empty else parameter.default
            if default is not ... and not _is_plain(default):
                raise TypeError(
                    f"{self.name}: the default of option {parameter.name!r} is not plain data"
                )
            field = Field(default, description=sentences.get(parameter.name))
            fields[parameter.name] = (parameter.annotation, field)
        try:
            return create_model(self.name, __base__=self.kind.common, **fields)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise TypeError(f"{self.name}: {str(error).splitlines()[0]}") from error

    def _option_parameters(self) -> list[inspect.Parameter]:
        taken = len(self.kind.given)
        parameters = list(inspect.signature(self.builder).parameters.values())
        if inspect.isclass(self.builder) and "__init__" not in vars(self.builder):
            # What is inherited may take anything, as `nn.Module` does, and mean nothing by it.
            parameters = [parameter for parameter in parameters if parameter.kind not in VARIABLE]
        if len(parameters) < taken:
            given = ", ".join(self.kind.given)
            raise TypeError(f"{self.name}: {self.kind.a_noun} is built from ({given})")
        return [self._evaluated(parameter) for parameter in parameters[taken:]]

    def _evaluated(self, parameter: inspect.Parameter) -> inspect.Parameter:
        """`parameter` with its annotation as a type, though it may be written as text."""
        if not isinstance(parameter.annotation, str):
            return parameter
        code: Any = self.builder.__init__ if inspect.isclass(self.builder) else self.builder
        scope = inspect.unwrap(code).__globals__
        return parameter.replace(annotation=eval(parameter.annotation, scope))

    def build(self, spec: Mapping[str, Any], *given: Any) -> Any:
        """Call the builder with what nnarch gives and its own options of a filled `spec`."""
        own = {parameter.name for parameter in self._option_parameters()}
        options = {key: spec[key] for key in own & spec.keys()}
        if self.is_ours:
            return self.builder(*given, **options)
        try:
            made = self.builder(*given, **options)
        except Exception as error:
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"{self.name} cannot be built: {cause} ({self.where})") from error
        if self.kind.marks and not any(hasattr(made, mark) for mark in self.kind.marks):
            raise ConfigError(
                f"{self.name} returns {type(made).__name__}; expected {self.kind.a_noun} to be "
                f"a function or class {self.kind.contract} ({self.where})"
            )
        return made


def _is_plain(default: Any) -> bool:
    try:
        to_jsonable_python(default)
    except PydanticSerializationError:
        return False
    return True


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

        Raises: ValueError where the name is taken, TypeError where a fact of its kind is not said.
        """
        if builder is None:
            return lambda builder: self._add(builder, name, facts)
        return self._add(builder, name, facts)

    def _add(self, builder: Builder, name: str | None, facts: Mapping[str, Any]) -> Builder:
        component = Component(self.kind, name or builder.__name__, builder, facts)
        if not component.is_ours:
            importlib.import_module(self.kind.home)  # so that a name of ours is known as taken
        if taken := self._components.get(component.name):
            raise ValueError(
                f"there is {self.kind.a_noun} called {component.name!r} already, in {taken.where}"
            )
        if missing := [fact for fact in self.kind.facts if fact not in facts]:
            said = ", ".join(f"{fact}=..." for fact in missing)
            raise TypeError(f"{component.name}: {self.kind.a_noun} is registered with {said} too")
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
            called = name if len(name) <= 60 else f"{name[:57]}..."
            raise ConfigError(
                f"no {self.kind.noun} is called {called!r}; {suggestion(name, names)}"
            )
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
        marks=("forward", "items"),
    ),
    Kind(
        "activation",
        "nnarch.models.activations",
        (),
        "given nothing; returns an nn.Module that keeps its input's shape",
        marks=("forward",),
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
        facts=("tasks", "standardize"),
        marks=("values",),
    ),
    Kind(
        "optimizer",
        "nnarch.optim",
        ("parameters",),
        "given the network's parameters; returns a torch.optim.Optimizer, or what is used as one "
        "(nnarch.optim.stepper.Stepper)",
        marks=("step",),
    ),
    Kind(
        "schedule",
        "nnarch.schedules",
        ("epochs",),
        "given the number of epochs of the run; returns a function from the (fractional) number "
        "of epochs done to the factor on the learning rate",
        marks=("__call__",),
        common=ScheduleOptions,
    ),
    Kind(
        "data",
        "nnarch.data",
        (),
        "given nothing; returns an nnarch.data.table.Table",
        marks=("target_names",),
        key="source",
        common=DataOptions,
    ),
    Kind(
        "metric",
        "nnarch.metrics",
        ("result",),
        "given targets and predictions as an nnarch.metrics.Result; returns a number",
        facts=("tasks", "higher"),
        marks=("__float__",),
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
