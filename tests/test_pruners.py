"""Pruners: the brackets that the papers print, and what every bracket keeps."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnarch.pruners.halving import Halving
from nnarch.pruners.hyperband import Hyperband
from nnarch.pruners.pruner import Bracket
from nnarch.registry import pruners


def rows(bracket: Bracket) -> list[tuple[int, int]]:
    """Trials and epochs, rung by rung, as the papers' tables have them."""
    return list(zip((bracket.trials, *bracket.kept), bracket.rungs, strict=True))


def test_hyperband_s_first_algorithm_with_81_epochs_and_factor_3() -> None:
    """Li et al., 2018: s_max = 4, and n = ceil((s_max + 1) * 3^s / (s + 1)) of each bracket."""
    brackets = list(islice(Hyperband(factor=3).brackets(81, 1), 6))
    assert list(map(rows, brackets[:5])) == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    assert brackets[5] == brackets[0]


def test_halving_is_hyperband_s_earliest_bracket() -> None:
    first = next(Hyperband(factor=3).brackets(81, 1))
    assert list(islice(Halving(factor=3).brackets(81, 1), 2)) == [first, first]


def test_halves() -> None:
    bracket = next(Halving(factor=2, min_epochs=2).brackets(16, 1))
    assert rows(bracket) == [(8, 2), (4, 4), (2, 8), (1, 16)]


def test_rungs_lie_at_whole_epochs() -> None:
    assert next(Halving().brackets(100, 1)).rungs == (1, 3, 11, 33, 100)


def test_a_bracket_fills_what_trains_at_once() -> None:
    assert rows(next(Halving().brackets(9, 64))) == [(64, 1), (21, 3), (7, 9)]
    assert [one.trials for one in islice(Hyperband().brackets(9, 8), 3)] == [9, 8, 8]


def test_each_beginning_of_hyperband_has_its_share_of_the_points() -> None:
    assert [one.trials for one in islice(Hyperband().brackets(9, 100, 100), 3)] == [34, 34, 34]


def test_a_short_run_is_whole() -> None:
    assert rows(next(Halving(min_epochs=10).brackets(20, 6))) == [(6, 20)]
    assert rows(next(Hyperband().brackets(2, 6))) == [(6, 2)]


@pytest.mark.parametrize("name", pruners.names())
@given(
    factor=st.integers(2, 5),
    least=st.integers(1, 20),
    epochs=st.integers(1, 400),
    at_once=st.integers(1, 300),
)
def test_every_bracket(name: str, factor: int, least: int, epochs: int, at_once: int) -> None:
    pruner = pruners.build({"name": name, "factor": factor, "min_epochs": least})
    for bracket in islice(pruner.brackets(epochs, at_once), 7):
        assert bracket.trials >= at_once
        assert bracket.rungs[-1] == epochs
        assert min(bracket.rungs) >= min(least, epochs)
        assert list(bracket.rungs) == sorted(set(bracket.rungs))
        assert len(bracket.kept) == len(bracket.rungs) - 1
        before = bracket.trials
        for kept in bracket.kept:
            assert 1 <= kept <= before
            before = kept
