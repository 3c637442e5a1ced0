"""The packages that nnarch needs, and what to say where one is missing, too old or broken.

An installer sees to them, until another one takes torch away or puts an older one in its place.
torch is imported late and in many places, so a fault of it is told by the exception that comes of
it, wherever that was.
"""

import contextlib
import importlib.util
import os
import sys
import traceback

from nnarch.errors import MachineError, cause

NEEDED = {  # by the name that is imported, as the project's own metadata say it
    "numpy": "numpy>=1.26",
    "polars": "polars>=1.44",
    "pydantic": "pydantic>=2.12",
    "yaml": "pyyaml>=6.0",
    "rich": "rich>=13.7",
    "safetensors": "safetensors>=0.5",
    "sklearn": "scikit-learn>=1.5",
    "torch": "torch>=2.10,<2.14",
}


def check(module: str, version: str) -> None:
    """Raises: MachineError where `version` of a module is below what is needed."""
    if said := _too_old(module, version):
        raise MachineError(said)


def fault(error: BaseException) -> str | None:
    """What is wrong with a package that is needed, if `error` came of importing one."""
    if not (module := _imported(error)):
        return None
    version = getattr(sys.modules.get(module), "__version__", "")
    said = _too_old(module, version) if version else None
    return said or f"{module} cannot be imported: {cause(error)}; {_expected(module)}"


def _too_old(module: str, version: str) -> str | None:
    """
    >>> _too_old("torch", "2.9.1+cu128")
    "torch 2.9.1+cu128 is too old; expected torch>=2.10,<2.14: pip install 'torch>=2.10,<2.14'"
    >>> _too_old("torch", "2.13.0+cpu")
    """
    least = NEEDED[module].partition(">=")[2].partition(",")[0]
    if _numbers(version) >= _numbers(least):
        return None
    return f"{module} {version} is too old; {_expected(module)}"


def _expected(module: str) -> str:
    return f"expected {NEEDED[module]}: pip install '{NEEDED[module]}'"


def _numbers(version: str) -> list[int]:
    """The first two numbers of a version."""
    return [int(part) for part in version.split(".")[:2] if part.isdecimal()]


def _imported(error: BaseException) -> str | None:
    """The package at whose import `error` was raised."""
    if isinstance(error, ImportError) and (name := (error.name or "").partition(".")[0]) in NEEDED:
        return name
    frames = traceback.extract_tb(error.__traceback__)
    importing = [frame.filename for frame in frames if frame.name == "<module>"]
    homes = {module: _home(module) for module in NEEDED} if importing else {}
    found = (module for file in importing for module in homes if file.startswith(homes[module]))
    return next(found, None)


def _home(module: str) -> str:
    """The file of a module, or the directory of a package; neither is imported for it."""
    with contextlib.suppress(ValueError):
        if (spec := importlib.util.find_spec(module)) and spec.origin:
            return spec.origin.removesuffix("__init__.py")
    return os.devnull  # which no module lies in
