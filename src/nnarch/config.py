"""A config: what a user's files and overrides say, checked and complete.

Files are merged left to right and `key=value` overrides after them, all read by the same strict
loader. Then everything is checked at once, before torch is imported and before anything is
written, so that a mistake costs a second and is answered with all of its kind. What comes out
is `Config`, frozen, with every default filled in; `to_yaml` of it is a file that means the same.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path as File
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, PrivateAttr
from pydantic.fields import FieldInfo

from nnarch import space, yamlfile
from nnarch.errors import ConfigError, UsageError
from nnarch.options import NOTHING, WHOLE, Count, FilePath, IsPath, Named
from nnarch.patterns import matching
from nnarch.registry import REGISTRIES
from nnarch.sections import Average, Clip, EarlyStopping, Pattern, Section
from nnarch.tree import Tree, plain
from nnarch.validate import Fault, Path, dotted, fill, shortened, undotted

NAME = r"^[A-Za-z0-9_.][A-Za-z0-9._-]{0,79}$"
Name = Annotated[
    str,
    Field(
        pattern=NAME,
        json_schema_extra={
            "expected": "at most 80 of the letters A-Z and a-z, digits, '.', '_' and '-', "
            "the first not '-'"
        },
    ),
]
Device = Annotated[
    str,
    Field(
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$",
        json_schema_extra={"expected": "auto, cpu, cuda, cuda:N or mps"},
    ),
]
Monitor = Annotated[
    str,
    Field(
        pattern=r"^(val_\w+|train_loss|last)$",
        json_schema_extra={"expected": "val_loss, val_ and a metric, train_loss, or last"},
    ),
]
Spec = dict[str, Any]  # {name: ..., options}, filled


def _each_once(specs: list[Spec] | None) -> list[Spec] | None:
    names = [spec.get("name") for spec in specs or []]
    if twice := [name for name in names if name is not None and names.count(name) > 1]:
        raise ValueError(
            f"got {twice[0]} twice; expected each metric once, as a name for its value"
        )
    return specs


class Config(Section):
    """What one run is made from. Component keys hold `{name: ..., options}`, filled."""

    name: Name = Field(
        default="run", description="What the run directory is called after; the file, unless given."
    )
    seed: Annotated[int, Field(ge=0, le=2**63 - 1), WHOLE] = Field(
        default=0, description="Seed of initial weights, batch order and dropout."
    )
    device: Device = Field(
        default="auto", description="Where to compute; auto takes a GPU if there is one."
    )
    threads: Count | Literal["auto"] = Field(
        default="auto",
        description="CPU threads; auto goes by the work of a step, and is one on a busy machine.",
    )
    data: Annotated[Spec, Named("data")] = Field(description="Where the rows come from.")
    model: Annotated[Spec, Named("model")] = Field(
        default={"name": "mlp"}, description="The network."
    )
    loss: Annotated[Spec | None, Named("loss")] = Field(
        default=None, description="What training minimises; the task's usual one unless given."
    )
    init_from: FilePath | None = Field(
        default=None,
        description="The directory of another run, whose best weights the network begins with.",
    )
    freeze: list[Pattern] = Field(
        default=[],
        description="Parameters that stay as they are: biases, norms, embeddings, or patterns "
        "over their names.",
    )
    optimizer: Annotated[Spec, Named("optimizer")] = Field(
        default={"name": "adamw"}, description="How the weights follow the gradient."
    )
    schedule: Annotated[Spec, Named("schedule")] = Field(
        default={"name": "constant"}, description="How the learning rate moves over the epochs."
    )
    epochs: Count = Field(default=100, description="How often the training rows are gone through.")
    batch_size: Count | Literal["all"] = Field(
        default=32, description="Rows that the network sees at once, which make a step."
    )
    accumulate: Count = Field(
        default=1, description="Batches whose gradients make one step, as one large batch would."
    )
    last_batch: Literal["keep", "drop"] = Field(
        default="keep", description="What becomes of an epoch's last batch if it is smaller."
    )
    sampling: Literal["shuffled", "balanced", "sequential"] = Field(
        default="shuffled",
        description="The rows of an epoch: each once, in an order of its own; drawn so that every "
        "class comes equally often; or each once, in the order of the data.",
    )
    augment: Annotated[list[Spec], Named("augmentation", many=True)] = Field(
        default=[], description="What is changed at random in each batch of training rows."
    )
    precision: Literal["float32", "bf16", "float64"] = Field(
        default="float32", description="Numbers to compute in; bf16 keeps the weights in float32."
    )
    compile: bool = Field(
        default=False, description="Compile several steps into one call, which takes seconds."
    )
    clip: Clip | None = Field(default=None, description="Bounds on the gradient.")
    average: Average | None = Field(
        default=None, description="Moving average of the weights (EMA)."
    )
    metrics: Annotated[
        list[Spec] | None, Named("metric", many=True), AfterValidator(_each_once)
    ] = Field(
        default=None, description="What is measured each epoch; the task's usual ones unless given."
    )
    monitor: Monitor = Field(
        default="val_loss",
        description="What chooses the best epoch: val_loss, val_ and a metric, or train_loss; "
        "with last it is always the last.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="When to end before the last epoch."
    )

    _text: str = PrivateAttr("")
    _tree: Tree = PrivateAttr(default_factory=Tree)  # knows the place of each value

    @property
    def text(self) -> str:
        """The files as they were given."""
        return self._text

    def fault(self, path: Path, message: str) -> ConfigError:
        """An error about the value at `path`, with its place in the files."""
        return ConfigError(f"{self._tree.place(path)}: {dotted(path)}: {message}")

    @contextlib.contextmanager
    def locating(self, key: str) -> Iterator[None]:
        """Give what a builder says of the component under `key` its place in the files."""
        try:
            yield
        except ConfigError as error:
            raise ConfigError(self._located(key, fault) for fault in error.faults) from error

    def _located(self, key: str, fault: str) -> str:
        path = undotted(fault.partition(": ")[0])
        if path[:1] == (key,):
            return f"{self._tree.place(path)}: {fault}"
        return f"{self._tree.place((key,))}: {key}: {fault}"

    def to_yaml(self) -> str:
        """The complete config as YAML that `load` reads back equal."""
        return yamlfile.dump(self.model_dump())


def load(
    files: Sequence[str | File] | str | File | Mapping[str, Any],
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> Config:
    """The config that `files` and `overrides` mean.

    Args:
        files: paths merged left to right (`-` is standard input), or the config as a mapping.
        overrides: `key=value` strings, their values read as YAML, laid over the files in order.
        changes: the same as a mapping from dotted keys to values.

    Raises: ConfigError with every fault, a line each: place, key, what was given and expected.

    >>> config = load({"data": "synthetic"}, ["optimizer.lr=1e-2", "model.widths=[8, 8]"])
    >>> config.optimizer["name"], config.optimizer["lr"], config.model["widths"]
    ('adamw', 0.01, [8, 8])
    """
    layers, text = _read(files)
    tree = Tree()
    for value, place in layers:
        tree.merge(value, place)
    tree.value.setdefault("name", _named_after(files))
    given = [(*_parse(override), "command line") for override in overrides]
    given += [
        (key, plain(value, undotted(key)), "argument") for key, value in (changes or {}).items()
    ]
    faults = [fault for change in given for fault in _change(tree, *change)]
    faults += [Fault(path, _LEFT_OPEN) for path in space.open_values(tree.value)]
    filled, found = fill(Config, tree.value)
    known = {fault.path for fault in faults}
    faults += [fault for fault in found if not any(fault.path[: len(p)] == p for p in known)]
    if faults:
        raise ConfigError(f"{tree.place(path)}: {dotted(path)}: {text}" for path, text in faults)
    homes = [File.cwd(), *(File(file).parent for file in _listed(files) if file != "-")]
    filled["data"] = _with_whole_paths(filled["data"], homes)
    filled["init_from"] = _whole(filled["init_from"], homes)
    config = Config.model_validate_json(json.dumps(filled))
    config._text, config._tree = text, tree
    return config


_LEFT_OPEN = "is left open; expected one value, in the file or as an override"


def _read(
    files: Sequence[str | File] | str | File | Mapping[str, Any],
) -> tuple[list[tuple[Mapping[str, Any], Callable[[Path], str]]], str]:
    if isinstance(files, Mapping):
        value = plain(files)
        return [(value, lambda path: "config")], yamlfile.dump(value)
    texts, layers = [], []
    for file in _listed(files):
        if os.path.isdir(file):
            raise UsageError(
                f"{file}: is a directory; expected a config file"
                + (f" such as {file}/resolved.yaml" if (File(file) / "run.json").exists() else "")
            )
        text = sys.stdin.buffer.read(yamlfile.MAX_BYTES + 1) if file == "-" else None
        source = "<stdin>" if file == "-" else str(file)
        document = yamlfile.read(File(file)) if text is None else yamlfile.parse(text, source)
        layers.append((document.value, document.where))
        texts.append(document.text)
    return layers, "---\n".join(texts)


def _named_after(files: Any) -> str:
    """The name of a run whose config gives none: its files', of which any have one."""
    stems = [File(file).stem for file in _listed(files) if file != "-"]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(stems)).strip("-")
    return name[:80] or "run"


def _with_whole_paths(data: dict[str, Any], homes: Sequence[File]) -> dict[str, Any]:
    """Paths of data as absolute ones, so that a run finds its data from anywhere.

    A path is meant from the working directory, or from where the config stands.
    """
    return data | {name: _whole(data[name], homes) for name in path_options(data["source"])}


def path_options(source: str) -> list[str]:
    """The options of a data source that say where its files are."""
    fields = REGISTRIES["data"].get(source).schema.model_fields
    return [name for name, field in fields.items() if _is_path(field)]


def _is_path(field: FieldInfo) -> bool:
    """Whether an option names a file, several, or none at times."""
    return IsPath() in field.metadata or any(
        IsPath() in getattr(member, "__metadata__", ()) for member in get_args(field.annotation)
    )


def _whole(path: Any, homes: Sequence[File]) -> Any:
    """`path` from the first of the `homes` where it is, or matches something."""
    if isinstance(path, list):
        return [_whole(one, homes) for one in path]
    if path is None or path == NOTHING:
        return path
    candidates = [os.path.join(home, os.path.expanduser(path)) for home in homes]
    there = [found for found in candidates if os.path.exists(found) or _matches(found)]
    whole = os.path.abspath((there or candidates)[0])
    if any("\ud800" <= character <= "\udfff" for character in whole):
        raise ConfigError(f"{whole}: is not UTF-8, as what stands in a config has to be")
    return whole


def _matches(path: str) -> bool:
    return has_magic(path) and any(True for _ in matching(path))


def _listed(files: Any) -> list[str | File]:
    if isinstance(files, Mapping):
        return []
    return [files] if isinstance(files, str | File) else list(files)


_KEY = re.compile(r"[^][.]+(\.[^][.]+|\[[0-9]{1,9}\])*")


def _parse(override: str) -> tuple[str, Any]:
    """The key and the value of a `key=value`."""
    key, equals, text = override.partition("=")
    if not equals or not _KEY.fullmatch(key):
        raise UsageError(
            f"got {shortened(override)}; expected key=value, such as optimizer.lr=1e-3 or "
            "model.widths[0]=8"
        )
    source = f"command line: {key}"
    try:
        return key, yamlfile.parse_value(text, source)
    except ConfigError as error:  # its one line needs no number
        shown = [fault.replace(f"{source}:1: ", f"{source}: ", 1) for fault in error.faults]
        raise ConfigError(shown) from error


def _change(tree: Tree, key: str, value: Any, place: str) -> list[Fault]:
    """Lay a value over the tree at a dotted key."""
    path = undotted(key)
    try:
        tree.set(path, value, lambda _: place)
    except (KeyError, IndexError, TypeError):
        tree.note(path, place)
        holder, last = dotted(path[:-1]), dotted(path[-1:])
        return [Fault(path, f"no such place; {holder}, as given, has no {last}")]
    return []
