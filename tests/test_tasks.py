"""How trials are dealt out to workers: each once, alike ones together, the longest first."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnarch import config as configs
from nnarch.searching.proposals import Planned
from nnarch.searching.tasks import MANY, dealt
from nnarch.trial import Trial

Alike = tuple[int, str, str, int]  # layers, activation, optimizer and seed
DATA = {"source": "synthetic", "rows": 20, "features": 2}


def planned(alike: Alike, width: int, number: int = 0) -> Planned:
    layers, activation, optimizer, seed = alike
    model = {"widths": [width] * layers, "activation": activation}
    config = configs.load({"data": DATA, "model": model, "optimizer": optimizer, "seed": seed})
    return Planned(config, Trial(f"id{number}", number, seed, {}, {}, {}, "refused"))


CONFIGS = {
    (alike, width): planned(alike, width).config
    for alike in [
        (1, "relu", "adamw", 0),
        (1, "tanh", "adamw", 0),
        (2, "relu", "adamw", 0),
        (2, "relu", "sgd", 0),
        (2, "relu", "sgd", 1),
    ]
    for width in (4, 9, 64)
}


def alike(each: Planned) -> Alike:
    model = each.config.model
    layers, activation = len(model["widths"]), model["activation"]["name"]
    return layers, activation, each.config.optimizer["name"], each.config.seed


@settings(max_examples=20)
@given(
    st.dictionaries(st.sampled_from(sorted(CONFIGS)), st.integers(1, 90), min_size=1, max_size=6),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_each_trial_is_dealt_once_with_those_that_are_alike(
    counts: dict[tuple[Alike, int], int], workers: int, chance: Any
):
    chosen = [key for key, count in counts.items() for _ in range(count)]
    given = [
        Planned(CONFIGS[key], Trial(f"id{number}", number, 0, {}, {}, {}, "refused"))
        for number, key in enumerate(chosen)
    ]
    chance.shuffle(given)
    made = dealt(given, workers)
    assert sorted(each.trial.id for task in made for each in task) == sorted(
        each.trial.id for each in given
    )
    one, two = -(-len(given) // workers), -(-len(given) // (2 * workers))  # tasks a worker
    most = min(MANY, max(min(24, one), two))
    assert all(0 < len(task) <= most for task in made)
    tasks_of = Counter(kind for task in made for kind in {alike(each) for each in task})
    for kind, count in Counter(map(alike, given)).items():
        assert tasks_of[kind] == -(-count // most), "no more than it takes"


@pytest.mark.parametrize(("trials", "sizes"), [(400, [50] * 8), (40, [10] * 4), (3, [1] * 3)])
def test_each_of_four_workers_has_two_tasks_where_they_are_worth_a_stack_else_one(
    trials: int, sizes: list[int]
):
    one = planned((1, "relu", "adamw", 0), 4)
    assert [len(task) for task in dealt([one] * trials, 4)] == sizes


def test_the_longest_task_is_first_and_like_sizes_are_together():
    widths = [number % 32 for number in range(1, 97)]
    given = [planned((2, "relu", "adamw", 0), 1 + width) for width in widths]
    made = [[each.config.model["widths"][0] for each in task] for task in dealt(given, 2)]
    assert [(min(task), max(task)) for task in made] == [(25, 32), (17, 24), (9, 16), (1, 8)]


def test_those_that_differ_in_their_activation_fill_a_task_together():
    kinds: dict[Alike, int] = {
        (1, "relu", "adamw", 0): 10,
        (1, "tanh", "adamw", 0): 12,
        (1, "relu", "sgd", 0): 11,
        (1, "tanh", "sgd", 0): 13,
    }
    given = [planned(kind, 4) for kind, count in kinds.items() for _ in range(count)]
    made = [Counter(map(alike, task)) for task in dealt(given[::-1], 1)]
    assert [{kind[2] for kind in task} for task in made] == [{"sgd"}, {"adamw"}]
