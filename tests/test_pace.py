"""How many points a search tries together, and which brackets are left to one that goes on."""

import math

import pytest

from nnarch.searching import pace
from nnarch.sections import Search


class Points:
    """Those that a search is to try, of which `brackets` take some each."""

    def __init__(self, search: Search, points: int, done: int = 0, epochs: int = 9):
        self.left = points - done
        self._brackets = pace.brackets(search, points, epochs, 2, lambda: self.left, math.inf)

    def taken(self) -> list[tuple[int, ...]]:
        found = []
        for bracket in self._brackets:
            found.append((bracket.trials, *bracket.rungs))
            self.left -= bracket.trials
        return found


def search(sampler: str, pruner: str | None = None) -> Search:
    named = {"name": pruner} if pruner else None
    return Search.model_validate({"sampler": {"name": sampler}, "pruner": named})


@pytest.mark.parametrize(
    ("sampler", "points", "rounds"),
    [("random", 2000, [1024, 976]), ("gp", 40, [16, 16, 8]), ("gp", 300, [37] * 8 + [4])],
)
def test_rounds_of_a_sampler_that_learns_are_small(
    sampler: str, points: int, rounds: list[int]
) -> None:
    assert [trials for trials, *_ in Points(search(sampler), points).taken()] == rounds


def test_hyperband_goes_through_all_its_beginnings() -> None:
    found = Points(search("random", "hyperband"), 100).taken()
    assert found == [(34, 1, 3, 9), (34, 3, 9), (32, 9)]


@pytest.mark.parametrize(
    ("done", "left"), [(0, [34, 34, 32]), (20, [34, 34, 12]), (34, [34, 32]), (70, [30])]
)
def test_a_search_that_goes_on_has_the_brackets_left_that_it_had(
    done: int, left: list[int]
) -> None:
    assert [trials for trials, *_ in Points(search("random", "hyperband"), 100, done).taken()] == (
        left
    )
