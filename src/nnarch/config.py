"""A config: what a user's files and overrides say, checked and complete.

Files are merged left to right and `key=value` overrides after them, all read by the same strict
loader. Then everything is checked at once, before torch is imported and before anything is
written, so that a mistake costs a second and is answered with all of its kind. What comes out
is `Config`, frozen, with every default filled in; `to_yaml` of it is a file that means the same.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr

from nnarch import yamlfile
from nnarch.errors import ConfigError, Fault, Path, undotted
from nnarch.given import Given, merged
from nnarch.options import WHOLE, Count, FilePath, Named
from nnarch.places import Moved, Places, located, untold
from nnarch.registry import REGISTRIES, suggestion
from nnarch.sections import Average, Clip, EarlyStopping, Pattern, Search, Section
from nnarch.space.forms import open_values
from nnarch.space.space import Space
from nnarch.tree import Tree
from nnarch.validate import dotted, fill, shortened
from nnarch.wholepaths import whole_paths

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
COSTS = ("parameters", "flops", "latency")  # of a network, which no training is needed for


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
    _places: Places = PrivateAttr(default_factory=Tree)

    @property
    def text(self) -> str:
        """The files as they were given."""
        return self._text

    def fault(self, path: Path, message: str) -> ConfigError:
        """An error about the value at `path`, with its place in the files."""
        return ConfigError(f"{self._places.place(path)}: {dotted(path)}: {message}")

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
            return f"{self._places.place(path)}: {fault}"
        return f"{self._places.place((key,))}: {key}: {fault}"

    def to_yaml(self) -> str:
        """The complete config as YAML that `load` reads back equal."""
        return yamlfile.dump(self.model_dump())


def load(
    files: Sequence[str | File] | str | File | Mapping[str, Any],
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    defaults: bool = False,
) -> Config:
    """The config that `files` and `overrides` mean.

    A `search` section is checked, and has no part in the config.

    Args:
        files: paths merged left to right (`-` is standard input), or the config as a mapping.
        overrides: `key=value` strings, their values read as YAML, laid over the files in order.
        changes: the same as a mapping from dotted keys to values.
        defaults: take the default of each value that is left open.

    Raises: ConfigError with every fault, a line each: place, key, what was given and expected.

    >>> config = load({"data": "synthetic"}, ["optimizer.lr=1e-2", "model.widths=[8, 8]"])
    >>> config.optimizer["name"], config.optimizer["lr"], config.model["widths"]
    ('adamw', 0.01, [8, 8])
    """
    given = merged(files, overrides, changes)
    value, places, found = given.value, given.tree, _left_open(given.value)
    told = {fault.path for fault in given.faults + found}
    if defaults:
        value, places, found = _by_default(given)
        told = told if found else {fault.path for fault in given.faults}
    filled, faults = fill(Config, value)
    if given.search is not None:
        found += fill_search(given.search, value)[1]
    lines = located(given.faults + found, given.tree) + located(untold(faults, told), places)
    if lines:
        raise ConfigError(lines)
    filled |= whole_paths(filled, given.homes)
    return complete(filled, given.text, places)


def complete(filled: Mapping[str, Any], text: str, tree: Places) -> Config:
    """The config of what was filled and has no faults."""
    config = Config.model_validate_json(json.dumps(filled))
    config._text, config._places = text, tree
    return config


_LEFT_OPEN = "is left open; expected one value, in the file or as an override, or: nnarch search"


def _left_open(value: Mapping[str, Any]) -> list[Fault]:
    """A fault for each open value, which says so where `--defaults` would close them all."""
    paths = [*open_values(value)]
    if not paths:
        return []
    space, faults = Space.read(value)
    closes = not faults and not space.by_default()[1]
    more = "; or --defaults, which takes the default of each" if closes else ""
    return [Fault(path, f"{_LEFT_OPEN}{more}") for path in paths]


def _by_default(given: Given) -> tuple[dict[str, Any], Places, list[Fault]]:
    """A config with the default of each open value, its places, and what is wrong with these."""
    space, faults = Space.read(given.value)
    point, without = space.by_default()
    told = "is left open and has no default; expected default: and a value, beside it"
    faults += [Fault(path, told) for path in without]
    return space.tree(point), Moved(given.tree, space.origins(point)), faults


def fill_search(raw: Any, config: Mapping[str, Any]) -> tuple[Search | None, list[Fault]]:
    """The `search` section, every default filled in, and what is wrong with it.

    Args:
        config: as it was written or filled; its metrics and monitor are what can be objectives.
    """
    if not isinstance(raw, Mapping):
        wanted = f"a mapping ({', '.join(Search.model_fields)})"
        return None, [Fault(("search",), f"got {shortened(raw)}; expected {wanted}")]
    filled, faults = fill(Search, raw, ("search",))
    open_paths = [("search", *path) for path in open_values(dict(raw))]
    faults = untold(faults, open_paths)
    if faults := [*faults, *(Fault(path, _NOT_OPEN) for path in open_paths)]:
        return None, faults
    search = Search.model_validate_json(json.dumps(filled))
    faults = [
        Fault(("search", "objectives", place), f"got {name!r}; {suggestion(name, known)}")
        for known in [_objectives(config)]
        for place, name in enumerate(search.objectives)
        if name not in known
    ]
    if isinstance(search.workers, int) and search.workers > 1:
        threads = config.get("threads")
        if isinstance(threads, int) and threads > 1:
            told = f"got {search.workers} with threads: {threads}; expected 1, or threads: 1"
            faults.append(Fault(("search", "workers"), told))
    return search, faults


_NOT_OPEN = "is left open; expected one value: a search does not explore itself"


def _objectives(config: Mapping[str, Any]) -> list[str]:
    """What a search of a config may be judged by."""
    given = config.get("metrics")
    specs = given if isinstance(given, list) else REGISTRIES["metric"].names()
    names = [spec.get("name") if isinstance(spec, Mapping) else spec for spec in specs]
    return ["val_loss", *(f"val_{name}" for name in names), "train_loss", *COSTS]
