"""Augmentations: changes of training rows by chance that leave what they mean alone.

Every row of a batch has a draw of its own, made on the batch's device from torch's random state
there, which the caller seeds. There is no loop over rows: a change of place is one gather, whose
indices differ by row. What a change leaves empty is 0, in the values that it is given.

An augmentation of images takes bytes or floats (B, channels, height, width) and gives the same
type back, but for `mixup`, which has to make floats of bytes.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from nnarch.data.batch import Augmentation, Batch
from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.options import Count, Positive, Share
from nnarch.registry import augmentations

if TYPE_CHECKING:
    import torch
    from torch import distributions
    from torch.nn import functional as F
else:
    torch = LazyModule("torch")
    distributions = LazyModule("torch.distributions")
    F = LazyModule("torch.nn.functional")

BYTE = 255


def _of_images(name: str, change: "Callable[[torch.Tensor], torch.Tensor]") -> Augmentation:
    """An augmentation that does `change` to images and nothing to their targets."""

    def augment(batch: Batch) -> Batch:
        if batch.inputs.ndim != 4:
            raise ConfigError(
                f"augmentation: {name} is for images (channels, height, width); the samples have "
                f"the shape {tuple(batch.inputs.shape[1:])}"
            )
        return replace(batch, inputs=change(batch.inputs))

    return augment


@augmentations.register(images=True)
def shift(*, pixels: Count = 2) -> Augmentation:
    """Moves each image by whole pixels along both sides, and fills what it leaves with 0.

    Options:
        pixels: The farthest that it moves along a side.
    """
    return _of_images("shift", lambda images: _moved(images, pixels))


@augmentations.register(images=True)
def crop(*, pad: Count = 4) -> Augmentation:
    """Surrounds each image with zeros and cuts its size out again, anywhere (He et al., 2016).

    The same as `shift`, under the name and the usual value that networks for CIFAR have it in.

    Options:
        pad: Width of the border of zeros, in pixels.
    """
    return _of_images("crop", lambda images: _moved(images, pad))


def _moved(images: "torch.Tensor", farthest: int) -> "torch.Tensor":
    rows, _, height, width = images.shape
    device = images.device
    down, right = torch.randint(-farthest, farthest + 1, (2, rows, 1), device=device)
    from_row = torch.arange(height, device=device) - down  # (B, H), where each row comes from
    from_column = torch.arange(width, device=device) - right
    there = _within(from_row, height)[:, None, :, None] & _within(from_column, width)[:, None, None]
    moved = images.gather(2, from_row.clamp(0, height - 1)[:, None, :, None].expand_as(images))
    moved = moved.gather(3, from_column.clamp(0, width - 1)[:, None, None].expand_as(images))
    return moved.masked_fill(~there, 0)


def _within(places: "torch.Tensor", size: int) -> "torch.Tensor":
    return (places >= 0) & (places < size)


@augmentations.register(images=True)
def flip(
    *, direction: Literal["horizontal", "vertical", "both"] = "horizontal", chance: Share = 0.5
) -> Augmentation:
    """Mirrors images.

    Options:
        direction: Left to right, top to bottom, or each of them by a chance of its own.
        chance: How often an image is mirrored.
    """
    sides = {"horizontal": [3], "vertical": [2], "both": [2, 3]}[direction]

    def change(images: "torch.Tensor") -> "torch.Tensor":
        for side in sides:
            images = torch.where(_chosen(images, chance), images.flip(side), images)
        return images

    return _of_images("flip", change)


@augmentations.register(images=True)
def rotate(*, degrees: Positive = 15) -> Augmentation:
    """Turns each image about its centre, interpolating between pixels, and fills corners with 0.

    Options:
        degrees: The largest turn, to either side.
    """
    return _of_images("rotate", lambda images: _turned(images, math.radians(degrees)))


def _turned(images: "torch.Tensor", most: float) -> "torch.Tensor":
    rows, _, height, width = images.shape
    kind = images.dtype
    floats = images if kind.is_floating_point else images.float()
    angle = (2 * torch.rand(rows, device=images.device) - 1) * most
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Places are counted from -1 to 1 along each side, however long it is.
    turn = torch.stack([cos, -sin * height / width, none, sin * width / height, cos, none], 1)
    grid = F.affine_grid(
        turn.view(-1, 2, 3).to(floats.dtype), list(images.shape), align_corners=False
    )
    turned = F.grid_sample(floats, grid, "bilinear", "zeros", align_corners=False)
    return turned if kind.is_floating_point else turned.round().to(kind)


@augmentations.register(images=True)
def cutout(*, size: Count = 8, chance: Share = 1.0) -> Augmentation:
    """Puts a square of zeros anywhere on an image, partly outside too (DeVries & Taylor, 2017).

    Options:
        size: Side of the square, in pixels.
        chance: How often an image has one.
    """

    def change(images: "torch.Tensor") -> "torch.Tensor":
        rows, _, height, width = images.shape
        inside = [_stretch(rows, side, size, images.device) for side in (height, width)]
        square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return images.masked_fill(square & _chosen(images, chance), 0)

    return _of_images("cutout", change)


def _stretch(rows: int, side: int, size: int, device: "torch.device") -> "torch.Tensor":
    """(B, side) which pixels of a side are in a stretch of `size` about a pixel of chance."""
    start = torch.randint(side, (rows, 1), device=device) - size // 2
    places = torch.arange(side, device=device)
    return (places >= start) & (places < start + size)


def _chosen(images: "torch.Tensor", chance: float) -> "torch.Tensor":
    """(B, 1, 1, 1) which images a change happens to."""
    return torch.rand(len(images), 1, 1, 1, device=images.device) < chance


@augmentations.register(images=False)
def noise(*, deviation: Positive = 0.1) -> Augmentation:
    """Adds normal noise to every value of inputs of any shape.

    Options:
        deviation: Its standard deviation, in units of the inputs; of bytes, as a share of 255.
    """

    def augment(batch: Batch) -> Batch:
        inputs = _floats("noise", batch.inputs)
        drawn = torch.randn_like(inputs) * deviation
        if batch.inputs.is_floating_point():
            return replace(batch, inputs=inputs + drawn)
        noisy = (inputs + drawn * BYTE).round().clamp(0, BYTE)
        return replace(batch, inputs=noisy.to(batch.inputs.dtype))

    return augment


@augmentations.register(images=False)
def mixup(*, alpha: Positive = 0.2) -> Augmentation:
    """Mixes each row, and its target, with another of its batch (Zhang et al., 2018).

    With a share s drawn from Beta(alpha, alpha) for each row, it becomes s times itself and 1 - s
    times the other. Bytes become float32.

    Options:
        alpha: How much is mixed: shares are near 0 or 1 for a small one, any for 1.
    """

    def augment(batch: Batch) -> Batch:
        if batch.share is not None:
            raise ConfigError("augmentation: mixup comes twice; expected it once")
        inputs = _floats("mixup", batch.inputs)
        share = _beta(alpha, len(inputs), inputs.device).to(inputs.dtype)
        others = torch.randperm(len(inputs), device=inputs.device)
        own = share.view(-1, *[1] * (inputs.ndim - 1))
        mixed = inputs[others].lerp(inputs, own)
        return Batch(mixed, batch.target, batch.target[others], share)

    return augment


def _floats(name: str, inputs: "torch.Tensor") -> "torch.Tensor":
    if inputs.dtype == torch.uint8:
        return inputs.float()
    if inputs.is_floating_point():
        return inputs
    raise ConfigError(f"augmentation: {name} is for numbers; the samples are tokens or codes")


def _beta(alpha: float, rows: int, device: "torch.device") -> "torch.Tensor":
    """(rows,) float64 draws from Beta(alpha, alpha): G1 / (G1 + G2), each G from Gamma(alpha).

    Computed from their logarithms, since the draws themselves underflow for a small alpha:
    G(alpha) is G(alpha + 1) U^(1 / alpha) for a uniform U (Marsaglia & Tsang, 2000).
    """
    shape = torch.full((2, rows), alpha + 1, dtype=torch.float64, device=device)
    uniform = 1 - torch.rand_like(shape)  # never 0
    gamma = distributions.Gamma(shape, torch.ones_like(shape), validate_args=False).sample()
    first, second = gamma.log() + uniform.log() / alpha
    return (first - second).sigmoid()
