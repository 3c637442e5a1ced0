"""A recorded computation gives what it gave when it was recorded, of whatever it is given next."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nnarch.engine.program import Recording
from nnarch.engine.recording import Unrepeatable, record


def recorded(
    function: Callable[..., Sequence[Tensor]], *inputs: Tensor, moving: Sequence[Tensor] = ()
) -> Recording:
    return record(lambda: function(*inputs), inputs, moving)


def rows(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_answers_for_other_inputs() -> None:
    recording = recorded(lambda x, y: [x @ y, x.sum()], rows(0, 3, 4), rows(1, 4, 2))
    x, y = rows(2, 3, 4), rows(3, 4, 2)
    product, total = recording.program(x, y)
    assert torch.equal(product, x @ y)
    assert torch.equal(total, x.sum())


def test_a_gradient_is_that_of_autograd_and_leaves_no_trace() -> None:
    weight = nn.Parameter(rows(0, 4, 2))

    def gradient(x: Tensor) -> list[Tensor]:
        loss = (x @ weight).tanh().square().mean()
        return [loss.detach(), *torch.autograd.grad(loss, [weight])]

    recording = recorded(gradient, rows(1, 5, 4), moving=[weight])
    with torch.no_grad():
        weight += 1  # its memory stays
    x = rows(2, 5, 4)
    made, expected = recording.program(x), gradient(x)
    assert all(map(torch.equal, made, expected))
    assert not any(each.requires_grad for each in made)
    assert weight.grad is None


def test_what_does_not_change_is_not_computed_again() -> None:
    fixed = rows(0, 4, 4)

    recording = recorded(
        lambda x: [x @ (torch.linspace(0, 1, 4).exp() * fixed.softmax(0)) + 0 * x.detach()],
        rows(1, 3, 4),
    )
    assert recording.operations == 3, recording.source


def test_what_nobody_reads_is_left_out() -> None:
    recording = recorded(lambda x: [x.exp(), x.sin().cos().sum()][:1], rows(0, 3))
    assert recording.operations == 1, recording.source


def test_views_of_what_moves_are_made_once() -> None:
    weight = rows(0, 6, 2)
    recording = recorded(
        lambda x: [x @ weight.t().t()[:3].view(3, 2)], rows(1, 2, 3), moving=[weight]
    )
    assert recording.operations == 1, recording.source
    weight.mul_(3)
    x = rows(2, 2, 3)
    assert torch.equal(recording.program(x)[0], x @ weight[:3])


@pytest.mark.parametrize("pieces", [1, 2])
def test_several_results_are_told_apart_however_many_there_are(pieces: int) -> None:
    recording = recorded(lambda x: [each.exp() for each in x.exp().chunk(pieces)], rows(0, 4))
    x = rows(1, 4)
    assert torch.equal(torch.cat(recording.program(x)), x.exp().exp())


def test_what_is_written_in_place_is_written_each_time() -> None:
    count, mean = torch.zeros((), dtype=torch.int64), torch.zeros(3)

    def function(x: Tensor) -> list[Tensor]:
        count.add_(1)
        mean.mul_(0.5).add_(x.mean(0), alpha=0.5)
        return [x - mean]

    recording = recorded(function, rows(0, 4, 3), moving=[count, mean])
    expected = mean.clone()
    for seed in (1, 2):
        x = rows(seed, 4, 3)
        expected = expected * 0.5 + x.mean(0) * 0.5
        torch.testing.assert_close(recording.program(x)[0], x - expected)
    assert count == 3


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "found out"])
def test_memory_that_is_written_is_no_constant(declared: bool) -> None:
    """Whether or not anybody said that it moves."""
    kept = torch.zeros(3)

    def function(x: Tensor) -> list[Tensor]:
        kept.add_(x)
        return [kept.exp()]

    recording = recorded(function, rows(0, 3), moving=[kept] if declared else [])
    kept.zero_()
    x = rows(1, 3)
    recording.program(x)
    assert torch.equal(recording.program(x)[0], (x + x).exp())


def test_memory_made_anew_is_made_anew_each_time() -> None:
    def function(x: Tensor) -> list[Tensor]:
        made = torch.zeros(2, 3)
        made[0].add_(x)
        made[1].copy_(x)
        return [made]

    recording = recorded(function, rows(0, 3))
    for seed in (1, 2):
        x = rows(seed, 3)
        assert torch.equal(recording.program(x)[0], torch.stack([x, x]))


def test_chance_is_drawn_each_time_in_the_same_order() -> None:
    def function(x: Tensor) -> list[Tensor]:
        torch.rand(2)  # nobody reads it, and yet it moves on what is drawn next
        return [functional.dropout(x, 0.5), torch.randn(3)]

    recording = recorded(function, rows(0, 8))
    x = rows(1, 8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = recording.program(x), recording.program(x)
        after = torch.rand(1)
        torch.manual_seed(0)
        expected = function(x), function(x)
        assert torch.equal(after, torch.rand(1))
    for ours, theirs in zip(made, expected, strict=True):
        assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: [x * float(x.sum())], "reads a number"),
        (lambda x: [x if x.sum() > 0 else -x], "reads a number"),
        (lambda x: [x if torch.equal(x, -x) else -x], "reads a number"),
        (lambda x: [x[x > 0]], "mask"),
        (lambda x: [x.nonzero()], "shape depends on numbers"),
        (lambda x: [x.unique()], "shape depends on numbers"),
        (lambda x: [torch.masked_select(x, x > 0)], "shape depends on numbers"),
    ],
)
def test_what_may_go_another_way_is_refused(
    function: Callable[..., list[Tensor]], said: str
) -> None:
    with pytest.raises(Unrepeatable, match=said):
        recorded(function, rows(0, 5))


def test_rows_chosen_by_their_numbers_may_be_repeated() -> None:
    table = rows(0, 6, 2)
    recording = recorded(lambda i: [table[i]], torch.tensor([0, 5, 5]), moving=[table])
    chosen = torch.tensor([3, 1, 0])
    assert torch.equal(recording.program(chosen)[0], table[chosen])


UNARY = [torch.relu, torch.tanh, torch.exp, torch.t, lambda x: x.sum(0, keepdim=True) + x,
         lambda x: x.reshape(-1).view(3, 3), lambda x: x.clone().mul_(2), lambda x: x.detach() + x,
         lambda x: x[[2, 0, 1]], lambda x: x.softmax(1), lambda x: x.split([1, 2])[1].mean() * x,
         lambda x: torch.full_like(x, 0.5) * x]  # fmt: skip
BINARY = [torch.add, torch.mul, torch.mm, torch.sub, lambda x, y: torch.cat([x, y])[1:4]]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)), max_size=12))
def test_any_computation_and_its_gradient_are_repeated_exactly(
    steps: list[tuple[int, int, int]],
) -> None:
    """Of operations drawn at random, on an input, a weight and a constant."""
    weight, fixed = nn.Parameter(rows(0, 3, 3)), rows(1, 3, 3)

    def function(x: Tensor) -> list[Tensor]:
        made = [x, weight, fixed]
        for kind, one, other in steps:
            first, second = made[one % len(made)], made[other % len(made)]
            if kind % 2:
                made.append(UNARY[kind % len(UNARY)](first))
            else:
                made.append(BINARY[kind % len(BINARY)](first, second))
        loss = (made[-1] * weight).sigmoid().mean()
        return [made[-1].detach(), *torch.autograd.grad(loss, [weight])]

    recording = recorded(function, rows(2, 3, 3), moving=[weight])
    with torch.no_grad():
        weight.mul_(0.5)
    x = rows(3, 3, 3)
    for ours, theirs in zip(recording.program(x), function(x), strict=True):
        assert torch.equal(ours.nan_to_num(7), theirs.nan_to_num(7)), recording.source
