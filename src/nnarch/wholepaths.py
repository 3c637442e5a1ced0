"""Paths in a config as absolute ones, so that a run finds its data from anywhere."""

import os
from collections.abc import Mapping, Sequence
from glob import has_magic
from pathlib import Path as File
from typing import Any, get_args

from pydantic.fields import FieldInfo

from nnarch.errors import ConfigError
from nnarch.options import NOTHING, IsPath
from nnarch.patterns import matching
from nnarch.registry import REGISTRIES


def whole_paths(filled: Mapping[str, Any], homes: Sequence[File]) -> dict[str, Any]:
    """The parts of a filled config that say where files are, with absolute paths.

    A path is meant from the working directory, or from
    where the config stands.
    """
    data = filled["data"]
    return {
        "data": data | {name: whole(data[name], homes) for name in path_options(data["source"])},
        "init_from": whole(filled["init_from"], homes),
    }


def path_options(source: str) -> list[str]:
    """The options of a data source that say where its files are."""
    fields = REGISTRIES["data"].get(source).schema.model_fields
    return [name for name, field in fields.items() if _is_path(field)]


def _is_path(field: FieldInfo) -> bool:
    """Whether an option names a file, several, or none at times."""
    return IsPath() in field.metadata or any(
        IsPath() in getattr(member, "__metadata__", ()) for member in get_args(field.annotation)
    )


def whole(path: Any, homes: Sequence[File]) -> Any:
    """`path` from the first of the `homes` where it is, or matches something."""
    if isinstance(path, list):
        return [whole(one, homes) for one in path]
    if path is None or path == NOTHING:
        return path
    candidates = [os.path.join(home, os.path.expanduser(path)) for home in homes]
    there = [found for found in candidates if os.path.exists(found) or _matches(found)]
    found = os.path.abspath((there or candidates)[0])
    if any("\ud800" <= character <= "\udfff" for character in found):
        raise ConfigError(f"{found}: is not UTF-8, as what stands in a config has to be")
    return found


def _matches(path: str) -> bool:
    return has_magic(path) and any(True for _ in matching(path))
