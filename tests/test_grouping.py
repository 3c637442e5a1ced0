"""Which members are trained together: of one kind, in chunks of a size that is worth it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nnarch.stacked.grouping import FEW, LARGE, LITTLE, MAPPED, chunks, kind
from nnarch.stacked.member import Member
from nnarch.stacked.outline import Unstackable, widths
from nnarch.stacked.padded import common
from stacks import CLASSES, NUMBERS, WAVES, ground, member

MANY = 1_000_000
TABM: dict[str, Any] = {"name": "tabm", "widths": [4], "members": 2}


def network(*widths: int, **options: Any) -> dict[str, Any]:
    return {"model": {"name": "mlp", "widths": list(widths), **options}}


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 40), min_size=1, max_size=2),
            st.sampled_from(["relu", "tanh", "rrelu"]),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 20_000),
)
def test_every_member_is_in_one_chunk_with_others_of_its_kind(
    chosen: list[tuple[list[int], str, int]], numbers: int
):
    members = [
        member({**network(*widths, activation=activation), "seed": seed})
        for widths, activation, seed in chosen
    ]
    made = chunks(members, ground({}), numbers)
    found = [each for chunk in made for each in chunk.members]
    assert sorted(map(id, found)) == sorted(map(id, members))
    for chunk in made:
        if chunk.why is None:
            assert len({kind(each) for each in chunk.members}) == 1
            assert len(chunk.members) == 1 or _numbers(chunk.members) <= numbers
        else:
            assert len(chunk.members) == 1
            assert "RReLU" in str(chunk.members[0].training.network)


def _numbers(members: tuple[Member, ...]) -> int:
    """Of weights, and outputs of linear layers for a batch, were all as wide as the widest."""

    def of_one(each: Member) -> int:
        modules = list(each.training.network.modules())
        weights = sum(one.numel() for one in each.training.network.parameters())
        wide = sum(one.out_features for one in modules if isinstance(one, nn.Linear))
        return weights + wide * each.settings.batch_size

    return len(members) * max(map(of_one, members))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=5))
def test_unequal_sizes_are_padded_to_a_multiple_of_four(sizes: list[int]):
    size, largest = common(sizes), max(sizes)
    if len(set(sizes)) == 1:
        assert size == largest
    else:
        assert size % 4 == 0
        assert largest <= size < largest + 4


def _padded_cost(members: tuple[Member, ...]) -> int:
    """The numbers that a step of one stack touches, and those that its Python is worth."""
    own = (widths(each.training.network) for each in members)
    wide = list(map(common, zip(*own, strict=True)))
    features = next(members[0].training.network.parameters()).shape[1]
    weights = sum(before * after for before, after in pairwise([features, *wide]))
    return LITTLE + len(members) * (weights + members[0].settings.batch_size * sum(wide))


SIZES = st.sampled_from([2, 8, 30, 90, 250])


@settings(max_examples=15)
@given(st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=10))
def test_parting_by_width_costs_no_more_than_one_stack(chosen: list[tuple[int, int]]):
    members = [member(network(*each)) for each in chosen]
    made = [each.members for each in chunks(members, ground({}), MANY**2)]
    assert sorted(id(each) for part in made for each in part) == sorted(map(id, members))
    assert sum(map(_padded_cost, made)) <= _padded_cost(tuple(members))


def test_narrow_networks_are_parted_from_wide_ones_where_padding_would_cost_more():
    members = [member(network(width, width)) for width in (8, 250) * 4]
    made = [each.members for each in chunks(members, ground({}), MANY**2)]
    found = [[widths(each.training.network)[0] for each in part] for part in made]
    assert found == [[250] * 4, [8] * 4]


def test_chunks_are_as_equal_as_can_be_and_the_longest_is_first():
    members = [member(network(6, 5)) for _ in range(10)]
    sizes = [len(each.members) for each in chunks(members, ground({}), 4 * _numbers((members[0],)))]
    assert sorted(sizes) == [3, 3, 4]
    longer = [member({**network(6, 5), "epochs": epochs}) for epochs in (1, 9)]
    made = chunks(longer, ground({}), MANY)
    assert [each.members[0].settings.epochs for each in made] == [9, 1]


def _seeds(width: int) -> list[set[int]]:
    """Of which seeds the chunks of four members of such a width are, two of each of two seeds."""
    members = [member({**network(width, width), "seed": number % 2}) for number in range(4)]
    made = chunks(members, ground({}), MANY)
    return sorted(({each.settings.seed for each in chunk.members} for chunk in made), key=min)


def test_members_of_one_seed_share_a_chunk_and_those_of_like_width():
    seeds = {width: _seeds(width) for width in (8, 400)}
    assert seeds[400] == [{0}, {1}]
    assert seeds[8] == [{0, 1}], "too little to stand by itself"
    wide = [member(network(width)) for width in (40, 3, 39, 2)]
    both = chunks(wide, ground({}), 2 * _numbers((wide[0],)))
    widths = [
        sorted(each.training.network[0].out_features for each in chunk.members)  # type: ignore
        for chunk in both
    ]
    assert sorted(widths) == [[2, 3], [39, 40]]


ALIKE: list[dict[str, Any]] = [
    network(9, 4),
    network(6, 5, activation="tanh"),
    {"seed": 3},
    {"optimizer": {"name": "adamw", "lr": 0.5, "weight_decay": 0.5}},
    {"schedule": "cosine"},
    {"early_stopping": {"patience": 1}},
    {"monitor": "train_loss"},
]
OTHERS: list[dict[str, Any]] = [
    network(6),
    network(6, 5, normalization="batch"),
    network(6, 5, dropout=0.1),
    network(6, 5, bias=False),
    {"model": TABM},
    {"optimizer": {"name": "sgd"}},
    {"optimizer": {"name": "adamw", "betas": [0.8, 0.9]}},
    {"optimizer": {"name": "adamw", "groups": [{"match": "biases", "lr": 0.1}]}},
    {"loss": "l1"},
    {"clip": {"norm": 1}},
    {"batch_size": 10},
    {"epochs": 2},
    {"last_batch": "drop"},
    {"sampling": "sequential"},
    {"average": {"decay": 0.9}},
    {"precision": "float32"},
]


@pytest.mark.parametrize("changes", ALIKE)
def test_of_one_kind_is_what_a_stack_can_hold(changes: dict[str, Any]):
    assert kind(member(changes)) == kind(member({}))


@pytest.mark.parametrize("changes", OTHERS)
def test_of_another_kind_is_what_it_cannot(changes: dict[str, Any]):
    assert kind(member(changes)) != kind(member({}))


def test_networks_that_are_mapped_differ_in_shares_of_dropout_alone():
    own = [
        TABM,
        {**TABM, "dropout": 0.4},
        {**TABM, "dropout": 0.0},
        {**TABM, "widths": [5]},
        {**TABM, "activation": {"name": "leaky_relu", "slope": 0.1}},
        {**TABM, "activation": {"name": "leaky_relu", "slope": 0.2}},
    ]
    kinds = [kind(member({"model": model})) for model in own]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == len(own) - 1


def test_a_rule_that_looks_at_a_whole_weight_wants_equal_widths():
    optimizer = {"optimizer": {"name": "adafactor"}}
    assert kind(member({**network(6), **optimizer})) != kind(member({**network(7), **optimizer}))
    assert kind(member({**network(6), **optimizer})) == kind(member({**network(6), **optimizer}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "lbfgs", "batch_size": "all"}, "lbfgs is none of nnarch's own rules"),
        ({"accumulate": 2}, "a step takes 2 batches"),
        ({"precision": "bf16"}, "bf16"),
        ({"freeze": ["0.*"]}, "frozen"),
        ({"data": CLASSES, "augment": ["mixup"]}, "augmentation"),
        ({"compile": True}, "compile: true"),
    ],
)
def test_what_is_no_part_of_a_stack_says_why(changes: dict[str, Any], said: str):
    with pytest.raises(Unstackable, match=said):
        kind(member(changes))


def alone(changes: dict[str, Any], count: int) -> list[str | None]:
    """Why each of so many members is trained alone."""
    members = [member(changes) for _ in range(count)]
    made = chunks(members, ground(changes), MANY)
    assert all(len(each.members) == 1 for each in made)
    return [each.why for each in made]


def test_what_vmap_cannot_compute_is_trained_alone():
    changes = {**network(4, activation="rrelu"), "data": NUMBERS}
    for why in alone(changes, MAPPED):
        assert "torch.func.vmap cannot compute it" in (why or "")
        assert "rrelu" in (why or "")


def test_recurrent_networks_are_trained_alone():
    changes = {"data": WAVES, "model": {"name": "rnn", "width": 3}}
    assert all("aten::lstm" in (why or "") for why in alone(changes, MAPPED))


def test_networks_that_answer_to_every_token_are_trained_alone(tmp_path: Path):
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 30)
    changes = {
        "data": {"source": "text", "path": str(tmp_path / "text.txt"), "context": 4},
        "model": {"name": "gpt", "width": 4, "depth": 1, "heads": 2},
    }
    with pytest.raises(Unstackable, match="answers to every token"):
        kind(member(changes))


def test_few_or_large_networks_that_are_mapped_are_trained_alone():
    few = f"fewer than {MAPPED} networks of its shapes"
    assert alone({"model": TABM}, MAPPED - 1) == [few] * (MAPPED - 1)
    large = {"data": WAVES, "model": {"name": "tcn", "width": 64, "depth": 3}}
    for why in alone(large, MAPPED):
        assert why is not None
        assert int(why.split()[-2].replace(",", "")) > LARGE


def test_networks_that_are_mapped_are_together_although_they_are_many_numbers():
    members = [member({"model": TABM, "seed": number % 2}) for number in range(2 * FEW)]
    made = chunks(members, ground({}), 1)
    assert [len(each.members) for each in made] == [FEW, FEW]
    assert all(len({each.settings.seed for each in chunk.members}) == 1 for chunk in made)
