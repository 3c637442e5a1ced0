"""A component: a builder under a name, whose signature is the schema of what a config may say.

The builder's first positional parameters are what nnarch gives to every builder of its kind; the
rest are its options. Their annotations, defaults and one-sentence descriptions stand once, in
Python, and are checked, listed and documented from there.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, Field, PydanticUserError, create_model
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from nnarch.errors import ConfigError, cause
from nnarch.kinds import Kind

VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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

    @property
    def inferred(self) -> Mapping[str, str]:
        """Options that are filled in where they are not given, and from what (`features`, ...)."""
        return self.facts.get("infer", {})

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
            annotation = parameter.annotation
            if parameter.name in self.inferred:
                default, annotation = None, annotation | None
            if default is not ... and not _is_plain(default):
                raise TypeError(
                    f"{self.name}: the default of option {parameter.name!r} is not plain data"
                )
            field = Field(default, description=sentences.get(parameter.name))
            fields[parameter.name] = (annotation, field)
        try:
            return create_model(self.name, __base__=self.kind.common, **fields)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise TypeError(f"{self.name}: {str(error).splitlines()[0]}") from error

    def options_from(self, given: Any) -> dict[str, Any]:
        """The options that a list of layers means: by name, in order, or the first alone.

        Those that are filled in are not counted: of `{attention: 4}`, 4 are the heads.

        Raises: ConfigError where there are fewer.
        """
        if given is None or isinstance(given, Mapping):
            return dict(given or {})
        values = given if isinstance(given, list) else [given]
        names = [each.name for each in self._option_parameters() if each.name not in self.inferred]
        if len(values) > len(names):
            takes = f"at most {', '.join(names)}" if names else "no arguments"
            raise ConfigError(f"{self.name}: got {len(values)} arguments; expected {takes}")
        return dict(zip(names, values, strict=False))

    @cached_property
    def _own_options(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self._option_parameters())

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
        options = {key: spec[key] for key in self._own_options & spec.keys()}
        if self.is_ours:
            return self.builder(*given, **options)
        try:
            made = self.builder(*given, **options)
        except Exception as error:
            raise ConfigError(
                f"{self.name} cannot be built: {cause(error)} ({self.where})"
            ) from error
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
