"""What is accepted is filled in; what is not is told in words that say what would be."""

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from nnarch.errors import undotted
from nnarch.options import (
    Activation,
    Betas,
    Count,
    FilePath,
    Fraction,
    Initialization,
    Named,
    Natural,
    NonNegative,
    Positive,
    Share,
)
from nnarch.sections import Clip, Section
from nnarch.validate import (
    Fault,
    dotted,
    expected,
    fill,
    fill_component,
    in_words,
    shortened,
)


class Kettle(Section):
    """One option of every kind that there is."""

    count: Count = 1
    natural: Natural = 0
    positive: Positive = 1.0
    non_negative: NonNegative = 0.0
    fraction: Fraction = 0.0
    share: Share = 0.0
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    number: float = 0.0
    bounded: Annotated[float, Field(le=5)] = 0.0
    open: Annotated[float, Field(lt=5)] = 0.0
    whole: int = 0
    flag: bool = False
    word: str = "x"
    file: FilePath = "x"
    choice: Literal["a", "b", "c"] = "a"
    one: Literal["a"] = "a"
    power: Literal[1, 2] = 1
    maybe: Count | None = None
    either: Count | Literal["all"] = 1
    numbers: list[Positive] = Field(default=[])
    names: list[str] = Field(default=["x"], min_length=1)
    two: Betas = Field(default=[0.5, 0.5])
    few: list[int] = Field(default=[1, 2], min_length=2, max_length=4)
    mapping: dict[str, Positive] = Field(default={})
    weights: Literal["balanced"] | dict[str, Positive] | None = None
    clip: Clip | None = None
    activation: Activation = "relu"
    initialization: Initialization = "default"
    perhaps: Annotated[Any, Named("activation")] = None
    metrics: Annotated[list[Any] | None, Named("metric", many=True)] = None


NEEDLESS = {  # option: a wrong value, and what is said of it
    "count": (0, "got 0; expected an integer from 1 to 1,000,000,000"),
    "natural": (-1, "got -1; expected an integer from 0 to 1,000,000,000"),
    "positive": (0, "got 0; expected a number > 0"),
    "non_negative": (-0.5, "got -0.5; expected a number >= 0"),
    "fraction": (1, "got 1; expected a number >= 0 and < 1"),
    "share": (1.5, "got 1.5; expected a number from 0 to 1"),
    "decay": (0, "got 0; expected a number > 0 and <= 1"),
    "number": ("x", "got 'x'; expected a number"),
    "bounded": (6, "got 6; expected a number <= 5"),
    "open": (5, "got 5; expected a number < 5"),
    "whole": (0.5, "got 0.5; expected an integer"),
    "flag": (1, "got 1; expected true or false"),
    "word": (1, "got 1; expected text"),
    "file": ("", "got ''; expected text that is not empty"),
    "choice": ("d", "got 'd'; expected 'a', 'b' or 'c'"),
    "one": ("b", "got 'b'; expected 'a'"),
    "power": (True, "got true; expected 1 or 2"),
    "maybe": ("x", "got 'x'; expected an integer from 1 to 1,000,000,000 or null"),
    "either": ("some", "got 'some'; expected an integer from 1 to 1,000,000,000 or 'all'"),
    "numbers": (3, "got 3; expected a list (each a number > 0)"),
    "names": ([], "got []; expected a list (at least one, each text)"),
    "two": ([0.5], "got [0.5]; expected a list (2 of them, each a number >= 0 and < 1)"),
    "few": ([1], "got [1]; expected a list (2 to 4 of them, each an integer)"),
    "mapping": ([], "got []; expected a mapping (names to a number > 0)"),
    "weights": (1, "got 1; expected 'balanced', a mapping (names to a number > 0) or null"),
    "clip": (1, "got 1; expected a mapping (norm, value)"),
    "activation": (1, "got 1; expected the name of an activation: celu, elu, gelu, "),
    "initialization": (None, "got null; expected the name of an initialization: constant, "),
    "perhaps": (True, "got true; expected the name of an activation: celu, "),
    "metrics": ("f1", "got 'f1'; expected a list, each the name of a metric: accuracy, "),
}


def test_every_kind_of_option_is_here() -> None:
    assert NEEDLESS.keys() == Kettle.model_fields.keys()


@pytest.mark.parametrize("option", NEEDLESS)
def test_a_wrong_value_is_told_with_what_is_accepted(option: str) -> None:
    value, message = NEEDLESS[option]
    _, (fault,) = fill(Kettle, {option: value}, ("model",))
    assert fault.path == ("model", option)
    assert fault.message.startswith(message)


WITHIN = {
    "numbers": ([1, -1, "x"], {("numbers", 1): "got -1; expected a number > 0",
                               ("numbers", 2): "got 'x'; expected a number > 0"}),
    "mapping": ({"a": 1, "b": 0}, {("mapping", "b"): "got 0; expected a number > 0"}),
    "clip": (
        {"norm": 0, "nrom": 1},
        {
            ("clip", "norm"): "got 0; expected a number > 0 or null",
            ("clip", "nrom"): "unknown key; did you mean 'norm'? known: norm, value",
        },
    ),
    "activation": (
        {"name": "elu", "alpha": 0, "beta": 1},
        {
            ("activation", "alpha"): "got 0; expected a number > 0",
            ("activation", "beta"): "unknown key; known: alpha",
        },
    ),
    "metrics": (
        ["f1", {"name": "f1", "average": "x"}, "f2", 3],
        {
            ("metrics", 1, "average"): "got 'x'; expected 'macro', 'micro', 'weighted' or 'binary'",
            ("metrics", 2): "no metric is called 'f2'; did you mean 'r2'? known: accuracy, ",
            ("metrics", 3): "got 3; expected the name of a metric: accuracy, ",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("option", WITHIN)
def test_a_fault_has_the_path_of_the_innermost_wrong_value(option: str) -> None:
    value, messages = WITHIN[option]
    _, faults = fill(Kettle, {option: value})
    assert {fault.path for fault in faults} == messages.keys()
    for fault in faults:
        assert fault.message.startswith(messages[fault.path])


def test_every_fault_is_found_at_once() -> None:
    wrong = {option: value for option, (value, _) in NEEDLESS.items()}
    _, faults = fill(Kettle, wrong | {"colour": "red"})
    assert {fault.path[0] for fault in faults} == {*NEEDLESS, "colour"}
    assert len(faults) == len(NEEDLESS) + 1


def test_defaults_are_filled_in_and_components_completed() -> None:
    filled, faults = fill(Kettle, {"activation": "elu", "metrics": ["f1"], "clip": {"norm": 1}})
    assert not faults
    assert filled.keys() == Kettle.model_fields.keys()
    assert filled["activation"] == {"name": "elu", "alpha": 1.0}
    assert filled["initialization"] == {"name": "default"}
    assert filled["perhaps"] is None
    assert filled["metrics"] == [{"name": "f1", "average": "macro"}]
    assert filled["clip"] == {"norm": 1.0, "value": None}


def test_what_was_given_is_not_changed() -> None:
    given_value = {"activation": {"name": "elu"}, "metrics": ["f1"]}
    fill(Kettle, given_value)
    assert given_value == {"activation": {"name": "elu"}, "metrics": ["f1"]}


@pytest.mark.parametrize("value", [1e3, 1000])
def test_whole_numbers_may_be_written_as_real_ones(value: float) -> None:
    filled, _ = fill(Kettle, {"count": value, "either": value, "maybe": value})
    for option in ("count", "either", "maybe"):
        assert filled[option] == 1000
        assert type(filled[option]) is int


@pytest.mark.parametrize("option", ["count", "positive", "flag", "word", "choice", "numbers"])
@pytest.mark.parametrize("value", ["1", "true", True, 1, None, {}, [[]], "yes"])
def test_nothing_is_taken_for_something_of_another_type(option: str, value: Any) -> None:
    right: dict[str, tuple[type, ...]] = {
        "count": (int,),
        "positive": (int, float),
        "flag": (bool,),
        "word": (str,),
        "choice": (),
        "numbers": (),
    }
    _, faults = fill(Kettle, {option: value})
    assert bool(faults) == (type(value) not in right[option])


class TestComponent:
    def test_a_bare_name_is_short_for_a_mapping(self) -> None:
        assert fill_component("loss", "huber", ()) == fill_component("loss", {"name": "huber"}, ())
        assert fill_component("loss", "huber", ()) == ({"name": "huber", "delta": 1.0}, [])

    def test_data_has_its_name_under_source(self) -> None:
        filled, faults = fill_component("data", {"source": "synthetic", "rows": 5}, ("data",))
        assert not faults
        assert (filled["source"], filled["rows"], filled["split"]["val"]) == ("synthetic", 5, 0.1)

    @pytest.mark.parametrize(
        ("spec", "path", "message"),
        [
            ("msee", (), "no loss is called 'msee'; did you mean 'mse'? known: bce_"),
            ({"name": "msee"}, ("name",), "no loss is called 'msee'; did you mean 'mse'?"),
            ({"name": 3}, ("name",), "got 3; expected the name of a loss: bce_with_logits, "),
            ({"delta": 3}, ("name",), "missing; expected the name of a loss: bce_with_logits, "),
            ({}, ("name",), "missing; expected the name of a loss: "),
            (3, (), "got 3; expected the name of a loss: "),
            (["mse"], (), "got ['mse']; expected the name of a loss: "),
            ({"name": "mse", "x": 1}, ("x",), "unknown key; none is accepted here"),
        ],
    )
    def test_fault(self, spec: Any, path: tuple[Any, ...], message: str) -> None:
        _, (fault,) = fill_component("loss", spec, ("loss",))
        assert fault.path == ("loss", *path)
        assert fault.message.startswith(message)

    def test_the_default_s_name_may_be_left_out(self) -> None:
        filled, faults = fill_component("optimizer", {"lr": 1}, (), "sgd")
        assert not faults
        assert (filled["name"], filled["lr"]) == ("sgd", 1.0)


class Sum(Section):
    """A section that can say no as a whole."""

    kettle: Kettle = Kettle()
    clip: Clip = Clip()


def test_sections_within_sections() -> None:
    _, faults = fill(Sum, {"kettle": {"numbers": [0], "clip": {"norm": "x"}}, "clip": None})
    assert faults == [
        Fault(("kettle", "numbers", 0), "got 0; expected a number > 0"),
        Fault(("kettle", "clip", "norm"), "got 'x'; expected a number > 0 or null"),
        Fault(("clip",), "got null; expected a mapping (norm, value)"),
    ]


class TestMessages:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (None, "null"),
            (True, "true"),
            (1.0, "1.0"),
            ("a\nb", r"'a\nb'"),
            ("\x1b[31m", r"'\x1b[31m'"),
            ([1, [2, {"a": None}]], "[1, [2, {'a': None}]]"),
        ],
    )
    def test_values_are_shown_on_one_line(self, value: Any, shown: str) -> None:
        assert shortened(value) == shown

    @pytest.mark.parametrize(
        "value", ["x" * 10**6, [1] * 10**5, {str(i): i for i in range(10**4)}, 10**300, [[[["x"]]]]]
    )
    def test_long_values_are_cut(self, value: Any) -> None:
        assert len(shortened(value)) < 200

    @pytest.mark.parametrize(
        ("value", "hint"),
        [
            ("1,5", "; use 1.5"),
            ("-0,001", "; use -0.001"),
            ("1,000,000", ""),
            ("1, 5", ""),
            ("a,b", ""),
        ],
    )
    def test_a_decimal_comma_is_seen(self, value: str, hint: str) -> None:
        _, (fault,) = fill(Kettle, {"positive": value})
        assert fault.message == f"got {value!r}; expected a number > 0{hint}"

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ((), ""),
            (("a",), "a"),
            (("a", "b", 0, "c"), "a.b[0].c"),
            (("a", 1, 2), "a[1][2]"),
        ],
    )
    def test_paths_as_users_write_them(self, path: tuple[Any, ...], text: str) -> None:
        assert dotted(path) == text
        assert undotted(text) == path

    def test_a_key_that_would_spoil_a_message_is_quoted_and_cut(self) -> None:
        assert dotted(("a", "\x1b[0m\n")) == r"a.'\x1b[0m\n'"
        assert len(dotted(("x" * 10**5,))) < 100

    def test_nested_words(self) -> None:
        assert in_words({"type": "array"}) == "a list"
        assert in_words({"type": "object"}) == "a mapping"
        assert in_words({}) == "a value"
        pairs = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
        assert in_words(pairs) == "a list (each a list (each an integer))"

    def test_own_words_win(self) -> None:
        class Tea(BaseModel):
            kind: str = Field(json_schema_extra={"expected": "green or black"})

        assert expected(Tea, ("kind",)) == "green or black"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(-2, 2) | st.text(max_size=4)
OPTIONS = st.sampled_from(sorted(NEEDLESS)) | st.text(max_size=4)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(OPTIONS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(OPTIONS, PLAIN, max_size=4))
def test_any_plain_data_is_filled_or_faulted(raw: dict[str, Any]) -> None:
    filled, faults = fill(Kettle, raw, ("at",))
    for fault in faults:
        assert fault.path[0] == "at"
        assert fault.message.startswith(("got ", "missing; ", "unknown key; ", "no "))
    if not faults:
        assert fill(Kettle, filled, ("at",)) == (filled, [])
