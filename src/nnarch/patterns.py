"""Files whose names match a pattern, found within bounds.

Python's glob goes through every link to a folder, some of which lead round in circles, and goes
on as long as there are folders. A pattern may stand in a stranger's config; so here `**` keeps to
real folders, and whatever a pattern asks for, only so many names are looked at.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from fnmatch import translate
from glob import has_magic

from nnarch.errors import DataError

MOST = 100_000  # names that are looked at


def matching(pattern: str) -> Iterator[str]:
    """The files and folders that match, each once, in no order; names with a dot only if asked for.

    Raises: DataError where too much would have to be looked at.

    >>> sorted(map(os.path.basename, matching(f"{os.path.dirname(__file__)}/patt*.py")))
    ['patterns.py']
    """
    parts = pattern.split("/")
    start = next((place for place, part in enumerate(parts) if has_magic(part)), len(parts))
    folder = "/".join(parts[:start]) + "/" if start else ""
    yield from dict.fromkeys(_Search(pattern).below(folder, parts[start:]))


class _Search:
    """One search, which counts what it looks at."""

    def __init__(self, pattern: str):
        self._pattern, self._looked_at = pattern, 0

    def below(self, folder: str, parts: list[str]) -> Iterator[str]:
        """What matches `parts` from `folder` on, which is empty or ends with a slash."""
        if not parts:
            if os.path.lexists(folder or os.curdir):
                yield folder
            return
        first, *rest = parts
        if not has_magic(first):
            path = f"{folder}{first}"
            if rest:
                yield from self.below(f"{path}/", rest)
            elif os.path.lexists(path):
                yield path
            return
        everywhere = first == "**"
        if everywhere and rest:
            yield from self.below(folder, rest)
        fits = re.compile(translate("*" if everywhere else first)).match
        for entry in self._entries(folder, first.startswith(".")):
            if everywhere and entry.is_dir(follow_symlinks=False):
                yield from self.below(f"{folder}{entry.name}/", parts)
            if not rest and fits(entry.name):
                yield f"{folder}{entry.name}"
            elif rest and not everywhere and fits(entry.name) and _is_folder(entry):
                yield from self.below(f"{folder}{entry.name}/", rest)

    def _entries(self, folder: str, hidden: bool) -> Iterator[os.DirEntry[str]]:
        try:
            entries = os.scandir(folder or os.curdir)
        except (OSError, ValueError):  # no folder, none of ours, or a name that none can have
            return
        with entries, contextlib.suppress(OSError):
            for entry in entries:
                self._looked_at += 1
                if self._looked_at > MOST:
                    raise DataError(
                        f"{self._pattern}: is a pattern over more than {MOST:,} files and folders; "
                        "expected a narrower one"
                    )
                if entry.name.startswith(".") == hidden:
                    yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
