"""What a search tries next: points of a sampler as trials that can be trained.

A proposal is a point with each of the search's seeds. It is refused where its config is, or where
a network would break a bound; that costs no training, and another is asked for in its place.

A search that was ended may have left points of which some seeds are missing, or were broken off
when its time was over: these come first, so that no point stays with less than the others have.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from nnarch import compatibility, constraints
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.errors import NnarchError
from nnarch.exploration import Exploration
from nnarch.models import network as networks
from nnarch.registry import losses, metrics, samplers
from nnarch.samplers.sampler import Sampler
from nnarch.searching.trialtraining import data_key
from nnarch.space.space import Point
from nnarch.trial import Trial, identity

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
        self.known = {trial.id: trial for trial in known if not trial.is_broken_off}
        used = {trial.number for trial in known}
        self._numbers = (number for number in count() if number not in used)
        self._number = next(self._numbers)
        self._begun: list[Trial] = []  # one of each point that is to be finished
        for those in _by_point(known):
            if self._is_whole(those):
                self._sampler.tell(those[0].point, self._values(those))
            else:
                self._begun.append(those[0])

    @property
    def begun(self) -> int:
        """How many points of those that are known are to be finished."""
        return len(self._begun)

    def ask(self, wanted: int) -> tuple[list[Planned], list[Trial]]:
        """Trials of so many points, or of fewer where there are none left; those refused.

        Points that were begun come first, with what they lack.
        """
        planned: list[Planned] = []
        refused: list[Trial] = []
        begun, self._begun = self._begun[:wanted], self._begun[wanted:]
        for trial in begun:
            new, not_to_be = self._new(trial.point, trial.number)
            planned += new
            refused += not_to_be
        points, tries = len(begun), TRIES * wanted
        while points < wanted and tries > 0:
            asked = self._sampler.ask(min(wanted - points, tries))
            if not asked:
                break
            tries -= len(asked)
            for point in asked:
                new, not_to_be = self._new(point, self._number)
                planned += new
                refused += not_to_be
                points += bool(new)
                if not_to_be:
                    self._sampler.tell(point, None)
                if new or not_to_be:
                    self._number = next(self._numbers)
        return planned, refused

    def tell(self, trials: Sequence[Trial]) -> None:
        """What came of trials, all seeds of a point together."""
        for those in _by_point(trials):
            self._sampler.tell(those[0].point, self._values(those))

    def _is_whole(self, trials: Sequence[Trial]) -> bool:
        """Whether nothing is missing of a point, of which these trials have ended."""
        if any(trial.status == "refused" for trial in trials):
            return True
        there = sum(trial.id in self.known for trial in trials)
        return there >= self._exploration.search.seeds

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

    def _new(self, point: Point, number: int) -> tuple[list[Planned], list[Trial]]:
        """The trials of a point that are not known, as from now on they are; or its refusal."""
        found = self._planned(point, number)
        if isinstance(found, Trial):
            planned, refused = [], [found] if found.id not in self.known else []
        else:
            planned = [each for each in found if each.trial.id not in self.known]
            refused = []
        self.known |= {trial.id: trial for trial in (*(p.trial for p in planned), *refused)}
        return planned, refused

    def _planned(self, point: Point, number: int) -> "list[Planned] | Trial":
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
                trial = Trial(id, number, seed, point, shown, told, "refused")
                found.append(Planned(config, trial))
            if broken := self._broken(found[0].config):
                return replace(found[0].trial, reason=broken)
        except NnarchError as error:
            id = identity({"point": dict(point)})
            return Trial(id, number, 0, point, shown, {}, "refused", error.lines[0])
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


def _by_point(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """Trials by their points, in the order of their numbers, each point's by seed."""
    found: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: (trial.number, trial.seed)):
        found.setdefault(json.dumps(dict(trial.point), sort_keys=True), []).append(trial)
    yield from found.values()


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
