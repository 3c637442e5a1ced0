"""Components: how one is registered and built, what its signature says, and what all of ours keep.

The first part uses a registry of cakes, so that no component of ours can get in the way. The
second is the contract that every registered component enters by itself.
"""

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo

import nnarch
from nnarch.component import Component
from nnarch.errors import ConfigError
from nnarch.kinds import Kind
from nnarch.options import Count, Fraction, Positive
from nnarch.registry import REGISTRIES, Registry, suggestion
from nnarch.sections import Section
from nnarch.validate import expected, fill, fill_component, json_schema, mark

if TYPE_CHECKING:
    from fractions import Fraction as Oven  # not there when the annotation is looked at


class Wrapping(Section):
    """What every cake takes."""

    paper: bool = Field(default=True, description="Whether it is wrapped.")


CAKE = Kind("cake", "nnarch.seeds", ("oven",), "given an oven", common=Wrapping)


@pytest.fixture
def cakes() -> Registry:
    return Registry(CAKE)


def marble(
    oven: "Oven",
    *,
    layers: Count = 2,
    sugar: Annotated[float, Field(gt=0, le=1)] = 0.5,
    glaze: Literal["none", "lemon"] = "none",
    fillings: list[str] = [],  # noqa: B006
    name_tag: str | None = None,
    eggs: Count,
) -> tuple[Any, ...]:
    """Marble cake, of
    two doughs.

    Only the first paragraph is the summary.

    Options:
        layers: How many; at least
            one.
        sugar: Share of it: more is sweeter.
        unknown: Not an option.
    """
    return (oven, layers, sugar, glaze, fillings, name_tag, eggs)


class TestRegister:
    def test_under_its_own_name(self, cakes: Registry) -> None:
        assert cakes.register(marble) is marble
        assert cakes.names() == ["marble"]
        assert cakes.get("marble").builder is marble

    def test_under_another_name_with_facts(self, cakes: Registry) -> None:
        assert cakes.register(name="stone", hot=True)(marble) is marble
        assert cakes.names() == ["stone"]
        assert cakes.get("stone").facts == {"hot": True}

    def test_a_name_is_given_out_once(self, cakes: Registry) -> None:
        cakes.register(marble)
        with pytest.raises(ValueError, match="there is a cake called 'marble' already") as caught:
            cakes.register(marble)
        assert f"{__file__}:{inspect.getsourcelines(marble)[1]}" in str(caught.value)

    def test_a_name_of_ours_is_taken_before_ours_are_imported(self) -> None:
        empty = Registry(REGISTRIES["activation"].kind)
        assert empty.registered() == []
        with pytest.raises(ValueError, match="there is an activation called 'relu' already"):
            nnarch.register("activation", name="relu")(marble)
        assert "marble" not in REGISTRIES["activation"].names()

    def test_facts_of_the_kind_have_to_be_said(self) -> None:
        with pytest.raises(TypeError, match=r"mine: a metric is registered with higher=\.\.\. too"):
            nnarch.register("metric", name="mine", tasks=("regression",))(marble)
        with pytest.raises(TypeError, match=r"with tasks=\.\.\., standardize=\.\.\. too"):
            nnarch.register("loss", name="mine")(marble)

    def test_an_unknown_kind(self) -> None:
        with pytest.raises(ValueError, match="no kind of component is called 'modle'; did you"):
            nnarch.register("modle")

    def test_members_come_by_name(self, cakes: Registry) -> None:
        for name in ("c", "a", "b"):
            cakes.register(name=name)(marble)
        assert cakes.names() == ["a", "b", "c"]
        assert [component.name for component in cakes] == ["a", "b", "c"]


class TestGet:
    def test_an_unknown_name_tells_the_nearest_and_all(self, cakes: Registry) -> None:
        cakes.register(marble)
        cakes.register(name="plain")(marble)
        with pytest.raises(ConfigError) as caught:
            cakes.get("marbel")
        said = "no cake is called 'marbel'; did you mean 'marble'? known: marble, plain"
        assert str(caught.value) == said

    def test_a_long_name_is_cut(self, cakes: Registry) -> None:
        with pytest.raises(ConfigError) as caught:
            cakes.get("x" * 10_000)
        assert len(str(caught.value)) < 200

    @pytest.mark.parametrize(
        ("word", "hint"),
        [
            ("adm", "did you mean 'adam'? known: sgd, adam, adamw"),
            ("SGD", "known: sgd, adam, adamw"),
            ("zebra", "known: sgd, adam, adamw"),
        ],
    )
    def test_suggestion(self, word: str, hint: str) -> None:
        assert suggestion(word, ["sgd", "adam", "adamw"]) == hint


class TestSchema:
    """A builder's signature is its schema."""

    @pytest.fixture
    def component(self, cakes: Registry) -> Component:
        cakes.register(marble)
        return cakes.get("marble")

    def field(self, component: Component, name: str) -> FieldInfo:
        return component.schema.model_fields[name]

    def test_options_are_what_is_not_given_and_what_the_kind_shares(
        self, component: Component
    ) -> None:
        own = ["layers", "sugar", "glaze", "fillings", "name_tag", "eggs"]
        assert sorted(component.schema.model_fields) == sorted([*own, "paper"])

    def test_defaults(self, component: Component) -> None:
        filled, faults = fill(component.schema, {"eggs": 3})
        assert not faults
        assert filled == {
            "paper": True,
            "layers": 2,
            "sugar": 0.5,
            "glaze": "none",
            "fillings": [],
            "name_tag": None,
            "eggs": 3,
        }

    def test_required(self, component: Component) -> None:
        _, faults = fill(component.schema, {})
        assert [fault.message for fault in faults] == [
            "missing; expected an integer from 1 to 1,000,000,000"
        ]

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ("layers", "an integer from 1 to 1,000,000,000"),
            ("sugar", "a number > 0 and <= 1"),
            ("glaze", "'none' or 'lemon'"),
            ("fillings", "a list (each text)"),
            ("name_tag", "text or null"),
            ("paper", "true or false"),
        ],
    )
    def test_types_and_limits(self, component: Component, option: str, words: str) -> None:
        assert expected(component.schema, (option,)) == words

    def test_sentences(self, component: Component) -> None:
        assert self.field(component, "layers").description == "How many; at least one."
        assert self.field(component, "sugar").description == "Share of it: more is sweeter."
        assert self.field(component, "glaze").description is None
        assert self.field(component, "paper").description == "Whether it is wrapped."
        assert component.summary == "Marble cake, of two doughs."

    def test_unknown_options_are_refused(self, component: Component) -> None:
        _, faults = fill(component.schema, {"eggs": 1, "sugr": 0.1})
        assert [(fault.path, fault.message.partition(" known")[0]) for fault in faults] == [
            (("sugr",), "unknown key; did you mean 'sugar'?")
        ]

    def test_annotations_may_be_text(self, cakes: Registry) -> None:
        def sponge(oven: "Oven", *, size: "Count" = 3) -> "tuple[Oven, int]":
            return oven, size

        cakes.register(sponge)
        assert expected(cakes.get("sponge").schema, ("size",)).startswith("an integer from 1")
        assert cakes.build({"name": "sponge", "size": 4}, "hot") == ("hot", 4)

    def test_a_class_is_a_builder_too(self, cakes: Registry) -> None:
        class Base:
            """Not what it is."""

        @cakes.register
        class Tart(Base):
            def __init__(self, oven: str, *, share: Fraction = 0.5):
                self.oven, self.share = oven, share

        component = cakes.get("Tart")
        assert component.summary == ""
        assert expected(component.schema, ("share",)) == "a number >= 0 and < 1"
        made = cakes.build({"name": "Tart", "share": 0.25, "paper": True}, "hot")
        assert isinstance(made, Tart)
        assert (made.oven, made.share) == ("hot", 0.25)

    def test_a_class_whose_constructor_is_inherited_and_takes_anything(
        self, cakes: Registry
    ) -> None:
        class Base:
            def __init__(self, oven: str, *args: Any, **kwargs: Any): ...

        @cakes.register
        class Bare(Base): ...

        assert cakes.get("Bare").schema.model_fields.keys() == {"paper"}
        assert isinstance(cakes.build({"name": "Bare", "paper": True}, "hot"), Bare)

    @pytest.mark.parametrize(
        ("builder", "complaint"),
        [
            (lambda oven, *, size=3: 0, "option 'size' needs a type annotation of its own"),
            (lambda oven, *sizes: 0, "option 'sizes' needs a type annotation of its own"),
            (lambda oven, **sizes: 0, "option 'sizes' needs a type annotation of its own"),
            (lambda: 0, r"a cake is built from \(oven\)"),
        ],
    )
    def test_a_signature_that_is_no_schema(
        self, cakes: Registry, builder: Callable[..., Any], complaint: str
    ) -> None:
        cakes.register(name="odd")(builder)
        with pytest.raises(TypeError, match=f"odd: {complaint}"):
            _ = cakes.get("odd").schema

    def test_an_option_that_the_kind_has_already(self, cakes: Registry) -> None:
        def odd(oven: Any, *, paper: bool = False) -> None: ...

        cakes.register(odd)
        with pytest.raises(TypeError, match="odd: every cake has 'paper' already"):
            _ = cakes.get("odd").schema

    def test_an_option_called_as_the_component_s_name(self, cakes: Registry) -> None:
        def odd(oven: Any, *, name: str = "x") -> None: ...

        cakes.register(odd)
        with pytest.raises(TypeError, match="odd: every cake has 'name' already"):
            _ = cakes.get("odd").schema

    def test_a_default_that_no_file_could_say(self, cakes: Registry) -> None:
        def odd(oven: Any, *, plate: Any = print) -> None: ...

        cakes.register(odd)
        with pytest.raises(TypeError, match="odd: the default of option 'plate' is not plain data"):
            _ = cakes.get("odd").schema

    def test_a_type_that_no_file_could_say(self, cakes: Registry) -> None:
        class Plate: ...

        def odd(oven: Any, *, plate: Plate | None = None) -> None: ...

        cakes.register(odd)
        with pytest.raises(TypeError, match=r"odd: Unable to generate .* schema for .*Plate"):
            _ = cakes.get("odd").schema

    def test_a_default_beyond_its_own_limits(self, cakes: Registry) -> None:
        def odd(oven: Any, *, size: Positive = -1) -> None: ...

        cakes.register(odd)
        _, faults = fill(cakes.get("odd").schema, {}, ("cake",))
        assert [(fault.path, fault.message) for fault in faults] == [
            (("cake", "size"), "got -1; expected a number > 0")
        ]


class TestBuild:
    def test_given_and_own_options_reach_the_builder(self, cakes: Registry) -> None:
        cakes.register(marble)
        filled, _ = fill(cakes.get("marble").schema, {"eggs": 3, "layers": 1})
        made = cakes.build({"name": "marble", **filled}, "hot")
        assert made == ("hot", 1, 0.5, "none", [], None, 3)

    def test_a_builder_of_the_user_s_that_fails_is_named_with_its_cause(
        self, cakes: Registry
    ) -> None:
        @cakes.register
        def burnt(oven: Any) -> None:
            raise KeyError("no\nflour")

        line = inspect.getsourcelines(burnt)[1]
        with pytest.raises(ConfigError) as caught:
            cakes.build({"name": "burnt"}, "hot")
        cause = r"burnt cannot be built: KeyError: 'no\nflour'"
        assert str(caught.value) == f"{cause} ({__file__}:{line})"

    def test_what_a_builder_of_the_user_s_returns_is_looked_at(self) -> None:
        odd = Component(REGISTRIES["schedule"].kind, "odd", lambda epochs: 0.5, {})
        with pytest.raises(ConfigError) as caught:
            odd.build({"name": "odd"}, 3)
        assert str(caught.value).startswith(
            "odd returns float; expected a schedule to be a function or class given the number of "
            "epochs of the run; returns a function from the (fractional) number of epochs done"
        )
        assert __file__ in str(caught.value)

    def test_a_builder_without_source_is_placed_by_its_module(self, cakes: Registry) -> None:
        scope: dict[str, Any] = {"__name__": "typed.in"}
        exec("def raw(oven): raise ValueError('no')", scope)
        cakes.register(scope["raw"])
        with pytest.raises(ConfigError, match=r"raw cannot be built: ValueError: no \(typed\.in\)"):
            cakes.build({"name": "raw"}, "hot")


EVERY = [component for registry in REGISTRIES.values() for component in registry]


@pytest.mark.parametrize("component", EVERY, ids=lambda one: f"{one.kind.name}-{one.name}")
class TestEveryComponent:
    """What each of ours promises; a new one enters by being registered."""

    def test_a_sentence_says_what_it_is(self, component: Component) -> None:
        assert component.summary.endswith(".")
        assert component.summary[0].isupper() or component.summary[0].isalnum()
        assert len(component.summary) <= 120

    def test_a_sentence_says_what_each_option_does(self, component: Component) -> None:
        for name, field in component.schema.model_fields.items():
            assert field.description, f"{component.name}.{name} has no sentence"
            assert field.description.endswith("."), f"{component.name}.{name}"

    def test_every_sentence_belongs_to_an_option(self, component: Component) -> None:
        doc = inspect.getdoc(component.builder) or ""
        block = doc.partition("Options:\n")[2]
        named = [line.split(":")[0].strip() for line in block.splitlines() if line[4:5].strip()]
        assert set(named) <= component.schema.model_fields.keys()

    def test_it_can_be_found(self, component: Component) -> None:
        file, line = component.where.rsplit(":", 1)
        assert os.path.isfile(file)
        assert int(line) > 0
        assert component.is_ours

    def test_its_name_is_what_a_config_can_say(self, component: Component) -> None:
        assert component.name.isidentifier()
        assert component.name == component.name.lower()

    def test_its_defaults_are_right_by_its_own_schema(self, component: Component) -> None:
        fields = component.schema.model_fields
        optional = {
            name: field.get_default(call_default_factory=True)
            for name, field in fields.items()
            if not field.is_required()
        }
        plain = component.schema.model_construct(**optional).model_dump(mode="json")
        needed = [name for name, field in fields.items() if field.is_required()]
        _, faults = fill(component.schema, plain)
        assert [fault.path for fault in faults] == [(name,) for name in needed]

    def test_it_can_be_named_alone_where_nothing_is_required(self, component: Component) -> None:
        if any(field.is_required() for field in component.schema.model_fields.values()):
            return
        filled, faults = fill_component(component.kind.name, component.name, ())
        assert not faults
        assert filled[component.kind.key] == component.name
        assert filled.keys() - {component.kind.key} == component.schema.model_fields.keys()

    def test_what_each_option_takes_can_be_said(self, component: Component) -> None:
        for name, field in component.schema.model_fields.items():
            words = expected(component.schema, (name,))
            assert mark(field) or words != "a value", f"{component.name}.{name}"

    def test_it_says_the_facts_of_its_kind(self, component: Component) -> None:
        assert component.facts.keys() >= set(component.kind.facts)

    def test_its_schema_is_plain_json(self, component: Component) -> None:
        assert json_schema(component.schema)["additionalProperties"] is False


def test_every_kind_says_what_its_builders_are_given() -> None:
    for registry in REGISTRIES.values():
        assert len(list(registry)) > 0
        assert "returns" in registry.kind.contract or "fills" in registry.kind.contract
        for component in registry:
            assert len(inspect.signature(component.builder).parameters) >= len(registry.kind.given)
