"""Augmentations: each does what its name says, to each row by a draw of its own, and no more."""

import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nnarch.data import augmentations as module
from nnarch.data.augmentations import crop, cutout, flip, mixup, noise, rotate, shift
from nnarch.data.batch import Augmentation, Batch
from nnarch.errors import ConfigError
from nnarch.registry import augmentations

BUILDERS: list[Callable[..., Augmentation]] = [shift, flip, crop, rotate, cutout, noise, mixup]
OF_IMAGES = BUILDERS[:5]
KINDS = [torch.uint8, torch.float32, torch.float64]


def images(rows: int = 64, kind: torch.dtype = torch.uint8, channels: int = 3) -> Tensor:
    """Pixels that differ from their neighbours and from 0; (rows, channels, 9, 12)."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(1, 256, (rows, channels, 9, 12), generator=generator)
    return drawn.to(kind) if kind == torch.uint8 else drawn.to(kind) / 255


def batch(inputs: Tensor) -> Batch:
    return Batch(inputs, torch.arange(len(inputs)))


def augmented(augmentation: Augmentation, inputs: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return augmentation(batch(inputs)).inputs


# What holds for all of them


def test_all_are_registered_and_explained():
    assert {one.name for one in augmentations} >= {builder.__name__ for builder in BUILDERS}
    for builder in BUILDERS:
        component = augmentations.get(builder.__name__)
        assert component.facts["images"] == (builder in OF_IMAGES)
        assert all(field.description for field in component.schema.model_fields.values())


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_shape_and_type_are_kept_and_the_batch_is_left_alone(
    builder: Callable[..., Augmentation], kind: torch.dtype
):
    inputs = images(kind=kind)
    before = inputs.clone()
    after = augmented(builder(), inputs)
    assert after.shape == inputs.shape
    assert after.dtype == (torch.float32 if (builder, kind) == (mixup, torch.uint8) else kind)
    assert torch.equal(inputs, before)
    assert not torch.equal(after.to(kind), inputs)


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_seed_makes_it_repeatable(builder: Callable[..., Augmentation]):
    inputs = images()
    once, again = (augmented(builder(), inputs, seed=3) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, augmented(builder(), inputs, seed=4))


@pytest.mark.parametrize("builder", BUILDERS)
def test_rows_have_draws_of_their_own(builder: Callable[..., Augmentation]):
    same = images(1).expand(64, -1, -1, -1)
    if builder is mixup:
        same = torch.cat([same[:32], 255 - same[32:]])
    after = augmented(builder(), same)
    assert len(after.flatten(1).unique(dim=0)) > 1


@pytest.mark.parametrize("builder", [*OF_IMAGES, noise])
def test_targets_stay(builder: Callable[..., Augmentation]):
    done = builder()(batch(images()))
    assert torch.equal(done.target, torch.arange(64))
    assert (done.other, done.share) == (None, None)


@pytest.mark.parametrize("builder", OF_IMAGES)
def test_what_is_for_images_says_so(builder: Callable[..., Augmentation]):
    with pytest.raises(ConfigError, match=rf"{builder.__name__} is for images.*the shape \(7,\)"):
        builder()(batch(torch.zeros(5, 7)))


@pytest.mark.parametrize("builder", [noise, mixup])
def test_what_is_for_numbers_says_so(builder: Callable[..., Augmentation]):
    with pytest.raises(ConfigError, match="is for numbers"):
        builder()(batch(torch.zeros(5, 7, dtype=torch.int64)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("builder", BUILDERS)
def test_on_a_gpu(builder: Callable[..., Augmentation]):
    inputs = images().cuda()
    once, again = (augmented(builder(), inputs, seed=3) for _ in range(2))
    assert once.is_cuda
    assert torch.equal(once, again)
    assert once.shape == inputs.shape


# What each of them does


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """An image (channels, height, width) padded by zeros on all sides, and cut out again."""
    _, height, width = image.shape
    border = 20
    padded = np.pad(image, ((0, 0), (border, border), (border, border)))
    top, left = border - down, border - right
    return padded[:, top : top + height, left : left + width]


@pytest.mark.parametrize("builder", [shift, crop])
@given(farthest=st.integers(1, 20), seed=st.integers(0, 100))
def test_shift_and_crop_move_by_the_offsets_drawn(
    builder: Callable[..., Augmentation], farthest: int, seed: int
):
    inputs = images(8)
    option = next(iter(inspect.signature(builder).parameters))
    after = augmented(builder(**{option: farthest}), inputs, seed)
    torch.manual_seed(seed)
    down, right = torch.randint(-farthest, farthest + 1, (2, 8, 1)).squeeze(2).tolist()
    expected = [moved(*one) for one in zip(inputs.numpy(), down, right, strict=True)]
    assert np.array_equal(after.numpy(), expected)


def test_every_offset_is_drawn():
    marked = torch.zeros(2000, 1, 5, 5)
    marked[:, :, 2, 2] = 1
    places = augmented(shift(pixels=2), marked).flatten(1).argmax(1)
    assert places.bincount(minlength=25).min() > 40  # of 80 to be expected


@pytest.mark.parametrize(
    ("direction", "sides"),
    [("horizontal", [[3]]), ("vertical", [[2]]), ("both", [[2], [3], [2, 3]])],
)
def test_flip_mirrors_the_share_asked_for(direction: str, sides: list[list[int]]):
    inputs = images(1000, channels=1)
    after = augmented(flip(direction=direction, chance=0.3), inputs)  # type: ignore[arg-type]
    chance = {1: 0.3, 3: 0.21}[len(sides)]
    for side in sides:
        share = (after == inputs.flip(side)).flatten(1).all(1).double().mean()
        assert float(share) == pytest.approx(0.09 if len(side) == 2 else chance, abs=0.04)
    unchanged = (after == inputs).flatten(1).all(1).double().mean()
    assert float(unchanged) == pytest.approx(0.49 if len(sides) == 3 else 0.7, abs=0.04)


def test_chances_of_none_and_all():
    inputs = images()
    assert torch.equal(augmented(flip(chance=0), inputs), inputs)
    assert torch.equal(augmented(flip(chance=1), inputs), inputs.flip(3))
    assert torch.equal(augmented(cutout(chance=0), inputs), inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_turn_changes_nothing(kind: torch.dtype):
    inputs = images(kind=kind)
    after = augmented(rotate(degrees=1e-4), inputs)
    torch.testing.assert_close(after, inputs, rtol=0, atol=1e-3)


def test_rotate_turns_by_the_angle_drawn_in_pixels_of_equal_sides():
    """A spot right of the centre of a wide image goes to the same distance at the angle drawn."""
    height, width, radius = 41, 61, 15
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    spot = torch.exp(-((rows - 20) ** 2 + (columns - 30 - radius) ** 2) / 8)
    inputs = spot.expand(50, 1, -1, -1).double()
    after = augmented(rotate(degrees=90), inputs)[:, 0]
    mass = after.sum((1, 2))
    down = (after * rows).sum((1, 2)) / mass - 20
    right = (after * columns).sum((1, 2)) / mass - 30
    torch.testing.assert_close(
        down.hypot(right), torch.full((50,), 15.0).double(), rtol=0.01, atol=0
    )
    torch.manual_seed(0)
    drawn = (2 * torch.rand(50) - 1) * math.pi / 2
    angle = torch.atan2(-down, right)  # against the clock
    torch.testing.assert_close(angle.float(), drawn, rtol=0, atol=0.02)


def test_corners_that_a_turn_brings_in_are_empty():
    after = augmented(rotate(degrees=45), torch.full((20, 1, 9, 9), 255, dtype=torch.uint8))
    assert (after[:, :, 4, 4] == 255).all()
    assert (after == 0).flatten(1).any(1).sum() > 10


def test_cutout_leaves_one_square_of_zeros():
    inputs = images()
    after = augmented(cutout(size=4), inputs)
    hole = after == 0
    assert torch.equal(after[~hole], inputs[~hole])
    assert torch.equal(hole.all(1), hole.any(1))  # the same in all channels
    heights = hole[:, 0].any(2).sum(1)
    widths = hole[:, 0].any(1).sum(1)
    assert torch.equal(hole[:, 0].sum((1, 2)), heights * widths)
    assert int(heights.max()) == int(widths.max()) == 4
    assert int(heights.min()) >= 2  # at an edge half of it lies outside


def test_noise_has_its_deviation_for_inputs_of_any_shape():
    inputs = torch.full((200, 50), 3.0, dtype=torch.float64)
    drawn = augmented(noise(deviation=0.5), inputs) - inputs
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.02)
    grey = torch.full((200, 1, 5, 10), 128, dtype=torch.uint8)
    drawn = augmented(noise(deviation=0.1), grey).double() - 128
    assert float(drawn.std()) == pytest.approx(25.5, rel=0.02)
    edge = augmented(noise(deviation=0.1), torch.zeros(200, 50, dtype=torch.uint8))
    assert int(edge.max()) < 255 // 2  # not -1 taken for 255


# Mixing


def test_mixup_mixes_inputs_in_the_shares_it_tells():
    inputs = torch.randn(32, 3, 4, 5, generator=torch.Generator().manual_seed(0)).double()
    target = torch.arange(32) * 10
    torch.manual_seed(1)
    done = mixup(alpha=1.0)(Batch(inputs, target))
    assert done.other is not None
    assert done.share is not None
    assert torch.equal(done.target, target)
    assert sorted(done.other.tolist()) == target.tolist()
    assert done.share.shape == (32,)
    share = done.share.view(-1, 1, 1, 1)
    expected = share * inputs + (1 - share) * inputs[done.other // 10]
    torch.testing.assert_close(done.inputs, expected)


def test_a_mixed_loss_is_the_loss_of_mixed_classes():
    """Cross-entropy is linear in the target, so that shares may be taken outside of it."""
    torch.manual_seed(0)
    inputs, target = torch.randn(16, 5), torch.randint(5, (16,))
    done = mixup()(Batch(inputs, target))
    assert done.other is not None
    assert done.share is not None
    hot = torch.nn.functional.one_hot(target, 5), torch.nn.functional.one_hot(done.other, 5)
    soft = done.share[:, None] * hot[0] + (1 - done.share[:, None]) * hot[1]
    loss = torch.nn.CrossEntropyLoss(reduction="none")
    shared = done.share * loss(inputs, target) + (1 - done.share) * loss(inputs, done.other)
    torch.testing.assert_close(shared, loss(inputs, soft))


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 8.0])
def test_shares_follow_their_distribution(alpha: float):
    torch.manual_seed(0)
    share = module._beta(alpha, 20_000, torch.device("cpu"))
    assert bool(((share >= 0) & (share <= 1)).all())
    assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(share.var()) == pytest.approx(0.25 / (2 * alpha + 1), rel=0.03)


def test_mixup_comes_once():
    done = mixup()(batch(images()))
    with pytest.raises(ConfigError, match="mixup comes twice"):
        mixup()(done)
    assert shift()(done).share is done.share
