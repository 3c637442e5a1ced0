"""The pure step: an ordinary step, that can also be traced, and taken by many networks at once."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from nnarch import config as configs
from nnarch import experiment
from nnarch.data.batch import Batch
from nnarch.engine.eager import Eager
from nnarch.engine.purestep import Moving, PureStep
from nnarch.experiment import Experiment
from nnarch.freezing import set_to_train
from nnarch.optim.stepper import Stepper
from nnarch.registry import losses, optimizers
from nnarch.training import augmented

NUMBERS = {"source": "synthetic", "rows": 120, "features": 4, "noise": 0.5}
CLASSES = {"source": "synthetic", "kind": "blobs", "rows": 120, "features": 4, "classes": 3}
TWO = {**CLASSES, "classes": 2}
DIGITS = {"source": "sklearn", "dataset": "digits", "images": True}
WAVES = {"source": "waves", "steps": 120, "lookback": 12, "horizon": 2}
NORMALIZED = {"model": {"widths": [6, 5], "normalization": "batch"}, "optimizer": "sgd"}
BASE: dict[str, Any] = {
    "data": NUMBERS,
    "model": {"widths": [6, 5]},
    "batch_size": 16,
    "threads": 1,
}
STEPS = 4
OURS = [each.name for each in optimizers if not each.facts.get("closure") and each.name != "muon"]
WHATEVER: dict[str, dict[str, Any]] = {
    "buffers": NORMALIZED,
    "dropout": {"model": {"widths": [6, 5], "dropout": 0.3}},
    "convolutions": {"data": DIGITS, "model": {"name": "cnn", "widths": [4]}},
    "attention": {"model": {"name": "ft_transformer", "width": 8, "depth": 1, "heads": 2}},
    "ensemble": {"model": {"name": "tabm", "widths": [8], "members": 3}},
    "recurrent": {"data": WAVES, "model": {"name": "rnn", "width": 6}},
    "clip": {"clip": {"norm": 0.5, "value": 0.1}},
    "freeze": {"freeze": ["biases", "0.*"]},
    "groups": {"optimizer": {"name": "adam", "groups": [{"match": "biases", "lr": 0.1}]}},
    "momentum": {"optimizer": {"name": "sgd", "momentum": 0.9, "dampening": 0.1, "lr": 0.1}},
    "mixed rows": {"data": DIGITS, "augment": ["flip", "mixup"]},
    "large parameters": {"model": {"widths": [150, 150]}, "optimizer": "adafactor"},
    "class weights": {"data": CLASSES, "loss": {"name": "multi_margin", "p": 2}},
}
EXACT = {"precision": "float64"}


def prepared(changes: dict[str, Any]) -> tuple[Experiment, list[list[Tensor]]]:
    """An experiment and its first batches."""
    ready = experiment.prepare(configs.load({**BASE, **changes}))
    set_to_train(ready.training.network)
    torch.manual_seed(1)
    size = ready.settings.batch_size
    batches = ready.rows["train"].epoch([size] * STEPS, 0, 1, "shuffled")
    return ready, [parts(augmented(batch, ready.settings.augment)) for batch in batches]


def parts(batch: Batch) -> list[Tensor]:
    return [each for each in vars(batch).values() if each is not None]


def pure(ready: Experiment, batch: Sequence[Tensor]) -> PureStep:
    gradient = ready.stepping(ready.training).gradient
    optimizer = ready.training.optimizer
    assert isinstance(optimizer, Stepper)
    optimizer.settle(gradient([Batch(*batch)])[1])
    return PureStep(gradient, optimizer)


def check(changes: dict[str, Any], rtol: float, atol: float) -> None:
    """Pure steps come to the losses, network and state that ordinary ones come to."""
    ready, batches = prepared(changes)
    reference, _ = prepared(changes)
    step, ours, theirs = pure(ready, batches[0]), [], []
    for name, buffer in ready.training.network.named_buffers():  # settled with a batch
        buffer.copy_(reference.training.network.get_buffer(name))
    torch.manual_seed(2)
    moving = step.now()
    for batch in batches:
        moving, values = step(moving, step.hypers, batch)
        ours.append(values)
    step.keep(moving.tensors)
    torch.manual_seed(2)
    gradient = reference.stepping(reference.training).gradient
    eager = Eager(gradient, reference.training.optimizer)
    for batch in batches:
        theirs += [made.values for made in eager([Batch(*batch)])]
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)
    one, other = ready.training.state(), reference.training.state()
    for part in ("network", "optimizer"):
        torch.testing.assert_close(one[part], other[part], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", OURS)
def test_any_rule_takes_the_steps_that_it_takes_in_place(name: str) -> None:
    check({"optimizer": name, **EXACT}, 1e-10, 1e-12)


@pytest.mark.parametrize("loss", [each.name for each in losses])
def test_any_loss_has_the_same_gradient(loss: str) -> None:
    data = {"regression": NUMBERS, "binary": TWO, "multiclass": CLASSES}
    kind = next(kind for kind in losses.get(loss).facts["tasks"] if kind in data)
    counts = kind == "regression" and not losses.get(loss).facts["standardize"]
    chosen = {"source": "sklearn", "dataset": "diabetes"} if counts else data[kind]
    optimizer = {"name": "sgd", "lr": 1e-4}
    check({"data": chosen, "loss": loss, "optimizer": optimizer, **EXACT}, 1e-10, 1e-12)


@pytest.mark.parametrize("changes", WHATEVER.values(), ids=WHATEVER)
def test_whatever_a_step_is_made_of_it_is_the_same(changes: dict[str, Any]) -> None:
    check({**changes, **EXACT}, 1e-10, 1e-12)
    check(changes, 1e-4, 1e-5)


def test_bf16_is_that_of_ordinary_steps() -> None:
    check({"precision": "bf16"}, 1e-5, 1e-5)


def test_nothing_that_is_given_changes() -> None:
    ready, batches = prepared({**NORMALIZED, "optimizer": "adamw"})
    step = pure(ready, batches[0])
    moving, network = step.now(), ready.training.network
    given = [*moving.tensors, *batches[0], *network.state_dict().values()]
    before = [each.clone() for each in given]
    after, _ = step(moving, step.hypers, batches[0])
    assert all(map(torch.equal, given, before))
    assert not any(map(torch.equal, after.tensors, moving.tensors))
    assert all(each.grad is None for each in network.parameters())


def members(step: PureStep, count: int) -> tuple[list[Moving], list[list[dict[str, Tensor]]]]:
    """Networks with weights and rates of their own."""
    moving, movings, hypers = step.now(), [], []
    for number in range(1, count + 1):
        weights = [weight * number for weight in moving.weights]
        movings.append(moving._replace(weights=weights))
        numbers = [{**group, "lr": group["lr"] * number} for group in step.hypers]
        exact = pytree.tree_map(lambda value: torch.tensor(value, dtype=torch.float64), numbers)
        hypers.append(exact)
    return movings, hypers


def stacked(trees: Sequence[Any]) -> Any:
    return pytree.tree_map(lambda *leaves: torch.stack(leaves), *trees)


@pytest.mark.parametrize("name", OURS)
def test_many_networks_take_their_steps_at_once(name: str) -> None:
    """Under vmap each goes where it would have gone alone."""
    ready, batches = prepared({"optimizer": name, **EXACT})
    step = pure(ready, batches[0])
    movings, hypers = members(step, 3)
    together, numbers = stacked(movings), stacked(hypers)
    alike = torch.func.vmap(step, in_dims=(0, 0, None))
    for batch in batches:
        together, values = alike(together, numbers, batch)
        alone = [step(*each, batch) for each in zip(movings, hypers, strict=True)]
        movings = [moving for moving, _ in alone]
        torch.testing.assert_close(values, torch.stack([each for _, each in alone]))
    torch.testing.assert_close(together, stacked(movings), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", ["buffers", "convolutions", "clip"])
def test_many_networks_learn_from_batches_of_their_own(case: str) -> None:
    ready, batches = prepared({"optimizer": "sgd", **WHATEVER[case], **EXACT})
    step = pure(ready, batches[0])
    movings, hypers = members(step, 3)
    alike = torch.func.vmap(step)
    together, _ = alike(stacked(movings), stacked(hypers), stacked(batches[:3]))
    alone = [step(*each)[0] for each in zip(movings, hypers, batches, strict=False)]
    torch.testing.assert_close(together, stacked(alone), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adamw", "radam"])
def test_a_traced_step_is_the_same_on_other_numbers(name: str) -> None:
    ready, batches = prepared({"optimizer": name, **EXACT})
    step = pure(ready, batches[0])
    (moving, other), hypers = members(step, 2)
    given, form = pytree.tree_flatten((moving, hypers[0], batches[0]))

    def flat(*given: Tensor) -> list[Tensor]:
        after, values = step(*pytree.tree_unflatten(given, form))
        return [*after.tensors, values]

    traced = make_fx(flat)(*given)
    of_others = pytree.tree_leaves((other, hypers[1], batches[1]))
    torch.testing.assert_close(traced(*of_others), flat(*of_others), rtol=1e-12, atol=1e-14)
