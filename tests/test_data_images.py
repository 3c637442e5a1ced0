"""Image files: pixels as pillow decodes them, in a sure order, and faults by the file's name."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import Command, error_lines
from nnarch.data.formats import pictures
from nnarch.data.sources.images import images, read
from nnarch.errors import ConfigError, DataError, MachineError, NnarchError

RANDOM = np.random.default_rng(0)


def fault(call: Callable[[], Any], kind: type[NnarchError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call()
    (line,) = caught.value.lines
    return line


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nnarch"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pets"


def draw(path: Path, shape: tuple[int, ...] = (6, 8, 3), **options: Any) -> np.ndarray:
    """Save an image of chance, (height, width, channels) or grey, and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def first(pixels: np.ndarray) -> np.ndarray:
    """Channels to the front."""
    return pixels.transpose(2, 0, 1)


# Folders


def test_a_folder_a_class_in_the_order_of_names(root: Path):
    dog = draw(root / "dog" / "1.png")
    cat2, cat10 = draw(root / "cat" / "2.png"), draw(root / "cat" / "10.png")
    inner = draw(root / "cat" / "more" / "0.png")
    data = images(path=str(root))
    assert data.inputs.dtype == torch.uint8
    assert np.array_equal(data.inputs.numpy(), [*map(first, (cat10, cat2, inner, dog))])
    assert data.target == ["cat", "cat", "cat", "dog"]
    assert data.target_names == ("class",)
    assert (data.parts, data.notes) == (None, ())


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_folders_of_parts(root: Path, val: str):
    for part in ("train", val, "test"):
        for label in ("a", "b"):
            draw(root / part / label / "0.png")
    data = images(path=str(root))
    assert data.parts is not None
    assert data.parts.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.target == ["a", "b"] * 3


def test_classes_may_be_called_as_parts_are(root: Path):
    for label in ("train", "car"):
        draw(root / label / "0.png")
    data = images(path=str(root))
    assert (data.target, data.parts) == (["car", "train"], None)


def test_what_is_no_image_is_passed_over_and_counted(root: Path):
    for label in ("a", "b"):
        draw(root / label / "0.png")
    for other in ("a/.0.png", "a/notes.txt", "Thumbs.db", ".git/0.png", "b/.old/0.png"):
        (root / other).parent.mkdir(exist_ok=True)
        (root / other).write_bytes(b"?")
    data = images(path=str(root))
    assert data.target == ["a", "b"]
    assert data.notes == ("5 files passed over: hidden, or no images",)


# Pixels


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "JPEG", "PNG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_is_decoded_as_pillow_does(root: Path, suffix: str, channels: Any):
    path = root / f"a.{suffix}"
    draw(path)
    data, names = read(path, channels=channels)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(data.inputs[0].permute(1, 2, 0).squeeze(2).numpy(), expected)
    assert names == [f"a.{suffix}"]
    assert data.target is None


def test_images_without_colours_have_one_channel(root: Path):
    grey = draw(root / "a" / "0.png", (6, 8))
    draw(root / "b" / "0.png", (6, 8))
    data = images(path=str(root))
    assert data.inputs.shape == (2, 1, 6, 8)
    assert np.array_equal(data.inputs[0, 0].numpy(), grey)
    draw(root / "b" / "1.png")
    mixed = images(path=str(root))
    assert mixed.inputs.shape == (3, 3, 6, 8)
    assert np.array_equal(mixed.inputs[0].numpy(), [grey] * 3)


def test_transparent_and_palette_images(root: Path):
    pixels = draw(root / "a.png", (6, 8, 4))
    assert np.array_equal(read(root / "a.png")[0].inputs[0].numpy(), first(pixels[..., :3]))
    image = Image.fromarray(pixels[..., :3]).quantize(8)
    image.save(root / "b.png", transparency=bytes([0, 128, *[255] * 6]))
    expected = first(np.asarray(image.convert("RGB")))
    assert np.array_equal(read(root / "b.png")[0].inputs[0].numpy(), expected)


def test_sixteen_bits_are_scaled_to_eight(root: Path):
    root.mkdir()
    deep = np.array([[0, 257, 65535], [128 * 257, 128, 129]], np.uint16)
    Image.fromarray(deep).save(root / "a.png")
    assert read(root / "a.png")[0].inputs[0, 0].tolist() == [[0, 1, 255], [128, 0, 1]]


def test_the_first_picture_of_an_animation(root: Path):
    root.mkdir()
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(root / "a.gif", save_all=True, append_images=frames[1:])
    assert read(root / "a.gif")[0].inputs[0, :, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("size", "shape"), [(5, (5, 5)), ([12, 7], (12, 7))])
def test_images_are_resized(root: Path, size: Any, shape: tuple[int, int]):
    draw(root / "a" / "0.png")
    draw(root / "b" / "0.png", (9, 5, 3))
    data = images(path=str(root), size=size)
    assert data.inputs.shape == (2, 3, *shape)
    with Image.open(root / "b" / "0.png") as image:
        expected = np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
    assert np.array_equal(data.inputs[1].numpy(), first(expected))


def test_images_of_several_sizes_need_one(root: Path):
    draw(root / "a" / "0.png")
    draw(root / "b" / "0.png", (9, 5, 3))
    draw(root / "b" / "1.png", (9, 5, 3))
    line = fault(lambda: images(path=str(root)))
    assert line.startswith(f"data: the images have 2 sizes: 6 x 8 ({root}/a/0.png), 9 x 5 (")
    assert line.endswith("expected one, or data.size: what to resize them to")


# CSV files


@pytest.fixture
def listed(root: Path) -> Path:
    """A CSV file that names three images."""
    for name in ("x/1.png", "x/2.png", "3.png"):
        np.save(root.parent / Path(name).stem, draw(root / name))
    (root / "list.csv").write_text(
        "id,file,age,kind\na,x/2.png,3.5,old\nb,3.png,1,new\nc,x/2.png,2,old\n"
    )
    return root / "list.csv"


def test_a_csv_file_names_images_and_their_targets(listed: Path):
    data = images(path=str(listed), target="kind")
    assert data.target == ["old", "new", "old"]
    assert data.target_names == ("kind",)
    expected = [np.load(listed.parent.parent / f"{name}.npy") for name in (2, 3)]
    assert np.array_equal(data.inputs[:2].numpy(), [*map(first, expected)])
    assert torch.equal(data.inputs[0], data.inputs[2])
    aged = images(path=str(listed), target="age", image="file").target
    assert isinstance(aged, torch.Tensor)
    assert aged.tolist() == [[3.5], [1], [2]]


def test_a_csv_file_from_its_own_folder(listed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(listed.parent)
    assert len(images(path="list.csv", target="kind")) == 3


def test_csv_files_that_do_not_say_it(listed: Path):
    path = str(listed)
    assert "data.target: missing" in fault(lambda: images(path=path), ConfigError)
    assert "no column 'fil'; did you mean 'file'?" in fault(
        lambda: images(path=path, target="kind", image="fil")
    )
    listed.write_text("file,kind\nx/1.png,a\n,b\n")
    assert "column 'file': row 2 is empty (one of 1)" in fault(
        lambda: images(path=path, target="kind")
    )
    listed.write_text("file,kind\nx/1.png,a\nx/9.png,b\n")
    assert "x/9.png: no such file" in fault(lambda: images(path=path, target="kind"))
    listed.write_text("name,kind\none,a\ntwo,b\n")
    assert "name it in data.image; there are: name" in fault(
        lambda: images(path=path, target="kind")
    )


# New images


def test_new_images_come_with_their_names(listed: Path):
    root = listed.parent
    (root / "old").mkdir()
    draw(root / "old" / "a.png")
    data, names = read(root)
    assert names == ["3.png", "old/a.png", "x/1.png", "x/2.png"]
    assert data.notes == ("1 file passed over: hidden, or no images",)
    assert read(listed)[1] == ["x/2.png", "3.png", "x/2.png"]
    alone, names = read(root / "x" / "1.png", size=(3, 4), channels=1)
    assert (names, alone.inputs.shape) == (["1.png"], (1, 1, 3, 4))
    (root / "none").mkdir()
    assert "holds no images" in fault(lambda: read(root / "none"))


# What is refused


def test_folders_that_are_no_classes(root: Path):
    assert "no such file" in fault(lambda: images(path=str(root)))
    draw(root / "0.png")
    assert "has no folders; expected a folder of images for each" in fault(
        lambda: images(path=str(root))
    )
    draw(root / "a" / "0.png")
    assert "has one folder only, 'a'" in fault(lambda: images(path=str(root)))
    (root / "b").mkdir()
    assert f"{root}/b: holds no images" in fault(lambda: images(path=str(root)))
    line = fault(lambda: images(path=str(root), target="kind"), ConfigError)
    assert line.startswith("data.target: got 'kind'; expected none")


def test_a_damaged_image_is_named(root: Path):
    draw(root / "a" / "0.png", (60, 60, 3))
    draw(root / "b" / "0.png", (60, 60, 3))
    bad = root / "a" / "0.png"
    whole = bad.read_bytes()
    for raw in (b"", b"no image", whole[:20], whole[:300], whole[:300] + b"\0\1" + whole[302:]):
        bad.write_bytes(raw)
        line = fault(lambda: images(path=str(root)))
        assert line.startswith(f"{bad}: is damaged, or no image (")


def test_only_formats_of_images_are_decoded(root: Path):
    """pillow runs a PostScript interpreter for some, whatever a file is called."""
    root.mkdir()
    (root / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n%%EndComments\n"
    )
    assert "cannot identify" in fault(lambda: read(root / "a.png"))


def bomb(width: int, height: int) -> bytes:
    """A PNG file that declares a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        ending = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + ending

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [10_000, 100_000])  # pillow warns of one, and refuses the other
def test_a_bomb_is_refused_from_its_head(root: Path, side: int):
    root.mkdir()
    (root / "a.png").write_bytes(bomb(side, side))
    assert "a.png: is damaged, or no image (DecompressionBomb" in fault(
        lambda: read(root / "a.png")
    )


def test_more_images_than_memory_holds(root: Path):
    root.mkdir()
    draw(root / "a.png")
    size = (10**7, 10**7)
    assert "GiB of memory" in fault(lambda: read(root / "a.png", size=size), MachineError)


def test_links_that_lead_out_are_refused(root: Path, tmp_path: Path):
    for label in ("a", "b"):
        draw(root / label / "0.png")
    draw(tmp_path / "else.png")
    link = root / "b" / "1.png"
    link.symlink_to("0.png")
    assert len(images(path=str(root))) == 3
    link.unlink()
    link.symlink_to(tmp_path / "else.png")
    line = fault(lambda: images(path=str(root)))
    assert line == f"{link}: is a link that leads out of {root}"
    link.unlink()
    (root / "c").symlink_to(root / "a")
    assert f"{root}/c: is a link to a folder" in fault(lambda: images(path=str(root)))


def test_pillow_may_be_missing(root: Path, nnarch_forked: Command, tmp_path: Path):
    for label in ("a", "b"):
        draw(root / label / "0.png")
    (tmp_path / "without.py").write_text("import sys\nsys.modules['PIL'] = None\n")
    (tmp_path / "pictures.yaml").write_text(f"data: {{source: images, path: '{root}'}}\n")
    done = nnarch_forked("train", "pictures.yaml", "--plugin", "without.py")
    assert done.returncode == 7
    assert error_lines(done) == ["data: images need pillow; pip install 'nnarch[images]'"]


# The cache


@pytest.fixture
def pets(root: Path) -> Path:
    for label in ("a", "b"):
        draw(root / label / "0.png")
    return root


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are decoded from now on."""
    found: list[str] = []
    decode = pictures._decode

    def counting(file: str, room: np.ndarray) -> None:
        found.append(file)
        decode(file, room)

    monkeypatch.setattr(pictures, "_decode", counting)
    return found


def test_images_are_decoded_once(pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    before = images(path=str(pets))
    (kept,) = cache.iterdir()
    assert kept.name.startswith("images-")
    decodes = counted(monkeypatch)
    again = images(path=str(pets))
    assert torch.equal(before.inputs, again.inputs)
    assert (again.target, again.notes, decodes) == (["a", "b"], (), [])
    images(path=str(pets), size=4)
    images(path=str(pets), channels=1)
    assert len(decodes) == 4
    assert len(list(cache.iterdir())) == 3


def test_a_changed_image_is_decoded_again(pets: Path):
    images(path=str(pets))
    changed = draw(pets / "a" / "0.png")
    os.utime(pets / "a" / "0.png", ns=(1, 1))
    assert np.array_equal(images(path=str(pets)).inputs[0].numpy(), first(changed))


def test_the_cache_can_be_turned_off(pets: Path, cache: Path):
    assert len(images(path=str(pets), cache=False)) == 2
    read(pets)
    assert not cache.exists()


def test_a_damaged_cache_is_made_anew(pets: Path, cache: Path):
    before = images(path=str(pets))
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for raw in (b"", whole[:-1], whole[:40], whole.replace(b"|u1", b"|i1"), b"x" * len(whole)):
        kept.write_bytes(raw)
        assert torch.equal(images(path=str(pets)).inputs, before.inputs)
        assert kept.read_bytes() == whole
    assert [file.name for file in cache.iterdir()] == [kept.name]


def test_a_cache_that_cannot_be_written_is_no_matter(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    data = images(path=str(pets))
    assert len(data) == 2
    assert data.notes == ("the images could not be cached",)
