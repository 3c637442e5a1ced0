"""Which files a path of data means: a file, a pattern, a folder, or a list of them.

Only files of this machine are read. A symbolic link to a file is followed, wherever it leads:
whoever may write a link into a folder of data may write the data.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from glob import escape, has_magic

from nnarch.errors import DataError
from nnarch.patterns import matching


def files(path: str | os.PathLike[str] | Sequence[str], suffix: str = "") -> list[str]:
    """The files that are meant: those of a pattern sorted by name, those of a list in its order.

    Args:
        suffix: of the files in a folder that are meant; where it is empty, none are.

    Raises: DataError where there is no such file, or one is named twice.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else path
    found = [file for one in paths for file in _files(os.fspath(one), suffix)]
    if twice := [file for file, count in Counter(found).items() if count > 1]:
        raise DataError(f"{shown(twice[0])}: is named twice; expected each file once")
    return found


def _files(path: str, suffix: str) -> list[str]:
    if "://" in path:
        raise DataError(f"{path}: is no file of this machine; expected a path")
    if suffix and os.path.isdir(path):
        return _some(matching(os.path.join(escape(path), f"*{suffix}")), path, f"*{suffix}")
    if has_magic(path) and not os.path.lexists(path):
        return _some([file for file in matching(path) if not os.path.isdir(file)], path)
    return [path]


def _some(matches: Iterable[str], path: str, pattern: str = "") -> list[str]:
    found = sorted(matches)
    if not found:
        what = f"holds no {pattern}" if pattern else "matches no file"
        raise DataError(f"{shown(path)}: {what}; expected one at least{_from_here(path)}")
    return found


def shown(path: str) -> str:
    """A path as its user would write it."""
    return path.removeprefix(os.path.join(os.getcwd(), ""))


def check(path: str, expected: str) -> None:
    """Refuse what is no regular file that can be read, and say what it is."""
    name = shown(path)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise DataError(f"{name}: is {kind}; expected {expected}")
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise DataError(f"{name}: no such file{_from_here(name)}") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a zero byte in the path
        raise DataError(f"{name!r}: cannot be read: {error}") from None


def _from_here(path: str) -> str:
    return "" if os.path.isabs(path) else f" (the working directory is {os.getcwd()})"
