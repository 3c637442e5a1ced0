"""The split: every row in exactly one part, in the shares that were asked for."""

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from nnarch.data.split import PARTS, split
from nnarch.errors import DataError
from nnarch.sections import Split

WEIGHTS = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))


def spec(weights: tuple[float, float, float], **options: object) -> Split:
    shares = [weight / sum(weights) for weight in weights]
    return Split.model_validate(dict(zip(PARTS, shares, strict=True)) | options)


def sizes(parts: dict[str, Tensor]) -> list[int]:
    return [len(parts[part]) for part in PARTS]


def is_partition(parts: dict[str, Tensor], rows: int) -> bool:
    return torch.cat(list(parts.values())).sort().values.tolist() == list(range(rows))


@settings(deadline=None)
@given(st.integers(3, 2000), WEIGHTS, st.integers(0, 5))
def test_every_row_is_in_exactly_one_part(rows: int, weights: tuple[int, int, int], seed: int):
    wanted = spec(weights, seed=seed)
    assume(min(round(rows * wanted.val), round(rows * wanted.test)) >= 1)
    assume(rows - round(rows * wanted.val) - round(rows * wanted.test) >= 1)
    parts = split(rows, wanted, None)
    assert list(parts) == list(PARTS)
    assert is_partition(parts, rows)
    assert sizes(parts)[1:] == [round(rows * wanted.val), round(rows * wanted.test)]
    assert all(torch.equal(part, part.sort().values) for part in parts.values())


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Tensor, Split]:
    """Classes of three rows or more, and shares that leave a row of each for every part."""
    counts = draw(st.lists(st.integers(3, 60), min_size=2, max_size=8))
    wanted = spec(draw(WEIGHTS), seed=draw(st.integers(0, 5)))
    rows = sum(counts)
    held_out = round(rows * wanted.val), round(rows * wanted.test)
    assume(min(*held_out, rows - sum(held_out)) >= len(counts))
    classes = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return classes[torch.randperm(rows, generator=torch.Generator().manual_seed(0))], wanted


@settings(deadline=None)
@given(labelled())
@example((torch.tensor([0] * 7 + [1] * 3), spec((2, 2, 6))))  # two of three rows in one part
def test_every_class_has_its_share_of_every_part_within_one_row(given: tuple[Tensor, Split]):
    classes, wanted = given
    names = [str(index) for index in range(int(classes.max()) + 1)]
    parts = split(len(classes), wanted, classes, names)
    assert is_partition(parts, len(classes))
    plain = split(len(classes), wanted, None)
    assert sizes(parts) == sizes(plain)
    for rows in parts.values():
        exact = classes.bincount() * len(rows) / len(classes)
        found = classes[rows].bincount(minlength=len(names))
        assert (found - exact).abs().max() <= 1


def test_shares_that_divide_evenly_are_kept_exactly():
    classes = torch.tensor([0, 1, 1, 1] * 100)
    parts = split(400, spec((0.8, 0.1, 0.1)), classes, ["a", "b"])
    counts = {part: classes[rows].bincount().tolist() for part, rows in parts.items()}
    assert counts == {"train": [80, 240], "val": [10, 30], "test": [10, 30]}


@pytest.mark.parametrize("stratified", [False, True])
def test_a_seed_decides_the_parts(stratified: bool):
    classes = torch.arange(3).repeat(40) if stratified else None
    first, again, other = (
        split(120, spec((8, 1, 1), seed=seed), classes, ["a", "b", "c"]) for seed in (3, 3, 4)
    )
    for part in PARTS:
        assert torch.equal(first[part], again[part])
        assert not torch.equal(first[part], other[part])


@pytest.mark.parametrize("stratified", [False, True])
def test_torch_s_own_random_numbers_neither_steer_the_parts_nor_are_used(stratified: bool):
    classes = torch.arange(3).repeat(40) if stratified else None
    torch.manual_seed(1)
    one = split(120, spec((8, 1, 1)), classes, ["a", "b", "c"])
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    other = split(120, spec((8, 1, 1)), classes, ["a", "b", "c"])
    assert all(torch.equal(one[part], other[part]) for part in PARTS)


def test_rows_are_drawn_from_everywhere():
    """Data files are often sorted; the parts must not be runs of neighbours."""
    for classes in (None, torch.zeros(1000, dtype=torch.int64).index_fill(0, torch.arange(500), 1)):
        for rows in split(1000, spec((8, 1, 1)), classes, ["a", "b"]).values():
            assert abs(rows.double().mean() - 499.5) < 100


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((50, 1), "class 'rare' has 1 row; expected at least 3"),
        ((50, 2), "class 'rare' has 2 rows; expected at least 3"),
    ],
)
def test_a_class_too_small_for_every_part_is_named(counts: tuple[int, int], said: str):
    classes = torch.tensor([0] * counts[0] + [1] * counts[1])
    with pytest.raises(DataError) as refused:
        split(len(classes), spec((8, 1, 1)), classes, ["common", "rare"])
    assert said in str(refused.value)
    assert "data.split.stratify=false" in str(refused.value)


@pytest.mark.parametrize(
    ("weights", "part"), [((8, 1, 1), "val"), ((8, 3, 1), "test"), ((1, 5, 4), "train")]
)
def test_more_classes_than_rows_of_a_part(weights: tuple[int, int, int], part: str):
    classes = torch.arange(10).repeat(4)
    names = [str(index) for index in range(10)]
    with pytest.raises(DataError, match=rf"data.split: {part} would have \d+ rows for 10 classes"):
        split(40, spec(weights), classes, names)


def test_without_stratify_small_classes_are_taken_as_they_come():
    classes = torch.tensor([0] * 50 + [1])
    parts = split(51, spec((8, 1, 1), stratify=False), classes, ["common", "rare"])
    assert is_partition(parts, 51)
    plain = split(51, spec((8, 1, 1)), None)
    assert all(torch.equal(parts[part], plain[part]) for part in PARTS)


@pytest.mark.parametrize(
    ("rows", "weights", "empty"),
    [
        (1, (8, 1, 1), "val and test"),
        (2, (8, 1, 1), "val and test"),
        (4, (8, 1, 1), "val and test"),
        (4, (1, 10, 10), "train"),
        (5, (70, 25, 5), "test"),
    ],
)
def test_too_few_rows_for_three_parts(rows: int, weights: tuple[int, int, int], empty: str):
    with pytest.raises(DataError) as refused:
        split(rows, spec(weights), None)
    assert f"{rows} rows leave none for {empty};" in str(refused.value)
