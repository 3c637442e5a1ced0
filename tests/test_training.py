"""The training loop: equal, value by value, to loops written out in plain PyTorch."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnarch import config as configs
from nnarch import experiment, opening
from nnarch.data.batch import NOTHING, Batch
from nnarch.data.batches import Matrix, Pixels, order
from nnarch.data.preprocessing.arrayinputs import ArrayInputs
from nnarch.errors import ConfigError, Diverged
from nnarch.experiment import Experiment
from nnarch.gradient import Gradient
from nnarch.training import Record, batch_sizes, train

CONFIG = "configs/mlp.yaml"
SMALL = {"source": "synthetic", "rows": 300, "features": 4}
CLASSES = {**SMALL, "kind": "blobs", "classes": 3}


def prepared(**changes: Any) -> Experiment:
    base = {"data": SMALL, "model": {"widths": [8]}, "epochs": 4, "threads": 1}
    return experiment.prepare(configs.load({**base, **changes}))


def records(ready: Experiment, **changes: Any) -> Iterator[Record]:
    return train(
        ready.training,
        ready.stepping(ready.training).engine(1),
        ready.loss,
        ready.rows["train"],
        ready.dataset.preprocess.target.scale,
        lambda: ready.evaluate("val"),
        **{"settings": ready.settings, **changes},
    )


def batches(ready: Experiment, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    rows = matrix(ready)
    chosen = order(len(rows), ready.config.seed, epoch)
    for part in chosen.split(size):
        yield rows.inputs[part], rows.target[part]


def matrix(ready: Experiment) -> Matrix:
    rows = ready.rows["train"]
    assert isinstance(rows, Matrix)
    return rows


def test_the_first_config_is_the_lesson_s_program(request: pytest.FixtureRequest) -> None:
    """configs/mlp.yaml gives the losses of the loop that a PyTorch lesson writes by hand."""
    ready = experiment.prepare(configs.load(request.config.rootpath / CONFIG))
    ours = [record.train_loss for record in records(ready)]

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
    loss_function = nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scale = float(ready.dataset.preprocess.target.scale)
    theirs = []
    for epoch in range(1, 11):
        seen = []
        for inputs, target in batches(ready, epoch, 32):
            loss = loss_function(model(inputs), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        theirs.append(sum(seen) / len(seen) * scale**2)
    assert len(ours) == 10
    assert ours == pytest.approx(theirs, rel=0, abs=1e-6)
    assert ours[-1] < 0.1 * ours[0]


def test_unscaled_data_trains_on_the_user_s_own_numbers() -> None:
    data = {**SMALL, "scaling": "none", "target_scaling": "none"}
    ready = prepared(data=data, optimizer={"name": "sgd", "lr": 0.05}, batch_size="all", epochs=1)
    (record,) = records(ready)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    rows = matrix(ready)
    loss = nn.functional.mse_loss(model(rows.inputs), rows.target)
    assert record.train_loss == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "clip"),
    [
        ({"clip": {"norm": 0.1}}, lambda p: nn.utils.clip_grad_norm_(p, 0.1)),
        ({"clip": {"value": 0.01}}, lambda p: nn.utils.clip_grad_value_(p, 0.01)),
        ({}, lambda p: None),
    ],
)
def test_schedule_and_clipping_follow_torch(changes: dict[str, Any], clip: Any) -> None:
    """AdamW under a step schedule, for classes, against the same written out."""
    ready = prepared(
        data=CLASSES,
        optimizer={"name": "adamw", "lr": 0.02},
        schedule={"name": "step", "every": 2, "gamma": 0.1},
        **changes,
    )
    ours = list(records(ready))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    for epoch, record in enumerate(ours, start=1):
        assert record.lr == pytest.approx(optimizer.param_groups[0]["lr"])
        total = 0.0
        for inputs, target in batches(ready, epoch, 32):
            loss = nn.functional.cross_entropy(model(inputs), target)
            optimizer.zero_grad()
            loss.backward()
            clip(model.parameters())
            optimizer.step()
            total += loss.item() * len(inputs)
        schedule.step()
        assert record.train_loss == pytest.approx(total / len(ready.rows["train"]), rel=1e-5)
    for mine, theirs in zip(ready.training.network.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_average_is_the_exponential_one() -> None:
    ready = prepared(average={"decay": 0.9}, epochs=1, optimizer={"name": "sgd", "lr": 0.1})
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept: list[Tensor] | None = None
    for inputs, target in batches(ready, 1, 32):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), target).backward()
        optimizer.step()
        now = [parameter.detach().clone() for parameter in model.parameters()]
        kept = now if kept is None else [0.9 * a + 0.1 * b for a, b in zip(kept, now, strict=True)]
    list(records(ready))
    assert kept is not None
    for mine, theirs in zip(ready.training.model.parameters(), kept, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"widths": [8], "dropout": 0.5}},
        {"data": CLASSES, "average": {"decay": 0.9}},
        {"model": {"widths": [8, 8], "normalization": "batch"}},
        {"precision": "bf16"},
        {"precision": "float64"},
        {"optimizer": "lbfgs", "batch_size": "all"},
    ],
    ids=str,
)
def test_the_same_seed_gives_the_same_bits(changes: dict[str, Any]) -> None:
    first, second, other = (prepared(**changes, seed=seed) for seed in (1, 1, 2))
    losses = [[record.train_loss for record in records(ready)] for ready in (first, second, other)]
    assert losses[0] == losses[1] != losses[2]
    for mine, again in zip(
        first.training.network.parameters(), second.training.network.parameters(), strict=True
    ):
        assert torch.equal(mine, again)


def test_precision_decides_what_is_computed_in() -> None:
    exact = [record.train_loss for record in records(prepared(precision="float64"))]
    single = [record.train_loss for record in records(prepared(precision="float32"))]
    coarse = [record.train_loss for record in records(prepared(precision="bf16"))]
    assert exact == pytest.approx(single, rel=1e-4)
    assert exact != single
    assert coarse == pytest.approx(single, rel=0.1)
    assert coarse != pytest.approx(single, rel=1e-6)
    weights = prepared(precision="float64").training.network.parameters()
    assert {weight.dtype for weight in weights} == {torch.float64}


def test_lbfgs_solves_a_linear_model_to_the_least_squares_solution() -> None:
    data = {"source": "synthetic", "kind": "linear", "rows": 200, "features": 4}
    ready = prepared(
        data=data, model={"widths": []}, optimizer="lbfgs", batch_size="all",
        precision="float64", epochs=20,
    )  # fmt: skip
    list(records(ready))
    rows = matrix(ready)
    ones = torch.ones(len(rows), 1, dtype=torch.float64)
    solution = torch.linalg.lstsq(torch.cat([rows.inputs, ones], 1), rows.target).solution
    (layer,) = ready.training.network.children()
    assert isinstance(layer, nn.Linear)
    torch.testing.assert_close(layer.weight[0], solution[:-1, 0], rtol=1e-5, atol=1e-6)


def test_early_stopping_waits_and_counts_from_the_last_improvement() -> None:
    ready = prepared(
        epochs=500,
        optimizer={"name": "sgd", "lr": 0.5},
        early_stopping={"patience": 5, "min_delta": 0.0},
    )
    seen = list(records(ready))
    assert len(seen) < 500
    best = min(range(len(seen)), key=lambda i: seen[i].val_loss)
    assert ready.training.best_epoch == best + 1
    assert len(seen) == best + 1 + 5
    assert [record.epoch for record in seen if record.improved][-1] == best + 1


def test_a_large_min_delta_ends_a_slow_run() -> None:
    ready = prepared(epochs=50, early_stopping={"patience": 3, "min_delta": 1e9})
    assert len(list(records(ready))) == 4


def test_the_monitored_metric_may_be_better_when_higher() -> None:
    ready = prepared(data=CLASSES, monitor="val_accuracy", epochs=8)
    seen = list(records(ready))
    best = max(record.metrics["accuracy"] for record in seen)
    first = next(record.epoch for record in seen if record.metrics["accuracy"] == best)
    assert ready.training.best_epoch == first


def test_the_training_loss_may_be_monitored() -> None:
    changes: dict[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.5}, "epochs": 200}
    ready = prepared(monitor="train_loss", early_stopping={"patience": 4}, **changes)
    seen = [record.train_loss for record in records(ready)]
    assert ready.training.best_epoch == seen.index(min(seen)) + 1
    assert len(seen) == ready.training.best_epoch + 4 < 200


def test_the_last_epoch_may_be_the_best() -> None:
    ready = prepared(monitor="last", optimizer={"name": "sgd", "lr": 0.5}, epochs=8)
    seen = list(records(ready))
    assert [record.improved for record in seen] == [True] * 8
    assert ready.training.best_epoch == 8
    assert min(seen, key=lambda record: record.val_loss).epoch < 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"early_stopping": {"patience": 2}},
            "early_stopping: got monitor: last, by which every epoch is better than the one before",
        ),
        ({"schedule": "plateau"}, "schedule: plateau follows what is monitored; got monitor: last"),
    ],
)
def test_nothing_waits_for_the_last_epoch_to_be_worse(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        prepared(monitor="last", **changes)
    assert caught.value.lines[0].startswith(f"config: {message}")


def test_plateau_hears_of_every_epoch() -> None:
    schedule = {"name": "plateau", "factor": 0.5, "patience": 0, "threshold": 0.0}
    ready = prepared(schedule=schedule, optimizer={"name": "sgd", "lr": 0.4}, epochs=12)
    seen = list(records(ready))
    expected, best, rate = [], math.inf, 0.4
    for record in seen:
        expected.append(rate)
        best, rate = (record.val_loss, rate) if record.val_loss < best else (best, rate / 2)
    assert [record.lr for record in seen] == pytest.approx(expected)
    assert expected[-1] < 0.4


def test_a_loss_that_is_no_number_ends_the_run_where_it_happened() -> None:
    ready = prepared(optimizer={"name": "sgd", "lr": 1e30}, epochs=3)
    with pytest.raises(Diverged, match=r"the loss of epoch 1, batch \d+ is (nan|inf)"):
        list(records(ready))


def test_an_epoch_that_is_broken_off_yields_nothing() -> None:
    steps = iter(range(3))

    def check() -> None:
        if next(steps, None) is None:
            raise TimeoutError

    ready = prepared()
    with pytest.raises(TimeoutError):
        list(records(ready, check=check))
    assert ready.training.epoch == 0


def test_a_consumer_that_stops_asking_stops_the_training() -> None:
    ready = prepared(epochs=1000)
    for record in records(ready):
        if record.epoch == 3:
            break
    assert ready.training.epoch == 3


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (7, 3), (9, 4), (10, 4), (10, 1), (5, 100)])
def test_batches_hold_every_row_once(rows: int, size: int) -> None:
    sizes = batch_sizes(rows, size)
    assert sum(sizes) == rows
    assert max(sizes) <= size + 1


@pytest.mark.parametrize(
    ("rows", "size", "sizes"),
    [(10, 4, [4, 4]), (9, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, [3]), (4, 4, [4])],
)
def test_a_last_batch_that_is_smaller_can_be_dropped(
    rows: int, size: int, sizes: list[int]
) -> None:
    """But for the only one."""
    assert batch_sizes(rows, size, drop_last=True) == sizes


def test_dropped_rows_count_for_nothing() -> None:
    sgd = {"name": "sgd", "lr": 0.1}
    ready = prepared(last_batch="drop", batch_size=100, optimizer=sgd, epochs=2)
    assert len(ready.rows["train"]) == 240
    ours = [record.train_loss for record in records(ready)]
    plain = prepared()
    model, scale = plain.training.network, float(plain.dataset.preprocess.target.scale)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch, mine in enumerate(ours, start=1):
        total = 0.0
        for inputs, target in [*batches(plain, epoch, 100)][:2]:
            loss = nn.functional.mse_loss(model(inputs), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / 2
        assert mine == pytest.approx(total * scale**2, rel=1e-5)


def test_in_sequence_batches_come_in_the_order_of_the_file() -> None:
    ready = prepared(sampling="sequential", batch_size=50, epochs=1)
    seen = []

    def look(batch: Batch) -> Batch:
        seen.append(batch.inputs.clone())
        return batch

    list(records(ready, settings=replace(ready.settings, augment=[look])))
    assert torch.equal(torch.cat(seen), matrix(ready).inputs)


def test_balanced_batches_show_a_rare_class_as_often_as_any() -> None:
    data = {**SMALL, "rows": 2000, "kind": "levels", "classes": 10}
    ready = prepared(data=data, sampling="balanced", epochs=1)
    rows = matrix(ready)
    rare = Matrix(rows.inputs, (rows.target == 0).long() + 2 * (rows.target == 1).long())
    ready.rows["train"] = rare  # classes of 80, 10 and 10 of a hundred rows
    seen = []

    def look(batch: Batch) -> Batch:
        seen.append(batch.target)
        return batch

    list(records(ready, settings=replace(ready.settings, augment=[look])))
    shares = torch.cat(seen).bincount(minlength=3) / len(rows)
    assert (shares - 1 / 3).abs().max() < 0.06


def mixture(shares: Tensor) -> Any:
    """An augmentation that mixes each row with the one before it, in these shares."""

    def mix(batch: Batch) -> Batch:
        share = shares[: len(batch.inputs)].to(batch.inputs)
        column = share.unsqueeze(1)
        inputs = column * batch.inputs + (1 - column) * batch.inputs.roll(1, 0)
        return Batch(inputs, batch.target, batch.target.roll(1, 0), share)

    return mix


@pytest.mark.parametrize("data", [SMALL, CLASSES], ids=["numbers", "classes"])
def test_the_loss_of_mixed_rows_is_mixed_in_the_same_shares(data: dict[str, Any]) -> None:
    """Of classes it is that of the mixed one-hot targets, of squares the mixture of two."""
    shares = torch.rand(40, generator=torch.Generator().manual_seed(0))
    ready = prepared(data=data, optimizer={"name": "sgd", "lr": 0.1}, epochs=2)
    ready.settings = replace(ready.settings, augment=[mixture(shares)])
    ours = [record.train_loss for record in records(ready)]
    theirs = []
    plain = prepared(data=data)
    model, scale = plain.training.network, float(plain.dataset.preprocess.target.scale[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in (1, 2):
        total = 0.0
        for inputs, target in batches(plain, epoch, 32):
            share = shares[: len(inputs)]
            column = share.unsqueeze(1)
            made = model(column * inputs + (1 - column) * inputs.roll(1, 0))
            if data is CLASSES:
                one_hot = nn.functional.one_hot(target, 3).float()
                mixed = column * one_hot + (1 - column) * one_hot.roll(1, 0)
                loss = nn.functional.cross_entropy(made, mixed)
            else:
                before = target.roll(1, 0)
                squares = column * (made - target) ** 2 + (1 - column) * (made - before) ** 2
                loss = squares.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
        theirs.append(total / len(plain.rows["train"]) * (1 if data is CLASSES else scale**2))
    assert ours == pytest.approx(theirs, rel=1e-4)
    for mine, other in zip(ready.training.network.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_rows_that_keep_all_of_their_own_are_not_mixed() -> None:
    ready, other = (prepared(epochs=1) for _ in range(2))
    ready.settings = replace(ready.settings, augment=[mixture(torch.ones(40))])
    (mixed,), (plain,) = records(ready), records(other)
    assert mixed.train_loss == pytest.approx(plain.train_loss, rel=1e-6)


def test_pixels_are_augmented_as_they_were_read_and_scaled_after() -> None:
    pixels = torch.randint(256, (240, 4), generator=torch.Generator().manual_seed(0)).byte()
    scaling = ArrayInputs.fit(pixels, "standard")
    scaled, raw = (prepared(epochs=2, optimizer={"name": "sgd", "lr": 0.1}) for _ in range(2))
    target = matrix(scaled).target
    raw.rows["train"] = Pixels(pixels // 2, target, scaling)

    def brighten(batch: Batch) -> Batch:
        assert batch.inputs.dtype == torch.uint8
        return replace(batch, inputs=batch.inputs * 2)

    raw.settings = replace(raw.settings, augment=[brighten])
    scaled.rows["train"] = Matrix(scaling(pixels // 2 * 2), target)
    ours, theirs = ([r.train_loss for r in records(ready)] for ready in (raw, scaled))
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_augmentations_are_done_in_turn() -> None:
    ready = prepared(epochs=1)
    turns = []

    def turn(number: int) -> Any:
        def change(batch: Batch) -> Batch:
            turns.append(number)
            return batch

        return change

    list(records(ready, settings=replace(ready.settings, augment=[turn(1), turn(2)])))
    assert turns == [1, 2] * len(batch_sizes(240, 32))


def test_batch_normalisation_survives_a_row_left_over() -> None:
    ready = prepared(model={"widths": [4], "normalization": "batch"}, batch_size=239, epochs=1)
    assert len(ready.rows["train"]) == 240
    (record,) = records(ready)
    assert math.isfinite(record.train_loss)


ACCUMULATED: dict[str, Any] = {
    "precision": "float64",
    "optimizer": {"name": "adamw", "lr": 0.02},
    "schedule": "cosine",
    "clip": {"norm": 0.1},
    "average": {"decay": 0.9},
}


@pytest.mark.parametrize("data", [SMALL, CLASSES], ids=["numbers", "classes"])
@pytest.mark.parametrize(("size", "batches"), [(20, 3), (7, 4), (7, 1000), (48, 5)])
def test_batches_make_the_step_of_one_large_batch(
    data: dict[str, Any], size: int, batches: int
) -> None:
    """Whatever is left over at the end of an epoch is a step as well."""
    several = prepared(data=data, batch_size=size, accumulate=batches, **ACCUMULATED)
    whole = prepared(data=data, batch_size=min(240, size * batches), **ACCUMULATED)
    ours, theirs = list(records(several)), list(records(whole))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.train_loss == pytest.approx(other.train_loss, rel=1e-9)
        assert mine.lr == pytest.approx(other.lr)
    for model in ("network", "model"):  # as it is, and averaged once a step
        pairs = zip(
            getattr(several.training, model).parameters(),
            getattr(whole.training, model).parameters(),
            strict=True,
        )
        for mine, other in pairs:
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-11)


def test_passages_of_different_lengths_count_by_their_tokens() -> None:
    """The gradient of batches is that of all their answers, whatever batch holds how many."""
    rows, loss = prepared().rows["train"], prepared(data=CLASSES).loss
    chance = torch.Generator().manual_seed(0)
    target = torch.randint(3, (6, 5), generator=chance)
    target[0, 1:] = target[3, 2:] = NOTHING
    inputs = torch.randn(6, 5, 4, generator=chance)
    grads = []
    for cut in (6, 2):
        network = nn.Linear(4, 3)
        nn.init.constant_(network.weight, 0.1)
        nn.init.zeros_(network.bias)
        parts = zip(inputs.split(cut), target.split(cut), strict=True)
        gradient = Gradient(network, list(network.parameters()), loss, rows)
        grads.append(gradient([Batch(*part) for part in parts])[1][0])
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-7)


def test_more_batches_than_there_are_is_warned_of() -> None:
    assert "accumulate 9 is all of an epoch's 8 batches" in opening.warnings(prepared(accumulate=9))
    assert opening.warnings(prepared(accumulate=8)) == []


def test_lbfgs_takes_a_step_a_batch() -> None:
    with pytest.raises(ConfigError, match="accumulate: lbfgs computes its own gradients"):
        prepared(optimizer="lbfgs", accumulate=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_gpu_ends_where_the_cpu_ends(precision: str) -> None:
    changes: dict[str, Any] = {"data": CLASSES, "precision": precision, "average": {"decay": 0.9}}
    losses = {
        device: [(r.train_loss, r.val_loss) for r in records(prepared(device=device, **changes))]
        for device in ("cpu", "cuda")
    }
    for cpu, gpu in zip(losses["cpu"], losses["cuda"], strict=True):
        assert gpu == pytest.approx(cpu, rel=1e-3 if precision == "float32" else 1e-9)
