"""The split: every row in exactly one part, in the shares and by the rules that were asked for."""

from typing import Any

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import Tensor

from nnarch.data.split import PARTS, Bound, split
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


@given(st.integers(3, 2000), WEIGHTS, st.integers(0, 5))
@example(1353, (7, 12, 3), 0)  # half a row, by shares whose sum is not 1 to the last bit
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


def bound(**given: list[float] | Tensor) -> Bound:
    return Bound(**{name: torch.as_tensor(values) for name, values in given.items()})


@st.composite
def grouped(draw: st.DrawFn) -> tuple[Tensor, Split]:
    """Groups of any sizes, scattered, and shares that leave a row for every part."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=3, max_size=30))
    wanted = spec(draw(WEIGHTS), seed=draw(st.integers(0, 5)))
    rows = sum(sizes)
    held_out = round(rows * wanted.val), round(rows * wanted.test)
    assume(min(*held_out, rows - sum(held_out)) >= 1)
    groups = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)) * 7 - 3
    return groups[torch.randperm(rows, generator=torch.Generator().manual_seed(0))], wanted


@given(grouped())
@example((torch.tensor([5] * 100 + [1, 2]), spec((8, 1, 1))))  # one group is nearly everything
def test_a_group_is_in_one_part_whatever_its_size(given: tuple[Tensor, Split]):
    groups, wanted = given
    parts = split(len(groups), wanted, None, bound=bound(groups=groups))
    assert is_partition(parts, len(groups))
    assert min(sizes(parts)) >= 1
    members = [set(groups[parts[part]].tolist()) for part in PARTS]
    assert sum(map(len, members)) == len(set(groups.tolist()))
    assert all(torch.equal(rows, rows.sort().values) for rows in parts.values())


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_one_size_keep_the_shares(seed: int):
    groups = torch.arange(100).repeat(3)
    parts = split(300, spec((8, 1, 1), seed=seed), None, bound=bound(groups=groups))
    assert sizes(parts) == [240, 30, 30]
    other = split(300, spec((8, 1, 1), seed=seed + 1), None, bound=bound(groups=groups))
    assert not torch.equal(parts["test"], other["test"])


def test_fewer_groups_than_parts_are_refused():
    said = "data.split.group: 2 groups cannot be parted into train and val and test; expected at"
    with pytest.raises(DataError, match=said):
        split(100, spec((8, 1, 1)), None, bound=bound(groups=torch.arange(100) % 2))


TIMES = st.lists(st.integers(-5, 5), min_size=6, max_size=200)


@given(TIMES, WEIGHTS)
def test_training_comes_before_validation_and_that_before_the_test(
    times: list[int], weights: tuple[int, int, int]
):
    wanted, seen = spec(weights), torch.tensor(times, dtype=torch.float64)
    try:
        parts = split(len(times), wanted, None, bound=bound(times=seen))
    except DataError:
        rounded = [round(len(times) * share) for share in (wanted.val, wanted.test)]
        if min(*rounded, len(times) - sum(rounded)) >= 1:
            first, second = (sorted(times)[-count] for count in (sum(rounded), rounded[1]))
            assert first in (min(times), second)
        return
    assert is_partition(parts, len(times))
    train, val, test = (seen[parts[part]] for part in PARTS)
    assert train.max() < val.min() <= val.max() < test.min()  # rows of one time are together


def test_different_times_are_cut_where_the_shares_say():
    times = torch.randperm(200, generator=torch.Generator().manual_seed(0)).double() * -3
    parts = split(200, spec((6, 3, 1)), None, bound=bound(times=times))
    ordered = times.argsort()
    for part, cut in zip(PARTS, (slice(120), slice(120, 180), slice(180, 200)), strict=True):
        assert parts[part].tolist() == sorted(ordered[cut].tolist())


def test_rows_of_one_time_go_to_the_later_part_together():
    times = [1.0, 2, 3, 4, 5, 5, 5, 8, 9, 10]
    parts = split(10, spec((6, 2, 2)), None, bound=bound(times=times))
    assert [parts[part].tolist() for part in PARTS] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_too_few_different_times_are_refused():
    said = "data.split.time: 10 rows at 2 different times leave a part empty; expected more times"
    with pytest.raises(DataError, match=said):
        split(10, spec((6, 2, 2)), None, bound=bound(times=[1.0] * 5 + [2.0] * 5))


def folds(
    rows: int, count: int, *given: Any, groups: Tensor | None = None, **options: Any
) -> list[dict[str, Tensor]]:
    """The parts of each fold in turn."""
    wanted = [spec((8, 1, 1), folds=count, fold=fold + 1, **options) for fold in range(count)]
    classes, *labels = given or (None,)
    return [split(rows, each, classes, *labels, bound=Bound(groups=groups)) for each in wanted]


@given(st.integers(2, 12), st.integers(0, 100), st.integers(0, 3))
def test_every_row_is_tested_by_one_fold(count: int, more: int, seed: int):
    rows = 20 * count + more
    parted = folds(rows, count, seed=seed)
    assert all(is_partition(parts, rows) for parts in parted)
    tests = [parts["test"] for parts in parted]
    assert torch.cat(tests).sort().values.tolist() == list(range(rows))
    assert max(map(len, tests)) - min(map(len, tests)) <= 1
    for parts in parted:
        others = rows - len(parts["test"])
        assert len(parts["val"]) == round(others / 9)  # .1 of .8 and .1


@given(st.lists(st.integers(10, 40), min_size=2, max_size=6), st.integers(2, 5))
def test_every_fold_tests_its_share_of_each_class(counts: list[int], count: int):
    classes = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    rows, names = len(classes), [str(i) for i in range(len(counts))]
    assume(round(rows * (1 - 1 / count) / 9) > len(counts))
    parted = folds(rows, count, classes, names)
    tests = torch.stack([classes[parts["test"]].bincount(minlength=len(names)) for parts in parted])
    assert tests.sum(0).tolist() == counts
    assert (tests.amax(0) - tests.amin(0)).max() <= 1
    assert tests.sum(1).max() - tests.sum(1).min() <= 1
    for parts in parted:
        assert is_partition(parts, rows)
        for part in ("train", "val"):
            found = classes[parts[part]].bincount(minlength=len(names))
            exact = (torch.tensor(counts) - classes[parts["test"]].bincount()) * len(parts[part])
            assert (found - exact / (rows - len(parts["test"]))).abs().max() <= 1


@given(st.lists(st.integers(1, 9), min_size=12, max_size=40), st.integers(2, 4))
def test_folds_keep_groups_whole_and_are_nearly_even(counts: list[int], count: int):
    groups = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    parted = folds(len(groups), count, groups=groups)
    for parts in parted:
        assert is_partition(parts, len(groups))
        members = [set(groups[parts[part]].tolist()) for part in PARTS]
        assert sum(map(len, members)) == len(counts)
    tested = [len(parts["test"]) for parts in parted]
    assert sum(tested) == len(groups)
    assert max(tested) - min(tested) <= max(counts)


@pytest.mark.parametrize("seed", range(5))
def test_one_large_group_is_balanced_by_many_small_ones(seed: int):
    groups = torch.tensor([*[0] * 30, *range(1, 61)])
    for parts in folds(90, 3, groups=groups, seed=seed):
        assert len(parts["test"]) == 30
        assert len(groups[parts["test"]].unique()) in (1, 30)


def test_a_fold_is_the_same_in_every_process():
    """Runs of a cross-validation that are begun one by one, anywhere, share their folds."""
    here = folds(30, 3, seed=4)[1]["test"].tolist()
    assert here == [2, 7, 12, 16, 17, 19, 20, 24, 27, 28]
    assert here != folds(30, 3, seed=5)[1]["test"].tolist()


TOO_FEW = {
    "rows": ((3, 3), {}, "data.split.folds: 3 rows for 3 folds; expected more"),
    "a class": (
        (23, 3, torch.tensor([0] * 21 + [1] * 2), ["common", "rare"]),
        {},
        "class 'rare' has 2 rows for 3 folds; expected at least one each",
    ),
    "groups": (
        (30, 3),
        {"groups": torch.arange(30) % 3},
        "data.split.folds: 3 groups for 3 folds; expected more",
    ),
}


@pytest.mark.parametrize(("given", "options", "said"), TOO_FEW.values(), ids=TOO_FEW)
def test_too_few_for_so_many_folds(given: Any, options: Any, said: str):
    with pytest.raises(DataError, match=said):
        folds(*given, **options)


def test_given_parts_are_kept():
    given = torch.tensor([2, 0, 0, 1, 0, 2])
    parts = split(6, spec((1, 5, 4)), torch.tensor([0, 0, 0, 0, 0, 1]), "ab", bound(parts=given))
    assert {part: rows.tolist() for part, rows in parts.items()} == {
        "train": [1, 2, 4],
        "val": [3],
        "test": [0, 5],
    }


@pytest.mark.parametrize(("missing", "given"), [("val", 2), ("test", 1)])
@pytest.mark.parametrize("stratified", [False, True])
def test_a_part_that_is_not_given_is_drawn_from_the_training_rows(
    missing: str, given: int, stratified: bool
):
    places = torch.tensor([0] * 90 + [given] * 30)
    classes = torch.tensor([0, 1, 1] * 40)
    parts = split(
        120, spec((8, 1, 1)), classes if stratified else None, ["a", "b"], bound(parts=places)
    )
    assert is_partition(parts, 120)
    assert parts[PARTS[given]].tolist() == list(range(90, 120))
    assert len(parts[missing]) == 10  # .1 of .8 and .1, of 90
    if stratified:
        assert abs(int(classes[parts[missing]].sum()) - 20 / 3) <= 1


def test_rows_given_for_training_alone_are_parted_as_ever():
    parts = split(50, spec((8, 1, 1)), None, bound=bound(parts=torch.zeros(50, dtype=torch.int64)))
    plain = split(50, spec((8, 1, 1)), None)
    assert all(torch.equal(parts[part], plain[part]) for part in PARTS)


def test_no_row_for_training_is_refused():
    with pytest.raises(DataError, match=r"data.split: no row is for training; expected some"):
        split(2, spec((8, 1, 1)), None, bound=bound(parts=[1, 2]))
