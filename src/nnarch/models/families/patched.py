"""What the families that read an image as a sequence of patches share."""

from nnarch.errors import ConfigError


def patches_of(model: str, inputs: tuple[int, ...], patch: int) -> int:
    """The number of patches that images are cut into.

    Raises: ConfigError for samples that are no images, or that patches do not fill.

    >>> patches_of("vit", (3, 224, 224), 16)
    196
    """
    if len(inputs) != 3:
        raise ConfigError(
            f"{model} expects images of (channels, height, width); got samples of shape {inputs}"
        )
    _, height, width = inputs
    if height % patch or width % patch:
        raise ConfigError(
            f"model.patch: got {patch} for images of {height} x {width} pixels; expected a size "
            "that divides both sides"
        )
    return height // patch * (width // patch)
