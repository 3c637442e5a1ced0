"""Image files decoded into one tensor of bytes, many at a time, each refused by its name.

What a file declares is looked at before it is decoded: a picture of a few kilobytes can unfold to
gigabytes. All images come out in one size and one number of channels. Decoding takes longer than
anything else that is done with them, so the result can be kept: one array, in the user's cache,
under a name made of all that it depends on.
"""

import contextlib
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeAlias

from nnarch import machine
from nnarch.data.formats import npy
from nnarch.data.formats.datafile import opened, require_memory
from nnarch.data.formats.paths import shown
from nnarch.errors import DataError, MachineError, cause
from nnarch.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import PIL
    from PIL import Image
else:
    np = LazyModule("numpy")
    PIL = LazyModule("PIL")
    Image = LazyModule("PIL.Image")

Channels = Literal["auto", 1, 3]
Size: TypeAlias = tuple[int, int]  # height and width

EXPECTED = "an image (BMP, GIF, JPEG, PNG or WebP)"
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
GREY = ("1", "L", "LA", "I", "I;16", "I;16B")  # pillow's modes without colours
DEEP = "I"  # begins those of 16 bits a pixel
MOST_SIZES = 5  # in a message


def is_image(name: str) -> bool:
    """Whether a file is called as images are."""
    return name.lower().endswith(SUFFIXES)


def decoded(
    root: str, names: Sequence[str], size: Size | None, channels: Channels, cache: bool = False
) -> "tuple[np.ndarray, tuple[str, ...]]":
    """Images as one array (N, channels, height, width) of uint8, and notes.

    Args:
        names: of the files in their order, from the folder `root` on.
        size: what they are resized to; None where they should all have one size.
        channels: 1 for grey, 3 for colours, `auto` for grey if no image has colours.
        cache: whether the array may be taken from the cache, and put there.

    Raises: DataError with the file that is damaged, too large, or of another size; MachineError
    where pillow is missing, or memory does not hold the images.
    """
    _require_pillow()
    files = [os.path.join(root, name) for name in names]
    place = _cache_place(root, names, (size, channels)) if cache else None
    if place and (kept := _kept(place, len(files), size)) is not None:
        return kept, ()
    with _strict():
        images = _decode_all(files, size, channels)
    if cache and not (place and _keep(place, images)):
        return images, ("the images could not be cached",)
    return images, ()


def _require_pillow() -> None:
    try:
        Image.init()
    except ImportError:
        raise MachineError("data: images need pillow; pip install 'nnarch[images]'") from None


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """An image beyond pillow's limit of pixels is refused; what else it warns of is no matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _decode_all(files: Sequence[str], size: Size | None, channels: Channels) -> "np.ndarray":
    with ThreadPoolExecutor(machine.cores()) as pool:  # pillow decodes without Python's lock
        heads = list(pool.map(_head, files))
        height, width = size or _one_size(files, [of for of, _ in heads])
        colours = [mode not in GREY for _, mode in heads]
        planes = (3 if any(colours) else 1) if channels == "auto" else channels
        shape = (len(files), planes, height, width)
        require_memory("data: the images", math.prod(shape))
        images = np.empty(shape, np.uint8)
        for done in pool.map(_decode, files, images):
            assert done is None
    return images


@contextlib.contextmanager
def _opened(file: str) -> "Iterator[Image.Image]":
    """An image of which only the head is read yet; whatever is wrong with it, as a DataError."""
    with opened(file, EXPECTED) as stream:
        try:
            with Image.open(stream, formats=FORMATS) as image:
                yield image
        except PIL.UnidentifiedImageError:
            fault = f"{shown(file)}: is damaged, or no image (pillow cannot identify it)"
            raise DataError(fault) from None
        except MemoryError:
            raise
        except Exception as error:  # decoders of five formats raise a dozen kinds
            raise DataError(f"{shown(file)}: is damaged, or no image ({cause(error)})") from None


def _head(file: str) -> tuple[Size, str]:
    """The size and the mode that an image declares."""
    with _opened(file) as image:
        return (image.height, image.width), "RGB" if image.mode == "P" else image.mode


def _one_size(files: Sequence[str], sizes: Sequence[Size]) -> Size:
    found = {size: file for file, size in zip(reversed(files), reversed(sizes), strict=True)}
    if len(found) == 1:
        return sizes[0]
    some = [
        f"{height} x {width} ({shown(file)})"
        for (height, width), file in sorted(found.items())[:MOST_SIZES]
    ]
    raise DataError(
        f"data: the images have {len(found)} sizes: {', '.join(some)}"
        f"{', …' * (len(found) > MOST_SIZES)}; expected one, or data.size: what to resize them to"
    )


def _decode(file: str, room: "np.ndarray") -> None:
    """Put an image into `room` (channels, height, width), resized where it has another size."""
    planes, height, width = room.shape
    with _opened(file) as image:
        if image.mode.startswith(DEEP):
            image = Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert("L" if planes == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        room[:] = np.asarray(image).reshape(height, width, planes).transpose(2, 0, 1)


def _cache_place(root: str, names: Sequence[str], wanted: object) -> str | None:
    """Where the array of these files is kept, or would be; None where the user has no cache."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(home):
        return None
    try:
        states = [os.stat(os.path.join(root, name)) for name in names]
    except (OSError, ValueError):  # decoding says what is wrong
        return None
    changes = [(state.st_size, state.st_mtime_ns) for state in states]
    made_of = json.dumps([PIL.__version__, wanted, os.path.realpath(root), *names, *changes])
    key = hashlib.sha256(made_of.encode(errors="surrogateescape")).hexdigest()
    return os.path.join(home, "nnarch", f"images-{key}.npy")


def _kept(place: str, count: int, size: Size | None) -> "np.ndarray | None":
    """The array that was kept, if there is one and it is what it should be."""
    try:
        header = npy.headers(place)[""]
        if header.dtype != np.uint8 or len(header.shape) != 4 or header.shape[0] != count:
            return None
        if size and header.shape[2:] != size:
            return None
        return npy.arrays(place, [("", header)])[0]
    except (DataError, KeyError):
        return None


def _keep(place: str, images: "np.ndarray") -> bool:
    """Keep the array, at once or not at all; whether that was possible."""
    temporary = f"{place}.{os.urandom(4).hex()}"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                np.save(file, images, allow_pickle=False)
            os.replace(temporary, place)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError:
        return False
    return True
