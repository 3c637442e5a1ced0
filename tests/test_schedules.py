"""The schedules against torch's own, and the contract that every registered one keeps."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from nnarch.registry import schedules
from nnarch.schedules import START, Plateau, Schedule, with_warmup
from nnarch.validate import fill_component

EPOCHS = 12
STEPS = 5  # an epoch
NEEDED: dict[str, dict[str, Any]] = {
    "step": {"every": 3},
    "multistep": {"milestones": [4, 9]},
    "cosine_restarts": {"every": 3},
}
BASE = 0.4


def build(name: str, **options: object) -> Any:
    spec, faults = fill_component("schedule", {"name": name, **options}, ())
    assert not faults
    return schedules.build(spec, EPOCHS)


def example(name: str) -> Any:
    return build(name, **NEEDED.get(name, {}))


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)


def rates(make: Callable[[torch.optim.Optimizer], Any], steps: int) -> list[float]:
    """The factors that a scheduler of torch gives to so many steps."""
    sgd = optimizer()
    scheduler = make(sgd)
    factors = []
    for _ in range(steps):
        factors.append(sgd.param_groups[0]["lr"] / BASE)
        sgd.step()
        scheduler.step()
    return factors


def close(ours: Sequence[float], theirs: Sequence[float]) -> None:
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


EACH_EPOCH: dict[str, tuple[dict[str, Any], Callable[[torch.optim.Optimizer], Any]]] = {
    "constant": ({}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    "step": (
        {"every": 3, "gamma": 0.5},
        lambda o: lr_scheduler.StepLR(o, step_size=3, gamma=0.5),
    ),
    "multistep": (
        {"milestones": [9, 4], "gamma": 0.2},
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[4, 9], gamma=0.2),
    ),
    "exponential": ({"gamma": 0.8}, lambda o: lr_scheduler.ExponentialLR(o, gamma=0.8)),
    "linear": (
        {"final": 0.2},
        lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=EPOCHS),
    ),
    "polynomial": (
        {"power": 2.5},
        lambda o: lr_scheduler.PolynomialLR(o, total_iters=EPOCHS, power=2.5),
    ),
    "cosine": (
        {"final": 0.1},
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS, eta_min=0.1 * BASE),
    ),
    "cosine_restarts": (
        {"every": 2, "growth": 2, "final": 0.1},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 2, eta_min=0.1 * BASE),
    ),
}


@pytest.mark.parametrize("name", EACH_EPOCH)
def test_each_epoch_has_the_rate_that_torch_gives_it(name: str):
    options, reference = EACH_EPOCH[name]
    ours = build(name, **options)
    close([ours(epoch) for epoch in range(EPOCHS)], rates(reference, EPOCHS))


def test_every_schedule_has_a_reference():
    ours = {s.name for s in schedules if s.builder.__module__ == "nnarch.schedules"}
    assert ours == {*EACH_EPOCH, "one_cycle", "plateau"}


def test_cosine_falls_step_by_step_as_in_torch():
    ours, steps = build("cosine"), EPOCHS * STEPS
    reference = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=steps), steps)
    close([ours(step / STEPS) for step in range(steps)], reference)


@pytest.mark.parametrize(("shape", "word"), [("cosine", "cos"), ("linear", "linear")])
def test_one_cycle_moves_step_by_step_as_in_torch(shape: str, word: Literal["cos", "linear"]):
    ours = build("one_cycle", peak=0.25, start=0.1, final=0.01, shape=shape)
    steps = EPOCHS * STEPS

    def reference(sgd: torch.optim.Optimizer) -> Any:
        # torch counts to its last step, ours to the end of the run, one step later
        return lr_scheduler.OneCycleLR(
            sgd,
            max_lr=BASE,
            total_steps=steps + 1,
            pct_start=(0.25 * steps + 1) / (steps + 1),
            anneal_strategy=word,
            div_factor=10,
            final_div_factor=10,
            cycle_momentum=False,
        )

    close([ours(step / STEPS) for step in range(steps)], rates(reference, steps))
    assert ours(EPOCHS) == pytest.approx(0.01)


@pytest.mark.parametrize("name", schedules.names())
def test_a_factor_is_a_share_of_the_rate_and_begins_above_zero(name: str):
    schedule = example(name)
    factors = [schedule(step / 7) for step in range(7 * EPOCHS + 1)]
    assert factors[0] > 0
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)
    assert factors == [schedule(step / 7) for step in range(7 * EPOCHS + 1)]
    assert schedule(EPOCHS + 5) <= 1


values = st.lists(st.floats(-5, 5), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    values.map(lambda losses: [abs(loss) for loss in losses]), st.integers(0, 4), st.integers(0, 3)
)
def test_plateau_follows_torch(losses: list[float], patience: int, cooldown: int):
    options = {"patience": patience, "cooldown": cooldown, "threshold": 0.01}
    ours = build("plateau", factor=0.5, min_factor=0.01, **options)
    sgd = optimizer()
    theirs = lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, min_lr=0.01 * BASE, **options)
    for epoch, loss in enumerate(losses):
        assert ours(epoch) * BASE == pytest.approx(sgd.param_groups[0]["lr"], abs=1e-8)
        ours.observe(loss)
        theirs.step(loss)


def test_plateau_knows_a_better_value_below_zero():
    ours = build("plateau", patience=0, threshold=0.1)
    for value in (-1.0, -2.0, -3.0):
        ours.observe(value)
    assert ours(3) == 1
    ours.observe(-3.1)  # better by less than the threshold
    assert ours(4) == pytest.approx(0.1)


def test_plateau_takes_no_infinite_value_for_its_best():
    ours = build("plateau")
    for value in (math.nan, math.inf, 1.0):
        ours.observe(value)
    assert ours.state()["best"] == 1.0


@pytest.mark.parametrize("name", schedules.names())
@settings(max_examples=15, deadline=None)
@given(before=values, after=values)
def test_a_restored_schedule_goes_on_as_it_was(name: str, before: list[float], after: list[float]):
    first, second = (with_warmup(example(name), 2.5) for _ in range(2))
    for value in before:
        first.observe(value)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    for epoch, value in enumerate(after):
        assert first(epoch) == second(epoch)
        first.observe(value)
        second.observe(value)
    assert first.state() == second.state()


def test_warmup_climbs_as_torch_does():
    ours = with_warmup(build("constant"), warmup=2)
    steps = 3 * STEPS
    reference = rates(lambda o: lr_scheduler.LinearLR(o, START, 1.0, total_iters=2 * STEPS), steps)
    close([ours(step / STEPS) for step in range(steps)], reference)


@pytest.mark.parametrize("name", schedules.names())
def test_warmup_multiplies_any_schedule(name: str):
    plain, warm = example(name), with_warmup(example(name), 1.5)
    assert 0 < warm(0) <= 0.02 * plain(0)
    assert warm(0.75) == pytest.approx(plain(0.75) * (1 + START) / 2)
    for epoch in (1.5, 2, EPOCHS):
        assert warm(epoch) == plain(epoch)
    still = with_warmup(example(name), 0)
    assert [still(epoch) for epoch in range(5)] == [plain(epoch) for epoch in range(5)]


def test_warmup_keeps_a_plateau_observing():
    schedule = with_warmup(Plateau(0.5, 0, 0.0, 0, 0.0), warmup=1)
    for value in (1.0, 1.0):
        schedule.observe(value)
    assert schedule(2) == 0.5
    assert schedule.state() == {"now": 0.5, "best": 1.0, "waited": 0, "resting": 0}


def test_a_curve_without_a_memory_has_no_state():
    schedule = Schedule(lambda epoch: 0.5)
    schedule.observe(1.0)
    schedule.restore(schedule.state())
    assert (schedule(0), schedule.state()) == (0.5, {})


@pytest.mark.parametrize("component", list(schedules), ids=lambda component: component.name)
def test_every_option_has_a_sentence(component):
    assert component.summary.endswith(".")
    for name, field in component.schema.model_fields.items():
        assert field.description, name
