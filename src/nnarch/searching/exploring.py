"""A search made real: its data is read, its directory is there, and nothing has been tried yet.

All that can be refused is refused here, with nothing written. A search that begins takes up the
directory of the same search of the same data where there is one; one that goes on says so in
run.json before anything else.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nnarch import compatibility, devices, experiment, machine, plugins, searchdir, warmstart
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.errors import DataError, NnarchError
from nnarch.exploration import Exploration
from nnarch.models import network as networks
from nnarch.provenance import now, provenance
from nnarch.registry import losses, samplers, suggestion
from nnarch.resumption import ENDED
from nnarch.searchdir import SearchDir
from nnarch.searching import earlier
from nnarch.searching.proposals import higher
from nnarch.searching.trialtraining import data_key
from nnarch.trial import COSTS, Trial

ONE = ("auto", 1)  # threads of a trial
OF_SHAPES = ("model", "data", "loss")  # what decides which tensors a network has


@dataclass
class Exploring:
    """A search made real.

    Attributes:
        datasets: by `trialtraining.data_key`.
        first: the config of the first point.
        earlier: what an earlier search tells of this space.
    """

    exploration: Exploration
    datasets: dict[str, Dataset]
    first: Config
    device: torch.device
    exact: bool = False
    earlier: Sequence[Trial] = ()

    @property
    def points(self) -> int:
        """How many points are tried: those that are wanted, or all that there are."""
        space, sampler = self.exploration.space, self.exploration.search.sampler
        there = space.count(sampler["steps"]) if sampler["name"] == "grid" else space.size
        return int(min(self.exploration.trials, there))

    @property
    def objectives(self) -> list[str]:
        return list(self.exploration.search.objectives)

    @property
    def fingerprint(self) -> str:
        """Of the data, however it is used."""
        return next(iter(self.datasets.values())).fingerprint

    @property
    def workers(self) -> int:
        """How many processes train, each with one thread; one on a GPU, which is this one."""
        wanted = self.exploration.search.workers
        if self.device.type != "cpu" or (wanted == "auto" and self.first.threads not in ONE):
            return 1
        return machine.cores() if wanted == "auto" else int(wanted)


def prepare(exploration: Exploration, exact: bool = False) -> Exploring:
    """Read the data that every point is trained on.

    Raises: ConfigError, DataError, RunError or MachineError, with nothing written.
    """
    _, point = exploration.space.walk(lambda variable: variable.domain.at(0.0))
    first = exploration.config(point)
    device = devices.choose(first.device)
    datasets: dict[str, Dataset] = {}
    for config in _of_each_data(exploration, first):
        key = data_key(config)
        if key not in datasets:
            datasets[key] = experiment.data_of(config)[2]
    search = exploration.search  # its sampler may need a package that is not there
    samplers.build(search.sampler, exploration.space, len(search.objectives), search.seed)
    dataset = datasets[data_key(first)]
    completed = compatibility.completed(first, dataset.task)
    _check_objectives(exploration, completed)
    _check_beginning(exploration, completed, dataset)
    return Exploring(exploration, datasets, first, device, exact, earlier.told(exploration))


def _check_objectives(exploration: Exploration, first: Config) -> None:
    """That trials are measured by all that they are judged by."""
    known = ["val_loss", *(f"val_{spec['name']}" for spec in first.metrics or [])]
    known += ["train_loss", *COSTS]
    for place, name in enumerate(exploration.search.objectives):
        if name not in known:
            told = f"{name!r} is not measured; {suggestion(name, known)}"
            raise exploration.fault(("search", "objectives", place), told)


def _check_beginning(exploration: Exploration, first: Config, dataset: Dataset) -> None:
    """That there is a run to begin with, where one is named.

    Whether anything of it fits is a matter of each trial, unless all have tensors of one shape.
    """
    if first.init_from is None:
        return
    network = None
    if not any(each.tied or each.path[0] in OF_SHAPES for each in exploration.space.variables):
        assert first.loss is not None, "it is complete"
        outputs = losses.build(first.loss, dataset.task).outputs
        with first.locating("model"):
            network = networks.unallocated(first.model, dataset.inputs, outputs)[1]
    warmstart.check(first, network)


def _of_each_data(exploration: Exploration, first: Config) -> Iterator[Config]:
    """A config for each way in which the data is used."""
    yield first
    if any(variable.path[:1] == ("data",) for variable in exploration.space.variables):
        for point in exploration.space.corners():
            with contextlib.suppress(NnarchError):
                yield exploration.config(point)


@contextlib.contextmanager
def start(
    exploring: Exploring, root: Path, command: Sequence[str], overrides: Sequence[str] = ()
) -> Iterator[SearchDir]:
    """The search's directory below `root`, held against other processes until the end.

    Where the same search of the same data has begun there, it goes on in the directory it has.
    """
    earlier = searchdir.same(root, exploring.exploration.identity())
    if earlier is None or earlier.fingerprint != exploring.fingerprint:
        with _made(exploring, root, command, overrides) as home:
            yield home
        return
    with earlier.lock():
        _take_up(exploring, earlier)
        yield earlier


def resume(home: SearchDir, exploration: Exploration, changed_data: bool = False) -> Exploring:
    """Bring a search, which the caller holds, to where it goes on from.

    Args:
        exploration: what it is to explore now, as `searching.config.load` gives it.
        changed_data: go on although the data is not what trials were trained on.

    Raises: ConfigError, DataError, RunError or MachineError, with nothing written.
    """
    exploring = prepare(exploration, home.is_exact)
    if exploring.fingerprint != home.fingerprint and not changed_data:
        raise DataError(
            f"{home}: the data has changed since the search began; expected the same rows, or "
            "--changed-data to go on with these"
        )
    _take_up(exploring, home)  # first, so that a kill in between leaves a config that is known
    home.write_config(exploration.to_yaml())
    return exploring


def _take_up(exploring: Exploring, home: SearchDir) -> None:
    """Say in run.json that a search goes on, and as what."""
    about = {key: value for key, value in home.about.items() if key not in ENDED}
    told = {**about["search"], **_told(exploring)}
    if earlier := [each for each in home.identities if each != told["identity"]]:
        told["earlier"] = earlier
    data = {"fingerprint": exploring.fingerprint}
    home.write_about({**about, "status": "running", "data": data, "search": told})


def _told(exploring: Exploring) -> dict[str, Any]:
    """What run.json says of a search from its beginning."""
    exploration = exploring.exploration
    return {
        "identity": exploration.identity(),
        "exact": exploring.exact,
        "trials": exploration.trials,
        "seeds": exploration.search.seeds,
        "objectives": exploring.objectives,
        "higher": sorted(higher(exploring.objectives)),
    }


def _made(
    exploring: Exploring, root: Path, command: Sequence[str], overrides: Sequence[str]
) -> contextlib.AbstractContextManager[SearchDir]:
    exploration, used = exploring.exploration, plugins.loaded()
    about = {
        "status": "running",
        **provenance(command),
        "overrides": list(overrides),
        "seed": exploring.first.seed,
        "device": str(exploring.device),
        "workers": exploring.workers,
        "model": exploring.first.model["name"],
        "data": {"fingerprint": exploring.fingerprint},
        "search": {**_told(exploring), "kept": []},
        "plugins": [{"path": str(p.path), "sha256": p.sha256} for p in used],
        "started": now(),
    }
    text, whole = exploration.text, exploration.to_yaml()
    sources = plugins.sources(used)
    return SearchDir.create(root, exploration.name, text, whole, about, sources)
