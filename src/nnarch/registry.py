"""The components that a config may name, by kind and name, and how one adds another.

A new component is one function in one file: nothing else has to be told of it. A name is given
out once, since a second owner would silently change what old configs mean. The files that hold
our own components are imported at the first look-up of their kind, and import torch only when a
component is built.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, overload

from nnarch.component import Component
from nnarch.errors import ConfigError
from nnarch.kinds import KINDS, Kind

Builder = TypeVar("Builder", bound=Callable[..., Any])


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

    def __contains__(self, name: str) -> bool:
        importlib.import_module(self.kind.home)
        return name in self._components

    def registered(self) -> list[Component]:
        """The components so far, whether or not ours have been imported."""
        return list(self._components.values())

    def names(self) -> list[str]:
        return [component.name for component in self]

    def fitting(self, task: str) -> list[str]:
        """The names of those that are for a task of this kind."""
        return [component.name for component in self if task in component.facts["tasks"]]

    def get(self, name: str) -> Component:
        """The component called `name`.

        Raises: ConfigError with the nearest known name, and all of them.
        """
        importlib.import_module(self.kind.home)
        if name not in self._components:
            called = name if len(name) <= 60 else f"{name[:57]}..."
            raise ConfigError(
                f"no {self.kind.noun} is called {called!r}; {suggestion(name, self.names())}"
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


REGISTRIES = {kind.name: Registry(kind) for kind in KINDS}

models = REGISTRIES["model"]
layers = REGISTRIES["layer"]
activations = REGISTRIES["activation"]
initializations = REGISTRIES["initialization"]
losses = REGISTRIES["loss"]
optimizers = REGISTRIES["optimizer"]
schedules = REGISTRIES["schedule"]
sources = REGISTRIES["data"]
augmentations = REGISTRIES["augmentation"]
metrics = REGISTRIES["metric"]
samplers = REGISTRIES["sampler"]
pruners = REGISTRIES["pruner"]


def layer(name: str) -> Component | None:
    """The registered layer or activation that a list of layers calls so, if there is one."""
    for registry in (layers, activations):
        if name in registry:
            return registry.get(name)
    return None


def register(kind: str, *, name: str | None = None, **facts: Any) -> Callable[[Builder], Builder]:
    """Add a component of your own: `@nnarch.register("activation")` above a function or class.

    The file that holds it is named on the command line, `--plugin my_layers.py`.
    """
    if kind not in REGISTRIES:
        raise ValueError(
            f"no kind of component is called {kind!r}; " + suggestion(kind, list(REGISTRIES))
        )
    return REGISTRIES[kind].register(name=name, **facts)
