"""A folder of image files: which images stand in it, of which class and part.

Everything is met in the order of its name, so that a row number means the same image wherever the
folder is copied to. What is no image is passed over and counted. Links that lead out of the
folder are refused, since what lies elsewhere is easily changed unseen.
"""

import os
from dataclasses import dataclass, field
from typing import NoReturn

from nnarch.data.formats.paths import shown
from nnarch.data.formats.pictures import is_image
from nnarch.errors import DataError

PARTS = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}  # as split.PARTS


@dataclass
class ImageFolder:
    """What has been met below `root`: images, and how many `others` that are none.

    Attributes:
        names: of the images, from `root` on.
        labels: their classes, where they have been looked for.
        parts: the part of each, where the folder is in parts.
    """

    root: str
    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    others: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        files = f"{self.others} file{'s' * (self.others > 1)}"
        return (f"{files} passed over: hidden, or no images",) if self.others else ()

    def add(self, folder: str = "") -> int:
        """Meet the images of a folder and of all folders in it; how many there are."""
        before = len(self.names)
        for at, folders, names in os.walk(os.path.join(self.root, folder), onerror=_refuse):
            visible = [name for name in folders if not name.startswith(".")]
            self.others += len(folders) - len(visible)
            folders[:] = sorted(visible)
            wanted = [name for name in names if is_image(name) and not name.startswith(".")]
            self.others += len(names) - len(wanted)
            for name in (*folders, *wanted):
                self._check_link(os.path.join(at, name))
            below = os.path.relpath(at, self.root)
            self.names += [os.path.normpath(os.path.join(below, name)) for name in sorted(wanted)]
        return len(self.names) - before

    def add_classes(self, folder: str = "", part: int | None = None) -> None:
        """Meet the images of a folder whose folders are classes.

        Raises: DataError where a class has none.
        """
        for label in self.folders(folder):
            added = self.add(os.path.join(folder, label))
            if not added:
                where = shown(os.path.join(self.root, folder, label))
                raise DataError(f"{where}: holds no images; expected those of the class {label!r}")
            self.labels += [label] * added
            self.parts += [] if part is None else [part] * added

    def folders(self, folder: str = "") -> list[str]:
        """The names of the folders in a folder; whatever else is there is none of the images."""
        _, folders, names = next(os.walk(os.path.join(self.root, folder), onerror=_refuse))
        visible = sorted(name for name in folders if not name.startswith("."))
        self.others += len(names) + len(folders) - len(visible)
        for name in visible:
            self._check_link(os.path.join(self.root, folder, name))
        return visible

    def _check_link(self, path: str) -> None:
        if not os.path.islink(path):
            return
        if os.path.isdir(path):
            raise DataError(f"{shown(path)}: is a link to a folder; expected the folder itself")
        root = os.path.realpath(self.root)
        if os.path.commonpath([os.path.realpath(path), root]) != root:
            raise DataError(f"{shown(path)}: is a link that leads out of {shown(self.root)}")


def classes_in(root: str) -> ImageFolder:
    """All images of a folder of classes, or of a folder of parts that are such folders."""
    found = ImageFolder(root)
    folders = found.folders()
    if "train" in folders and set(folders) <= PARTS.keys():
        for part in sorted(folders, key=PARTS.__getitem__):
            found.add_classes(part, PARTS[part])
    else:
        found = ImageFolder(root)
        found.add_classes()
    if len(classes := set(found.labels)) < 2:
        there = f"one folder only, {classes.pop()!r}" if classes else "no folders"
        raise DataError(
            f"{shown(root)}: has {there}; expected a folder of images for each of two classes or "
            "more, or a CSV file that names the images"
        )
    return found


def _refuse(error: OSError) -> NoReturn:
    raise DataError(f"{shown(str(error.filename))}: cannot be read: {error.strerror}")
