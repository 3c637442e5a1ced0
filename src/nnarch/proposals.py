"""What a search tries next: points of a sampler as trials that can be trained.

A proposal is a point with each of the search's seeds. It is refused where its config is, or where
a network would break a bound; that costs no training, and another is asked for in its place.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nnarch import compatibility, constraints
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.errors import NnarchError
from nnarch.exploration import Exploration
from nnarch.models import network as networks
from nnarch.registry import losses, metrics, samplers
from nnarch.samplers.sampler import Sampler
from nnarch.space import Point
from nnarch.trial import Trial, identity
from nnarch.trialtraining import data_key

WITHOUT = ("name", "device", "threads")  # of a config, which decide nothing of what comes out
TRIES = 20  # proposals that come to nothing, for each that is wanted


@dataclass(frozen=True)
class Planned:
    """A trial to be trained: its config, and what its line will say before it is."""

    config: Config
    trial: Trial


class Proposals:
    """Asks a sampler for points, and tells it what came of them.

    Attributes:
        known: trials by their ids, which are not tried again.
    """

    def __init__(
        self,
        exploration: Exploration,
        datasets: Mapping[str, Dataset],
        known: Sequence[Trial] = (),
    ):
        """Args:
        datasets: by `trialtraining.data_key`.
        known: trials of this search that are over.
        """
        search = exploration.search
        self._exploration, self._datasets = exploration, datasets
        self._bounds = [constraints.parse(text) for text in search.constraints]
        self._sampler: Sampler = samplers.build(
            search.sampler, exploration.space, len(search.objectives), search.seed
        )
        self._higher = higher(search.objectives)
        self.known = {trial.id: trial for trial in known}
        self._number = max((trial.number for trial in known), default=-1) + 1
        self._told: set[str] = set()
        self.tell(known)

    def ask(self, count: int) -> tuple[list[Planned], list[Trial]]:
        """Trials of `count` new points, or of fewer where there are none left; those refused."""
        planned: list[Planned] = []
        refused: list[Trial] = []
        points, tries = 0, TRIES * count
        while points < count and tries > 0:
            asked = self._sampler.ask(min(count - points, tries))
            if not asked:
                break
            tries -= len(asked)
            for point in asked:
                found = self._planned(point)
                if isinstance(found, Trial):
                    if found.id not in self.known:
                        refused.append(found)
                        self.known[found.id] = found
                    self._sampler.tell(point, None)
                    continue
                new = [each for each in found if each.trial.id not in self.known]
                if new:
                    points += 1
                    self._number += 1
                self.known |= {each.trial.id: each.trial for each in new}
                planned += new
        return planned, refused

    def tell(self, trials: Sequence[Trial]) -> None:
        """What came of trials, all seeds of a point together."""
        by_point: dict[str, list[Trial]] = {}
        for trial in sorted(trials, key=lambda trial: (trial.number, trial.seed)):
            by_point.setdefault(json.dumps(dict(trial.point), sort_keys=True), []).append(trial)
        for those in by_point.values():
            self._sampler.tell(those[0].point, self._values(those))

    def _values(self, trials: Sequence[Trial]) -> list[float] | None:
        """The means of the objectives over seeds, all to be made small; None after a failure."""
        means = []
        for name in self._exploration.search.objectives:
            values = [trial.objective(name) for trial in trials]
            there = [value for value in values if value is not None]
            if len(there) < len(values) or any(t.status in ("failed", "refused") for t in trials):
                return None
            mean = sum(there) / len(there)
            means.append(-mean if name in self._higher else mean)
        return means

    def _planned(self, point: Point) -> "list[Planned] | Trial":
        shown = self._exploration.space.shown(point)
        found = []
        try:
            first = self._exploration.config(point)
            for seed in range(first.seed, first.seed + self._exploration.search.seeds):
                config = first if seed == first.seed else self._exploration.config(point, seed)
                config = self._completed(config)
                config = (
                    config.model_copy(update={"threads": 1})
                    if (config.threads == "auto")
                    else config
                )
                told = config.model_dump(mode="json")
                id = identity({key: value for key, value in told.items() if key not in WITHOUT})
                trial = Trial(id, self._number, seed, point, shown, told, "refused")
                found.append(Planned(config, trial))
            if broken := self._broken(found[0].config):
                return replace(found[0].trial, reason=broken)
        except NnarchError as error:
            id = identity({"point": dict(point)})
            return Trial(id, self._number, 0, point, shown, {}, "refused", error.lines[0])
        return found

    def _completed(self, config: Config) -> Config:
        dataset = self._datasets[data_key(config)]
        return compatibility.completed(config, dataset.task)

    def _broken(self, config: Config) -> str | None:
        """The bound that the network of a config breaks, if it breaks one."""
        if not self._bounds:
            return None
        dataset = self._datasets[data_key(config)]
        had = quantities(config, dataset)
        for bound in self._bounds:
            if not bound.satisfied(had):
                told = " + ".join(f"{name} {had[name]:,.0f}" for name in bound.quantities)
                return f"{told}: not {bound.text}"
        return None


def quantities(config: Config, dataset: Dataset) -> dict[str, float]:
    """What a network has of each quantity that may be bound, before it is made."""
    assert config.loss is not None
    with config.locating("model"):
        loss = losses.build(config.loss, dataset.task)
        spec, inputs, outputs = config.model, dataset.inputs, loss.outputs
        described, network = networks.unallocated(spec, inputs, outputs)
        size = networks.size_of(described, network, inputs)
    layers = [module for module in network.modules() if _has_weights(module)]
    return {
        "params": float(size.parameters),
        "flops": float(size.flops),
        "depth": float(len(layers)),
        "width": float(max((_width(module) for module in layers), default=0)),
    }


def _has_weights(module: Any) -> bool:
    return any(weight.dim() > 1 for weight in module.parameters(recurse=False))


def _width(module: Any) -> int:
    return max(weight.shape[0] for weight in module.parameters(recurse=False) if weight.dim() > 1)


def higher(objectives: Sequence[str]) -> Collection[str]:
    """The objectives that are to be large."""
    found = set()
    for name in objectives:
        metric = name.removeprefix("val_")
        if name.startswith("val_") and metric != "loss" and metrics.get(metric).facts["higher"]:
            found.add(name)
    return found
