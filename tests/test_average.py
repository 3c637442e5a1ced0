"""The moving average of weights against torch's own, state and all."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nnarch.average import Average


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def moved(net: nn.Module, seed: int) -> None:
    """A step anywhere, and rows that a normalization has seen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)
        net(torch.randn(8, 3, generator=generator))


def test_it_follows_as_torch_s_does() -> None:
    net = network()
    ours, theirs = Average(net, 0.9), AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for step in range(5):
        moved(net, step)
        ours.follow(net)
        theirs.update_parameters(net)
    state, expected = ours.state_dict(), theirs.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


def test_it_goes_on_from_its_state() -> None:
    net = network()
    whole, first = Average(net, 0.9), Average(net, 0.9)
    moved(net, 0)
    whole.follow(net)
    first.follow(net)
    again = Average(net, 0.9)
    again.load_state_dict(first.state_dict())
    moved(net, 1)
    whole.follow(net)
    again.follow(net)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())
