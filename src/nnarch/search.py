"""The search: it asks what to try, has it trained, hears what came of it, and keeps all on disk.

It goes in rounds. A round's trials are trained side by side, in stacks and by several processes;
what came of each is written down at once, so that a search which is killed loses at most what was
under way. The sampler hears of a round when all of it is over, so that what it asks next does not
hang on which process was quicker. To go on is to begin again with what is written down as known.
"""

import contextlib
import math
import shlex
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import torch

from nnarch import config as configs
from nnarch import devices, ensemble, experiment, machine, plugins, ranking, rounds
from nnarch import run as runs
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.errors import Interrupted, MachineError, NnarchError, SearchFailed
from nnarch.exploration import Exploration
from nnarch.interrupts import BrokenOff, Stop
from nnarch.progress import Progress
from nnarch.proposals import Proposals, higher
from nnarch.provenance import now, provenance
from nnarch.pruners.pruner import Bracket
from nnarch.ranking import Row
from nnarch.registry import pruners
from nnarch.rounds import Crew, Rounds
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir
from nnarch.tally import Tally
from nnarch.trial import Trial
from nnarch.trialtraining import Limits, TrialTraining, data_key
from nnarch.workers import Here, Workers

LISTENING = 64  # trials of a round of a sampler that learns from them
ONE = ("auto", 1)  # threads of a trial
DEAF = {"random": 1024, "grid": 1024, "quasirandom": 1024}  # of one that does not


@dataclass
class Exploring:
    """A search made real.

    Attributes:
        datasets: by `trialtraining.data_key`.
        first: the config of the first point.
    """

    exploration: Exploration
    datasets: dict[str, Dataset]
    first: Config
    device: torch.device
    exact: bool = False

    @property
    def objectives(self) -> list[str]:
        return list(self.exploration.search.objectives)

    @property
    def workers(self) -> int:
        """How many processes train, each with one thread; one on a GPU, which is this one."""
        wanted = self.exploration.search.workers
        if self.device.type != "cpu" or (wanted == "auto" and self.first.threads not in ONE):
            return 1
        return machine.cores() if wanted == "auto" else int(wanted)


def prepare(exploration: Exploration, exact: bool = False) -> Exploring:
    """Read the data that every point is trained on.

    Raises: ConfigError, DataError or MachineError, with nothing written.
    """
    _, point = exploration.space.walk(lambda variable: variable.domain.at(0.0))
    first = exploration.config(point)
    device = devices.choose(first.device)
    datasets: dict[str, Dataset] = {}
    for config in _of_each_data(exploration, first):
        key = data_key(config)
        if key not in datasets:
            datasets[key] = experiment.data_of(config)[2]
    return Exploring(exploration, datasets, first, device, exact)


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
    """Make the search's directory below `root`, held against other processes until the end."""
    exploration, used = exploring.exploration, plugins.loaded()
    search = exploration.search
    about = {
        "status": "running",
        **provenance(command),
        "overrides": list(overrides),
        "seed": exploring.first.seed,
        "device": str(exploring.device),
        "workers": exploring.workers,
        "model": exploring.first.model["name"],
        "data": {"fingerprint": next(iter(exploring.datasets.values())).fingerprint},
        "search": {
            "identity": exploration.identity(),
            "exact": exploring.exact,
            "trials": exploration.trials,
            "seeds": search.seeds,
            "objectives": exploring.objectives,
            "higher": sorted(higher(exploring.objectives)),
            "kept": [],
        },
        "plugins": [{"path": str(p.path), "sha256": p.sha256} for p in used],
        "started": now(),
    }
    text, whole = exploration.text, exploration.to_yaml()
    sources = plugins.sources(used)
    with SearchDir.create(root, exploration.name, text, whole, about, sources) as home:
        yield home


def explore(
    exploring: Exploring, home: SearchDir, stop: Stop | None = None, ensemble_of: int = 0
) -> Generator[Progress, None, None]:
    """Try what is left to try, keep the best as runs, and say in run.json what came of it.

    Raises: SearchFailed where a trial failed, after all else is done; Interrupted or MachineError.
    """
    stop = stop or Stop()
    began, about = time.monotonic(), home.about
    ending: dict[str, Any] = {"status": "failed", "exit_code": 1}
    try:
        searching = _Searching(exploring, home, stop, about.get("seconds", 0.0))
        yield from searching.go()
        searching.keep(ensemble_of)
        ending |= {"status": "finished", "exit_code": 0, **searching.results()}
        if failed := searching.tally.counts()["failed"]:
            ending["exit_code"] = SearchFailed.exit_code
            raise SearchFailed(_of_failures(searching.tally.trials, failed))
    except SearchFailed as error:
        home.log(f"error: {error.lines[0]}")
        raise
    except NnarchError as error:
        ending["exit_code"] = error.exit_code
        ending["status"] = "interrupted" if isinstance(error, Interrupted) else "failed"
        ending["error"] = error.lines[0]
        raise
    except GeneratorExit:
        ending |= {"status": "interrupted", "exit_code": 0}
        raise
    except KeyboardInterrupt:
        ending |= {"status": "interrupted", "exit_code": 130}
        raise
    finally:
        seconds = round(about.get("seconds", 0.0) + time.monotonic() - began, 3)
        with contextlib.suppress(*[] if ending["status"] == "finished" else [MachineError]):
            home.write_about({**home.about, **ending, "ended": now(), "seconds": seconds})


def _of_failures(trials: Sequence[Trial], failed: int) -> str:
    causes = Counter(trial.reason for trial in trials if trial.status == "failed")
    cause, count = causes.most_common(1)[0]
    all_of = "all" if failed == len(trials) else f"{failed:,} of {len(trials):,}"
    return f"{all_of} trials failed; {count:,} times: {cause}"


class _Searching:
    """A search under way."""

    def __init__(self, exploring: Exploring, home: SearchDir, stop: Stop, spent: float):
        self._exploring, self._home, self._stop = exploring, home, stop
        search = self._search = exploring.exploration.search
        self._higher = higher(exploring.objectives)
        home.tidy()
        self.tally = Tally(home, exploring.objectives, self._higher)
        self._proposals = Proposals(exploring.exploration, exploring.datasets, self.tally.trials)
        self._proposals.tell(_of_earlier(exploring.exploration))
        self._began = time.monotonic()
        self._deadline = math.inf
        if search.seconds is not None:
            self._deadline = self._began + search.seconds - spent

    def go(self) -> Iterator[Progress]:
        """Try all that is left."""
        limits = Limits(math.inf, self._deadline, self._search.trial_seconds or math.inf)
        with self._crew() as crew:
            under_way = Rounds(crew, self.tally, self._ranked, limits, self._home.log)
            yield self._progress(under_way)
            for bracket in self._brackets():
                planned, refused = self._proposals.ask(bracket.trials)
                self.tally.record(refused)
                if not planned:
                    break
                over: list[Trial] = []
                for ended in under_way.go(planned, bracket):
                    over += ended
                    self._heed()
                    yield self._progress(under_way)
                self._proposals.tell(over)
        self.tally.commit()

    def _crew(self) -> Crew:
        """What trains: as many processes as there are workers, or this one."""
        exploring = self._exploring
        timed = "latency" in exploring.objectives
        make = partial(TrialTraining, exploring.datasets, exploring.device, exploring.exact, timed)
        if exploring.workers > 1:
            return Workers(exploring.workers, partial(rounds.work, make))
        return Here(partial(rounds.work, partial(make, check=self._check)))

    def _brackets(self) -> Iterator[Bracket]:
        """How many points are tried together, and how far, until all are tried."""
        search, trials = self._search, self._exploring.exploration.trials
        usual = DEAF.get(search.sampler["name"], min(LISTENING, max(8, trials // 8)))
        epochs = self._exploring.first.epochs
        brackets = repeat(Bracket(usual, (epochs,), ()))
        if search.pruner:
            brackets = pruners.build(search.pruner).brackets(epochs, min(usual, trials))
        for bracket in brackets:
            left = trials - self.tally.points
            if left <= 0 or time.monotonic() >= self._deadline:
                return
            yield replace(bracket, trials=min(bracket.trials, left))

    def _ranked(self, trials: Sequence[Trial]) -> list[Row]:
        return ranking.best(trials, self._exploring.objectives, self._higher)

    def _heed(self) -> None:
        if self._stop.signal_number is not None:
            command = f"nnarch resume {shlex.quote(str(self._home))}"
            done = len(self.tally.trials)
            raise Interrupted(
                f"interrupted after {done:,} trials; go on with: {command}",
                self._stop.signal_number,
            )

    def _check(self) -> None:
        """In the process that searches and trains: end what is under way after a signal."""
        if self._stop.signal_number is not None:
            raise BrokenOff

    def _progress(self, under_way: Rounds) -> Progress:
        counts, seconds = self.tally.counts(), time.monotonic() - self._began
        limit = self._deadline - self._began
        return Progress(
            counts["finished"],
            counts["failed"],
            counts["pruned"],
            counts["refused"],
            under_way.running,
            self._exploring.exploration.trials * self._search.seeds + counts["refused"],
            self.tally.leader(),
            self._exploring.objectives[0],
            seconds,
            self.tally.before,
            limit if limit < math.inf else None,
            self.tally.fresh(),
        )

    def keep(self, ensemble_of: int) -> list[RunDir]:
        """Train the best alone, as ordinary runs; those that are there already are left."""
        there = {}
        for run in self._home.kept():
            about = run.about
            if about.get("status") == "finished" and isinstance(about.get("trial"), str):
                there[about["trial"]] = run
        kept = []
        for row in self.tally.rows()[: max(self._search.keep, ensemble_of)]:
            trial = row.trials[0]
            if trial.id not in there:
                there[trial.id] = self._run_of(trial)
            kept.append(there[trial.id])
        if ensemble_of > 1 and len(kept) > 1:
            several = kept[:ensemble_of]
            name = f"{self._exploring.exploration.name[:70]}-ensemble"
            kept.append(ensemble.make(several, self._home.runs_root, name))
        about = self._home.about
        about["search"] = {**about["search"], "kept": [run.path.name for run in kept]}
        self._home.write_about(about)
        return kept

    def _run_of(self, trial: Trial) -> RunDir:
        self._heed()
        config = config_of(trial)
        dataset = self._exploring.datasets[data_key(config)]
        ready = experiment.with_data(config, dataset)
        told = {"trial": trial.id, "search": self._home.path.name}
        command = ["nnarch", "train", str(self._home), "--trial", trial.id]
        with runs.start(ready, self._home.runs_root, command, about=told) as run:
            for _ in runs.train(ready, run, self._stop):
                pass
        return run

    def results(self) -> dict[str, Any]:
        """What run.json says of a search that is over."""
        rows, objectives = self.tally.rows(), self._exploring.objectives
        best = dict(zip(objectives, rows[0].means, strict=True)) if rows else {}
        return {
            "results": {
                "trials": dict(self.tally.counts()),
                "best": best,
                "best_trial": rows[0].trials[0].id if rows else None,
                "shown": dict(rows[0].trials[0].shown) if rows else {},
                "higher": sorted(self._higher),
            }
        }


def _of_earlier(exploration: Exploration) -> list[Trial]:
    """What an earlier search tells of this space."""
    if exploration.search.warm_start is None:
        return []
    earlier = SearchDir.open(Path(exploration.search.warm_start)).trials.read()
    domains = {variable.key: variable.domain for variable in exploration.space.variables}
    return [
        trial
        for trial in earlier
        if trial.status == "finished"
        and all(k in domains and domains[k].contains(v) for k, v in trial.point.items())
    ]


def config_of(trial: Trial) -> Config:
    """The complete config of a trial, to be trained alone."""
    return configs.load(dict(trial.config))


def sentences(exploring: Exploring) -> list[str]:
    """What is about to happen."""
    exploration, search = exploring.exploration, exploring.exploration.search
    dataset = next(iter(exploring.datasets.values()))
    size = exploration.space.size
    points = f"{size:,} points" if size < math.inf else "points without number"
    seeds = f", each with {search.seeds} seeds" if search.seeds > 1 else ""
    pruned = f", {search.pruner['name']}" if search.pruner else ""
    processes = "this process" if exploring.workers == 1 else f"{exploring.workers} processes"
    return [
        f"{dataset.task}",
        f"{len(exploration.space.variables)} values open, {points}; {search.sampler['name']} tries "
        f"{exploration.trials:,}{seeds}{pruned}, for {', '.join(exploring.objectives)}, in "
        f"{processes} on {exploring.device}",
    ]
