"""Batches: what an epoch goes through, and how each kind of sample is taken from where it lies."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.data.batches import Contexts, Matrix, Pixels, Rows, Windows, balanced, order
from nnarch.data.hosted import Hosted, placed, size
from nnarch.data.passages import Passages
from nnarch.data.preprocessing.arrayinputs import ArrayInputs
from nnarch.training import batch_sizes

CPU = torch.device("cpu")


def matrix(rows: int, classes: int | None = None) -> Matrix:
    """Rows that hold their own number."""
    numbers = torch.arange(rows)
    target = numbers * 10.0 if classes is None else numbers % classes
    return Matrix(numbers.unsqueeze(1).float(), target)


def pixels(rows: int) -> Pixels:
    scaling = ArrayInputs.fit(torch.tensor([[[[10]]], [[[30]]]], dtype=torch.uint8), "standard")
    return Pixels(
        torch.arange(rows, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(rows), scaling
    )


def windows(rows: int) -> Windows:
    steps = torch.arange(rows * 2 + 3.0)
    return Windows(steps.unsqueeze(1), steps.unsqueeze(1) * 10, torch.arange(rows) * 2, 3, 2)


def contexts(rows: int) -> Contexts:
    ids = torch.arange(1, rows + 1)
    return Contexts(ids, torch.arange(rows), torch.arange(rows) // 4 * 4, 3, 0)


def passages(rows: int) -> Passages:
    """Documents of four tokens make two passages each."""
    return Passages.of(contexts(2 * rows))


def hosted(rows: int) -> Hosted:
    return Hosted(matrix(rows), CPU)


KINDS: dict[str, Any] = {
    "hosted": hosted,
    "matrix": matrix,
    "pixels": pixels,
    "windows": windows,
    "contexts": contexts,
    "passages": passages,
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def joined(batches: Any) -> Batch:
    inputs, target = zip(*((batch.inputs, batch.target) for batch in batches), strict=True)
    return Batch(torch.cat(inputs), torch.cat(target))


def assert_same(one: Batch, other: Batch) -> None:
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.target, other.target)


@every_kind
@pytest.mark.parametrize("size", [1, 7, 40, 100])
def test_in_order_all_come_once_whatever_the_size(make: Any, size: int):
    rows = make(40)
    cut = list(rows.in_order(size))
    assert [len(batch.inputs) for batch in cut[:-1]] == [size] * (len(cut) - 1)
    assert_same(joined(cut), joined(rows.in_order(40)))
    assert len(rows) == 40


@every_kind
def test_an_epoch_goes_through_its_order(make: Any):
    rows: Rows = make(40)
    whole, sizes = joined(rows.in_order(40)), [12, 12, 16]
    for epoch in (1, 2):
        batches = list(rows.epoch(sizes, 3, epoch, "shuffled"))
        assert [len(batch.target) for batch in batches] == sizes
        found = joined(batches)
        chosen = order(40, 3, epoch)
        assert_same(
            Batch(rows.prepare(found.inputs), found.target),
            Batch(whole.inputs[chosen], whole.target[chosen]),
        )


@every_kind
def test_in_sequence_an_epoch_is_the_rows_in_order(make: Any):
    rows: Rows = make(40)
    found = joined(rows.epoch([15, 15, 10], 3, 5, "sequential"))
    whole = joined(rows.in_order(40))
    assert_same(Batch(rows.prepare(found.inputs), found.target), whole)


@every_kind
def test_what_sizes_leave_out_is_left_out(make: Any):
    rows: Rows = make(40)
    sizes = batch_sizes(40, 12, drop_last=True)
    assert sizes == [12, 12, 12]
    whole = joined(rows.epoch([40], 3, 1, "shuffled"))
    found = joined(rows.epoch(sizes, 3, 1, "shuffled"))
    assert_same(found, Batch(whole.inputs[:36], whole.target[:36]))


@every_kind
def test_the_first_few_are_those_in_order(make: Any):
    rows: Rows = make(40)
    few = rows.first(9)
    assert len(few) == 9
    whole = joined(rows.in_order(40))
    assert_same(joined(few.in_order(4)), Batch(whole.inputs[:9], whole.target[:9]))
    assert len(rows.first(99)) == 40


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_move_to_a_number_type_but_classes_and_tokens_stay(make: Any, dtype: torch.dtype):
    rows: Rows = make(40)
    before = joined(rows.in_order(40))
    moved = joined(rows.to(CPU, dtype).in_order(40))
    for one, other in ((before.inputs, moved.inputs), (before.target, moved.target)):
        assert other.dtype == (dtype if one.is_floating_point() else torch.int64)
        torch.testing.assert_close(one.double(), other.double())


def test_pixels_are_scaled_by_their_batch_and_augmented_before():
    rows = pixels(40)
    (batch,) = rows.epoch([40], 0, 1, "sequential")
    assert batch.inputs.dtype == torch.uint8
    (ready,) = rows.in_order(40)
    expected = (torch.arange(40.0) - 20) / 10
    torch.testing.assert_close(ready.inputs.flatten(), expected)
    torch.testing.assert_close(rows.prepare(batch.inputs).flatten(), expected)


def test_an_order_is_that_of_its_seed_and_epoch():
    assert order(50, 0, 1).tolist() == order(50, 0, 1).tolist()
    assert len({tuple(order(50, seed, epoch).tolist()) for seed in (0, 1) for epoch in (1, 2)}) == 4
    assert sorted(order(50, 0, 1).tolist()) == list(range(50))


def test_torch_s_own_random_numbers_are_left_alone():
    before = torch.get_rng_state()
    for sampling in ("shuffled", "balanced"):
        list(matrix(40, classes=3).epoch([40], 0, 1, sampling))
    assert torch.equal(torch.get_rng_state(), before)


def test_balanced_every_class_comes_equally_often():
    classes = torch.tensor([0] * 9000 + [3] * 900 + [1] * 100)[order(10_000, 0, 1)]
    chosen = balanced(classes, 0, 1)
    counts = classes[chosen].bincount(minlength=4)
    assert len(chosen) == 10_000
    assert counts[2] == 0
    # binomial with a deviation of 47 each
    assert (counts[[0, 1, 3]] - 10_000 / 3).abs().max() < 5 * 47
    rare = (classes == 1).nonzero().flatten()
    drawn = chosen[classes[chosen] == 1].bincount(minlength=10_000)[rare]
    assert drawn.min() > 0
    assert (drawn - drawn.float().mean()).abs().max() < 6 * float(drawn.float().mean()) ** 0.5
    assert not torch.equal(chosen, balanced(classes, 0, 2))
    assert torch.equal(chosen, balanced(classes, 0, 1))


def test_a_balanced_epoch_holds_the_rows_that_are_drawn():
    rows = matrix(60, classes=4)
    found = joined(rows.epoch([25, 25], 7, 2, "balanced"))
    chosen = balanced(rows.target, 7, 2)[:50]
    assert found.inputs[:, 0].tolist() == chosen.tolist()
    assert found.target.tolist() == (chosen % 4).tolist()


@st.composite
def any_windows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[int], int, int]:
    lookback, horizon = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    steps = lookback + horizon + draw(st.integers(0, 20))
    channels, goals = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    chance = np.random.default_rng(draw(st.integers(0, 9)))
    starts = draw(st.lists(st.integers(0, steps - lookback - horizon), min_size=1, max_size=9))
    return (
        chance.normal(size=(steps, channels)),
        chance.normal(size=(steps, goals)),
        starts,
        lookback,
        horizon,
    )


@given(any_windows())
def test_a_window_is_a_slice_of_the_series(given: Any):
    inputs, goals, starts, lookback, horizon = given
    tensors = (torch.tensor(part) for part in (inputs, goals, starts))
    rows = Windows(*tensors, lookback=lookback, horizon=horizon)
    (found,) = rows.in_order(100)
    for start, seen, ahead in zip(starts, found.inputs, found.target, strict=True):
        middle = start + lookback
        np.testing.assert_array_equal(seen, inputs[start:middle])
        np.testing.assert_array_equal(ahead, goals[middle : middle + horizon].flatten())


@given(st.lists(st.integers(1, 8), min_size=1, max_size=8), st.integers(1, 10), st.integers(0, 5))
def test_a_context_is_padded_on_the_left_within_its_document(
    lengths: list[int], context: int, seed: int
):
    chance = np.random.default_rng(seed)
    documents = [chance.integers(1, 99, length).tolist() for length in lengths]
    expected = [
        ([0] * context + document[:place])[-context:]
        for document in documents
        for place in range(len(document))
    ]
    ids = torch.tensor([token for document in documents for token in document])
    ends = np.cumsum([0, *lengths])
    begins = torch.tensor(np.repeat(ends[:-1], lengths))
    places = torch.tensor(chance.permutation(len(ids)))
    rows = Contexts(ids, places, begins, context, 0)
    found = joined(rows.in_order(3))
    assert found.inputs.tolist() == [expected[place] for place in places.tolist()]
    assert found.target.tolist() == ids[places].tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_kind
def test_a_gpu_gives_the_same_batches(make: Any):
    rows: Rows = make(40)
    there = rows.to(torch.device("cuda"), torch.float32)
    here = rows.to(CPU, torch.float32)
    for one, other in zip(
        here.epoch([15, 25], 1, 1, "shuffled"), there.epoch([15, 25], 1, 1, "shuffled"), strict=True
    ):
        assert other.inputs.device.type == "cuda"
        assert_same(one, Batch(other.inputs.cpu(), other.target.cpu()))
        prepared: Tensor = there.prepare(other.inputs).cpu()
        torch.testing.assert_close(prepared, here.prepare(one.inputs))


@every_kind
def test_what_the_device_has_room_for_lies_there(make: Any):
    rows: Rows = make(40)
    whole = size(rows)
    assert whole >= 40 * 8
    there = placed({"train": rows, "val": rows}, CPU, torch.float32, room=4.0 * whole)
    assert isinstance(there["val"], type(rows))
    here = placed({"train": rows, "val": rows}, CPU, torch.float32, room=4.0 * whole - 1)
    assert {name: type(part) for name, part in here.items()} == dict.fromkeys(here, Hosted)
    assert_same(joined(here["val"].in_order(7)), joined(there["val"].in_order(7)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_kind
def test_rows_without_room_come_to_the_gpu_batch_by_batch(make: Any):
    rows, device = make(40), torch.device("cuda")
    there = placed({"train": rows}, device, torch.float32, room=0)["train"]
    whole = joined(rows.to(CPU, torch.float32).epoch([15, 25], 3, 1, "shuffled"))
    found = joined(there.epoch([15, 25], 3, 1, "shuffled"))
    assert found.inputs.device.type == "cuda"
    assert_same(Batch(found.inputs.cpu(), found.target.cpu()), whole)
