"""The weights of another run as those that a network begins with.

Only the network's tensors are taken, and each only where name and shape are equal: the heads of
two tasks differ, and what lies below them need not. What is not taken is said, and why. How the
other run prepared its rows stays there, since this run's own rows decide that anew.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nnarch import config as configs
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.errors import ConfigError, RunError
from nnarch.listing import runlist
from nnarch.members import ENSEMBLE
from nnarch.optim.groups import few
from nnarch.rundir import ABOUT, CHECKPOINTS, RunDir
from nnarch.searchdir import KIND as SEARCH
from nnarch.searchdir import SearchDir

KEY = ("init_from",)


@dataclass(frozen=True)
class WarmStart:
    """Where a network's first weights are from.

    Attributes:
        run: the name of the run.
        checkpoint: the SHA-256 of its checkpoint's manifest.
        sentence: what was taken, and what not.
        warnings: what is likely not meant.
    """

    path: str
    run: str
    checkpoint: str
    sentence: str
    warnings: list[str]

    @property
    def origin(self) -> dict[str, str]:
        return {"path": self.path, "run": self.run, "checkpoint": self.checkpoint}


def begin(network: nn.Module, config: Config, dataset: Dataset) -> WarmStart | None:
    """Give `network` the best weights of the run that `config` names, if it names one.

    Raises: RunError where the run is missing or damaged, ConfigError where it is a search or an
        ensemble, or nothing of it fits.
    """
    if config.init_from is None:
        return None
    source = _source(config)
    run, taken = source.run, _taken(network, config, source)
    network.load_state_dict(taken, strict=False)
    numbers = sum(tensor.numel() for tensor in taken.values())
    here = _tensors(network)
    left = list(_left(here, source.tensors))
    sentence = (
        f"begins with {len(taken)} of {len(here)} tensors ({numbers:,} numbers) from "
        f"{run.path.name}" + (f"; not with {few(left)}" if left else "")
    )
    warnings = [*_prepared_otherwise(source.meta, dataset), *_split_otherwise(run, config, dataset)]
    id = str(source.about.get("id"))
    return WarmStart(config.init_from, id, source.digest, sentence, warnings)


def check(config: Config, network: nn.Module | None = None) -> None:
    """See that there is what `config` begins with, and that something of it fits `network`.

    Args:
        network: one like it, which may be without memory; None where shapes are not known yet.

    Raises: as `begin` does.
    """
    if config.init_from is not None:
        source = _source(config)
        if network is not None:
            _taken(network, config, source)


@dataclass(frozen=True)
class _Source:
    """A run that a network may begin with, and its best one."""

    run: RunDir
    about: dict[str, Any]
    meta: Mapping[str, Any]
    tensors: dict[str, Tensor]
    digest: str


def _source(config: Config) -> _Source:
    assert config.init_from is not None
    run = RunDir(Path(config.init_from))
    try:
        about = _about(run, config)
        saved = run.load_checkpoint()
        tensors, digest = saved.below("network."), run.checkpoint_sha256()
        return _Source(run, about, saved.meta, tensors, digest)
    except RunError as error:
        raise RunError(str(config.fault(KEY, str(error)))) from error


def _taken(network: nn.Module, config: Config, source: _Source) -> dict[str, Tensor]:
    """The tensors of a run that have a place in `network`."""
    there, here = source.tensors, _tensors(network)
    taken = {name: there[name] for name in here if _fits(name, here, there)}
    if not taken:
        raise config.fault(
            KEY,
            f"no tensor of {source.run.path.name} ({few(sorted(there))}) has the name and shape of "
            f"one of {config.model['name']} ({few(list(here))})",
        )
    return taken


def _about(run: RunDir, config: Config) -> dict[str, Any]:
    """What `run.json` says of a run that trained one network."""
    if not (run.path / ABOUT).exists():
        raise RunError(f"got {run}, where there is no {ABOUT}; expected the directory of a run")
    about = run.about
    if (kind := about.get("kind")) in (SEARCH, ENSEMBLE):
        near = next((f", such as {one}" for one in _single(run, about)), "")
        wanted = f"expected the directory of a run that trained one network{near}"
        raise config.fault(KEY, f"got {run}, which is of kind {kind}; {wanted}")
    return about


def _single(run: RunDir, about: Mapping[str, Any]) -> Iterator[RunDir]:
    """Runs of one network: of a search those that it keeps, of an ensemble its own beside it."""
    if about["kind"] == SEARCH:
        near = SearchDir(run.path).kept()
    else:
        names = about.get("members")
        told = names if isinstance(names, list) else []
        near = [one for one in runlist.runs(run.path.parent) if one.path.name in told]
    return (one for one in near if (one.path / CHECKPOINTS).is_dir())


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    state = network.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _fits(name: str, here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> bool:
    return name in there and there[name].shape == here[name].shape


def _left(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> Iterator[str]:
    """What was not taken, and why."""
    for name in here:
        if name not in there:
            yield f"{name} (not in the run)"
        elif not _fits(name, here, there):
            yield f"{name} ({_size(here[name])} here, {_size(there[name])} in the run)"
    yield from (f"{name} (not in the network)" for name in sorted(there) if name not in here)


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "1"


def _prepared_otherwise(meta: Mapping[str, Any], dataset: Dataset) -> Iterator[str]:
    ours, theirs = json.loads(json.dumps(dataset.preprocess.spec)), meta.get("preprocess")
    theirs = theirs if isinstance(theirs, dict) else {}
    parts = [part for part in ours if ours[part] != theirs.get(part)]
    if parts:
        yield f"init_from: the run prepared its {' and '.join(parts)} otherwise than this one does"


def _split_otherwise(run: RunDir, config: Config, dataset: Dataset) -> Iterator[str]:
    """Weights that have learnt from what are test rows now make the test worthless."""
    data = run.about.get("data")
    if not isinstance(data, dict) or data.get("fingerprint") != dataset.fingerprint:
        return
    with contextlib.suppress(ConfigError):  # of components that are not here: nothing is known
        if configs.load(run.config).data["split"] != config.data["split"]:
            yield "init_from: the run split this data otherwise; it learnt from some test rows"
