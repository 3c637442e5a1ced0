"""Constraints: what a line of text bounds, and what is said of one that cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch.constraints import QUANTITIES, parse
from nnarch.errors import ConfigError

NETWORK = {"params": 50_000, "flops": 1e6, "depth": 3, "width": 128}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("params <= 50_000", True),
        ("params < 50000", False),
        ("parameters<=50k", True),
        ("flops < 1e6", False),
        ("flops <= 1M", True),
        ("depth == 3", True),
        ("depth >= 4", False),
        ("width > 127.5", True),
        ("2 <= depth <= 3", True),
        ("2 < depth < 3", False),
        ("10k >= params >= 1", False),
        ("60_000 > params", True),
        ("params + width <= 50128", True),
        ("params + width < 50128", False),
    ],
)
def test_bounds(text: str, kept: bool) -> None:
    constraint = parse(text)
    assert constraint.satisfied(NETWORK) is kept
    assert constraint.text == text


def test_what_is_bound() -> None:
    assert parse("parameters <= 2M").quantity == "params"
    assert parse("1 < width").quantities == ["width"]
    assert parse("params+flops < 1e9").quantities == ["params", "flops"]


@given(
    st.sampled_from(sorted(QUANTITIES)),
    st.sampled_from(["<", "<=", ">", ">=", "=="]),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
def test_a_constraint_is_what_python_would_say(name: str, sign: str, bound: int, had: int) -> None:
    said = eval(f"{had} {sign} {bound}")
    assert parse(f"{name} {sign} {bound:_}").satisfied({name: had}) is said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got ''; expected a bound such as 'params <= 50_000'"),
        ("params", "expected a bound such as"),
        ("params <= ", "expected a bound such as"),
        ("params = 5", "expected a bound such as"),
        ("params <= many", "got 'params <= many'; expected a number, as 50_000, 50k, 2M or 1e6"),
        ("5 <= 6", "got '5' in '5 <= 6'; known: params, flops, depth, width"),
        ("parms <= 5", "got 'parms' in 'parms <= 5'; did you mean 'params'? known: params, flops"),
        ("params * 2 <= 5", "got 'params * 2'"),
        ("5 <= params >= 3", "expected both bounds to point the same way"),
        ("1 == depth == 1", "expected both bounds to point the same way"),
        ("__import__('os') <= 5", "known: params"),
        ("params <= 1e5; depth <= 2", "expected a number, as 50_000"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    (line,) = caught.value.lines
    assert said in line


@given(st.text(alphabet="params<=>+ 0123456789_kMe.'", max_size=80))
def test_any_text_is_a_constraint_or_one_line(text: str) -> None:
    try:
        assert parse(text).quantities
    except ConfigError as error:
        (line,) = error.lines
        assert len(line) < 300
