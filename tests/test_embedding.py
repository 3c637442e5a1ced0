"""Embeddings: codes become vectors before any family of networks sees them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nnarch.data.inputs import Inputs
from nnarch.models import network as networks
from nnarch.models.embedding import ColumnEmbedding, embedded, embedding, width
from nnarch.validate import fill_component

OUTPUTS = 2
TOKENS = Inputs((6,), vocabulary=11)
COLUMNS = Inputs((5,), cardinalities=(3, 40))
PLAIN = Inputs((5,))


def filled(**options: Any) -> dict[str, Any]:
    spec, faults = fill_component("model", {"name": "mlp", **options}, ())
    assert not faults
    return spec


def samples(inputs: Inputs, rows: int = 80) -> Tensor:
    """Every code comes among them."""
    chance = torch.Generator().manual_seed(0)
    if inputs.vocabulary:
        return torch.arange(rows * inputs.shape[0]).view(rows, -1) % inputs.vocabulary
    made = torch.randn(rows, *inputs.shape, generator=chance)
    for place, size in enumerate(reversed(inputs.cardinalities), start=1):
        made[:, -place] = (torch.arange(rows) * size // rows).float()
    return made


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (TOKENS, (6, 32)),
        (
            COLUMNS,
            (3 + 3 + 13,),
        ),
        (PLAIN, (5,)),
    ],
    ids=str,
)
def test_the_shape_that_follows_is_told(inputs: Inputs, shape: tuple[int, ...]):
    assert embedded(inputs) == shape
    before = embedding(inputs)
    made = samples(inputs) if before is None else before(samples(inputs))
    assert made.shape == (80, *shape)


@pytest.mark.parametrize(
    ("categories", "numbers"), [(1, 2), (2, 2), (10, 6), (100, 21), (468, 50), (10**6, 50)]
)
def test_wide_columns_have_wide_vectors(categories: int, numbers: int):
    assert width(categories) == numbers


def test_a_row_is_its_numbers_and_the_vectors_of_its_codes():
    made = ColumnEmbedding((3, 40))
    first, second = made.tables
    assert isinstance(first, nn.Embedding)
    assert isinstance(second, nn.Embedding)
    rows = torch.tensor([[0.5, -1.0, 2.0, 39.0], [7.0, 8.0, 0.0, 0.0]])
    expected = torch.stack(
        [
            torch.cat([rows[0, :2], first.weight[2], second.weight[39]]),
            torch.cat([rows[1, :2], first.weight[0], second.weight[0]]),
        ]
    )
    assert torch.equal(made(rows), expected)


@pytest.mark.parametrize("inputs", [TOKENS, COLUMNS, PLAIN], ids=str)
def test_a_gradient_reaches_every_table_and_layer(inputs: Inputs):
    network = networks.make(filled(activation="gelu"), inputs, OUTPUTS, 0)
    made = network(samples(inputs))
    assert made.shape == (80, OUTPUTS)
    (made - 1).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # of every code, and every weight that its vector meets
        assert (parameter.grad.abs().sum(-1) > 0).all(), name


def test_without_codes_nothing_stands_before_the_network():
    assert embedding(PLAIN) is None
    made = networks.make(filled(widths=[4]), PLAIN, OUTPUTS, 0)
    assert list(made.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("inputs", [TOKENS, COLUMNS], ids=str)
def test_a_seed_decides_the_tables_and_the_rest_stays_as_without_them(inputs: Inputs):
    first, again, other = (networks.make(filled(), inputs, OUTPUTS, seed) for seed in (1, 1, 2))
    alone = networks.make(filled(), Inputs(embedded(inputs)), OUTPUTS, 1).state_dict()
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
        assert not torch.equal(value, other.state_dict()[name]), name
        if name.startswith("body."):
            assert torch.equal(value, alone[name.removeprefix("body.")]), name


@pytest.mark.parametrize("inputs", [TOKENS, COLUMNS], ids=str)
def test_the_tables_count_as_parameters(inputs: Inputs):
    network = networks.make(filled(), inputs, OUTPUTS, 0)
    found = networks.size(filled(), inputs, OUTPUTS)
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert found.flops == networks.size(filled(), Inputs(embedded(inputs)), OUTPUTS).flops


def test_tables_that_no_memory_holds_are_measured():
    found = networks.size(filled(widths=[]), Inputs((1,), cardinalities=(10**12,)), 1)
    assert found.parameters == 50 * 10**12 + 50 + 1
