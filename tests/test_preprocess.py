"""What stands before and behind a network: fitted on training samples, whole in spec and state."""

import copy
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from nnarch.data.preprocessing.features import Feature
from nnarch.data.preprocessing.preprocess import (
    ArrayInputs,
    Preprocess,
    SeriesInputs,
    TableInputs,
    Target,
    TokenInputs,
)
from nnarch.data.preprocessing.statistics import describe
from nnarch.data.table import numeric
from nnarch.errors import DataError


def images(count: int = 40, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.randint(0, 100, (count, 3, 5, 4), generator=generator)
    return (made + torch.tensor([0, 50, 155]).view(3, 1, 1)).to(torch.uint8)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 1e9 + 1e9


def table() -> TableInputs:
    rows, columns = numbers(50, 3), numeric(["a", "b", "c"])
    features = [Feature(column.name, "numeric") for column in columns]
    options = {"missing": "median", "scaling": "quantile", "categories": "one_hot"}
    return TableInputs.fit(features, describe(rows, columns), options)


INPUTS: dict[str, tuple[Any, torch.Tensor]] = {
    "table": (table(), numbers(5, 3)),
    "array": (ArrayInputs.fit(images(), "standard"), images(5, 1)),
    "tokens": (TokenInputs(["", "a", "b"], 4), torch.tensor([[0, 0, 1, 2]])),
    "series": (SeriesInputs.fit(numbers(30, 2), ["u", "v"], 6, "standard"), numbers(5, 6, 2)),
}


def make(kind: str = "table") -> Preprocess:
    target = Target(2)
    target.fit(numbers(50, 2) / 3, "standard", "log1p")
    return Preprocess(copy.deepcopy(INPUTS[kind][0]), target)


@pytest.mark.parametrize("kind", INPUTS)
def test_spec_and_state_say_all(kind: str):
    preprocess, samples = make(kind), INPUTS[kind][1]
    again = Preprocess.from_spec(json.loads(json.dumps(preprocess.spec)))
    again.load_state_dict(load(save(preprocess.state_dict())))
    assert again.spec == preprocess.spec
    for name in ("kind", "names", "shape", "cardinalities", "vocabulary"):
        assert getattr(again.inputs, name) == getattr(preprocess.inputs, name), name
    assert torch.equal(again.inputs(samples), preprocess.inputs(samples))
    assert preprocess.inputs(samples)[0].shape == preprocess.inputs.shape
    target = numbers(4, 2)
    assert torch.equal(again.target(target), preprocess.target(target))
    assert torch.equal(again.target.inverse(target / 1e9), preprocess.target.inverse(target / 1e9))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("move", [torch.nn.Module.float, torch.nn.Module.half])
def test_a_module_around_it_cannot_make_it_coarser(kind: str, move: Any):
    """Whoever moves a loaded model to another number type means the network."""
    preprocess = make(kind)
    before = copy.deepcopy(preprocess.state_dict())
    around = move(torch.nn.Sequential(torch.nn.Linear(3, 2), preprocess))
    assert around[0].weight.dtype != torch.float64
    for name, value in around[1].state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("kind", INPUTS)
def test_nothing_of_it_is_learnt(kind: str):
    assert list(make(kind).parameters()) == []


NONSENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "a kind that there is not": ("table", {"kind": "pictures"}),
    "no kind": ("table", {"kind": []}),
    "a negative size": ("array", {"shape": [-3, 5, 4]}),
    "an image larger than memory": ("array", {"shape": [10**15]}),
    "sizes that are words": ("array", {"shape": ["3"]}),
    "a series without channels": ("series", {"names": []}),
    "quantiles beyond memory": ("series", {"scaling": "quantile", "quantiles": 10**12}),
    "no vocabulary": ("tokens", {"tokens": []}),
    "a length that is none": ("tokens", {"length": 0}),
    "an option of another time": ("array", {"brightness": 2}),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_a_spec_that_is_none(case: str):
    kind, change = NONSENSE[case]
    spec = make(kind).spec
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's words)
        Preprocess.from_spec({**spec, "inputs": {**spec["inputs"], **change}})


@pytest.mark.parametrize(
    "spec",
    [{}, {"inputs": None, "target": None}, {"inputs": {}, "target": {}}, {"inputs": 3}],
    ids=str,
)
def test_what_is_no_spec_at_all(spec: Any):
    with pytest.raises(ValueError, match="no preprocessing can be made of this"):
        Preprocess.from_spec(spec)


@pytest.mark.parametrize("target", [{"targets": 10**12}, {"transform": "cube"}, {"targets": "1"}])
def test_a_target_that_is_none(target: dict[str, Any]):
    spec = make().spec
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's words)
        Preprocess.from_spec({**spec, "target": {**spec["target"], **target}})


def test_images_are_scaled_by_channel():
    train, other = images(), images(10, 1)
    unit = train.double() / 255
    mean, deviation = (how((0, 2, 3), keepdim=True) for how in (unit.mean, unit.std))
    deviation = unit.sub(mean).square().mean((0, 2, 3), keepdim=True).sqrt()
    scaled = ArrayInputs.fit(train, "standard")(other, torch.float64)
    torch.testing.assert_close(scaled, (other.double() / 255 - mean) / deviation)
    assert ArrayInputs.fit(train, "standard").shape == (3, 5, 4)


def test_images_to_0_and_1():
    train, other = images(), images(10, 1).double()
    low, high = (how((0, 2, 3)).double().view(3, 1, 1) for how in (train.amin, train.amax))
    scaled = ArrayInputs.fit(train, "minmax")(other)
    torch.testing.assert_close(scaled, (other - low) / (high - low))
    torch.testing.assert_close(ArrayInputs.fit(train, "none")(other), other / 255)


@pytest.mark.parametrize("shape", [(7,), (), (4, 6), (2, 3, 4, 5)])
@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
def test_samples_of_another_shape_are_scaled_as_one(shape: tuple[int, ...], scaling: str):
    train, other = numbers(20, *shape), numbers(9, *shape, seed=1)
    made = ArrayInputs.fit(train, scaling)
    ways = {
        "standard": (train.mean(), train.std(correction=0)),
        "minmax": (train.min(), train.max() - train.min()),
        "none": (0.0, 1.0),
    }
    offset, scale = ways[scaling]
    torch.testing.assert_close(made(other), (other - offset) / scale)
    assert made.shape == shape


def test_blocks_of_samples_are_as_good_as_the_whole():
    whole = ArrayInputs.fit(images(), "standard")
    blocks = ArrayInputs.fit(iter(images().split(7)), "standard")
    assert torch.equal(whole.offset, blocks.offset)
    assert torch.equal(whole.scale, blocks.scale)


def test_a_constant_channel_becomes_zero():
    train = images()
    train[:, 1] = 7
    assert (ArrayInputs.fit(train, "standard")(train)[:, 1] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_samples_keep_their_number_type(dtype: torch.dtype):
    made = ArrayInputs.fit(images(), "standard")
    exact = made(images(5), torch.float64)
    assert made(images(5)).dtype == torch.float32
    assert made(images(5).to(dtype)).dtype == dtype
    assert made(images(5), dtype).dtype == dtype
    torch.testing.assert_close(made(images(5), dtype).double(), exact, rtol=0, atol=5e-3)


def test_samples_far_beyond_training_stay_finite():
    made = ArrayInputs.fit(torch.tensor([[1.0], [1.001]]), "standard")
    assert made(torch.tensor([[3e38], [-3e38]])).isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_samples_are_scaled_where_they_are():
    made = ArrayInputs.fit(images(), "standard")
    torch.testing.assert_close(made(images(5).cuda()).cpu(), made(images(5)))


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile", "minmax", "none"])
def test_series_are_scaled_by_channel(scaling: str):
    steps = numbers(400, 3)
    made = SeriesInputs.fit(steps, ["a", "b", "c"], 24, scaling)
    windows = steps.unfold(0, 24, 10).transpose(1, 2)
    assert made(windows).shape[1:] == made.shape == (24, 3)
    assert torch.equal(made(windows), made(steps).unfold(0, 24, 10).transpose(1, 2))
    for channel in range(3):
        alone = SeriesInputs.fit(steps[:, [channel]], ["a"], 24, scaling)
        torch.testing.assert_close(alone(steps[:, [channel]]), made(steps)[:, [channel]])


def test_tokens_are_left_as_they_are():
    made, tokens = INPUTS["tokens"]
    assert made(tokens) is tokens
    assert (made.vocabulary, made.shape) == (3, (4,))


def test_a_target_by_hand():
    target = Target(1)
    target.fit(torch.tensor([[1.0], [3.0], [5.0], [7.0]]))
    assert (target.mean.tolist(), target.scale.tolist()) == ([4.0], [5**0.5])
    assert target(torch.tensor([[4.0]])).tolist() == [[0.0]]


def test_a_target_left_as_it_is():
    target, rows = Target(2), numbers(5, 2)
    target.fit(numbers(50, 2), "none")
    assert torch.equal(target(rows), rows)
    assert torch.equal(target.inverse(rows), rows)


@given(st.lists(st.floats(-0.99, 1e6), min_size=2, max_size=30))
def test_the_logarithm_of_a_target(values: list[float]):
    rows = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
    target = Target(1)
    target.fit(rows, "standard", "log1p")
    logarithms = np.log1p(values)
    assert float(target.mean) == pytest.approx(logarithms.mean(), abs=1e-9)
    if logarithms.std() > 1e-6:
        assert float(target.scale) == pytest.approx(logarithms.std())
    torch.testing.assert_close(target.inverse(target(rows)), rows, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("worst", [-1.0, -5.0])
def test_a_logarithm_that_there_is_not(worst: float):
    rows = torch.tensor([[0.5], [worst], [float("nan")]]).double()
    message = f"data.target_transform: log1p takes targets above -1; got {worst:g}"
    with pytest.raises(DataError, match=f"^{message}$"):
        Target(1).fit(rows, "standard", "log1p")
    fine = Target(1)
    fine.fit(rows[:1], "standard", "log1p")
    with pytest.raises(DataError, match=f"^{message}$"):
        fine(rows)


def test_targets_that_are_missing_count_for_nothing():
    rows = numbers(20, 2)
    holes = torch.cat([rows, torch.full((3, 2), float("nan"), dtype=torch.float64)])
    one, other = Target(2), Target(2)
    one.fit(rows)
    other.fit(holes)
    torch.testing.assert_close(other.mean, one.mean)
    torch.testing.assert_close(other.scale, one.scale)


def test_a_target_for_each_step_ahead():
    target = make().target
    steps = numbers(4, 6)
    expected = torch.cat([target(piece) for piece in steps.split(2, 1)], 1)
    assert torch.equal(target.repeated(3)(steps), expected)
    assert torch.equal(target.repeated(3).first(2)(steps[:, :2]), expected[:, :2])
    assert target.repeated(3).spec == {"targets": 6, "transform": "log1p"}
