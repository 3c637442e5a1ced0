"""An ensemble in one network: each member a network of its own, its answers averaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nnarch
from nnarch.data.batch import of_each_member
from nnarch.data.inputs import Inputs
from nnarch.models import network as networks
from nnarch.validate import fill_component

MEMBERS, WIDTHS = 3, [6, 5]


def network(outputs: int = 2, **options: Any) -> Any:
    given = {"name": "tabm", "members": MEMBERS, "widths": WIDTHS, **options}
    spec, faults = fill_component("model", given, ())
    assert not faults
    return networks.make(spec, Inputs((4,)), outputs, seed=0)


def linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def member(whole: Any, number: int) -> nn.Module:
    """The multilayer perceptron that one member of a TabM is, with weights of its own."""
    layers: list[nn.Module] = []
    for place in (1, 4):
        shared, one = whole[place].shared.weight, whole[place]
        weight = one.after[number][:, None] * shared * one.before[number][None, :]
        layers += [linear(weight, one.bias[number]), nn.ReLU()]
    heads = whole[-1]
    return nn.Sequential(*layers, linear(heads.weight[number].T, heads.bias[number]))


def test_a_member_is_a_network_of_its_own() -> None:
    whole = network(dropout=0.1).eval()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    rows = torch.randn(7, 4)
    made = whole(rows)
    assert made.shape == (7, MEMBERS, 2)
    for number in range(MEMBERS):
        torch.testing.assert_close(member(whole, number)(rows), made[:, number])


def test_the_members_differ_from_the_start_by_their_signs_biases_and_heads() -> None:
    first = network()[1].before
    assert set(first.unique().tolist()) == {-1.0, 1.0}
    made = network().eval()(torch.randn(5, 4))
    assert not torch.allclose(made[:, 0], made[:, 1])


def test_it_has_the_parameters_of_the_paper_s_layers() -> None:
    layer = lambda k, i, o: i * o + k * (i + 2 * o)  # noqa: E731  shared weight, r, s and bias
    counted = sum(parameter.numel() for parameter in network(outputs=1).parameters())
    heads = MEMBERS * (5 + 1)
    assert counted == layer(MEMBERS, 4, 6) + layer(MEMBERS, 6, 5) + heads


def test_every_member_answers_for_the_same_target() -> None:
    outputs, target = torch.randn(2, 3, 5), torch.tensor([4, 1])
    made, repeated = of_each_member(outputs, target)
    assert made.shape == (6, 5)
    assert repeated.tolist() == [4, 4, 4, 1, 1, 1]
    flat = torch.randn(2, 5)
    assert of_each_member(flat, target) == (flat, target)


@pytest.mark.parametrize("dataset", ["diabetes", "wine", "breast_cancer"])
def test_a_run_answers_with_the_mean_of_its_members(dataset: str, tmp_path: Path) -> None:
    config = {
        "data": {"source": "sklearn", "dataset": dataset},
        "model": {"name": "tabm", "members": 4, "widths": [8]},
        "epochs": 3,
    }
    run = nnarch.train(config, runs_dir=tmp_path)
    measured = nnarch.evaluate(run)
    for name, value in run.about["results"]["test"].items():
        assert measured[name] == pytest.approx(value)
    trained = nnarch.load(run)
    rows = np.random.default_rng(0).normal(size=(5, len(trained.input_names))) * 50
    inputs = trained.preprocess.inputs(torch.from_numpy(rows)).float()
    with torch.no_grad():
        members = [trained.loss.predict(made) for made in trained.network(inputs).unbind(1)]
    mean = torch.stack(members).mean(0)
    if dataset == "diabetes":
        expected = trained.preprocess.target.inverse(mean)[:, 0].numpy()
        assert trained.predict(rows) == pytest.approx(expected, rel=1e-5)
    else:
        assert trained.predict_proba(rows) == pytest.approx(mean.numpy(), rel=1e-5)


def test_its_list_of_layers_trains_to_the_same_bits(tmp_path: Path) -> None:
    data = {"source": "sklearn", "dataset": "wine"}
    model = {"name": "tabm", "members": 4, "widths": [8], "mini": True, "bins": 5}
    family = nnarch.train({"data": data, "model": model, "epochs": 2}, runs_dir=tmp_path)
    spec, _ = fill_component("model", model, ())
    written = networks.expanded(spec, Inputs((13,)), 3)
    assert written is not None
    listed = nnarch.train({"data": data, "model": written, "epochs": 2}, runs_dir=tmp_path)
    one, other = (run.load_checkpoint("last").tensors for run in (family, listed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
