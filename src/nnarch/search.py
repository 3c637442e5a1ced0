"""The search: it asks what to try, has it trained, hears what came of it, and keeps all on disk.

It goes in rounds. A round's trials are trained side by side, in stacks and by several processes;
what came of each is written down at once, so that a search which is killed loses at most what was
under way. The sampler hears of a round when all of it is over, so that what it asks next does not
hang on which process was quicker. To go on is to begin again with what is written down as known.
"""

import contextlib
import json
import math
import shlex
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nnarch import config as configs
from nnarch import devices, ensemble, experiment, machine, plugins, ranking
from nnarch import run as runs
from nnarch.config import Config
from nnarch.data.dataset import Dataset
from nnarch.errors import Interrupted, MachineError, NnarchError, SearchFailed
from nnarch.exploration import Exploration
from nnarch.interrupts import BrokenOff, Stop
from nnarch.progress import Progress
from nnarch.proposals import Planned, Proposals, higher
from nnarch.provenance import now, provenance
from nnarch.ranking import Row
from nnarch.registry import pruners
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir
from nnarch.trial import Trial
from nnarch.trialtraining import Limits, Order, Outcome, TrialTraining, data_key
from nnarch.workers import Done, Here, Told, Workers

LISTENING = 64  # trials of a round of a sampler that learns from them
DEAF = {"random": 1024, "grid": 1024, "quasirandom": 1024}  # of one that does not
A_TASK = 96  # trials
PATIENCE = 0.2  # seconds between two looks at signals
GRACE = 10.0  # times the limit of a trial, after which a worker that is silent is killed


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
        """How many processes train; one on a GPU, which is this one."""
        wanted = self.exploration.search.workers
        if self.device.type != "cpu":
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
        kept = searching.keep(ensemble_of)
        ending |= {"status": "finished", "exit_code": 0, **searching.results(kept)}
        failed = Counter(trial.status for trial in searching.trials)["failed"]
        if failed:
            ending["exit_code"] = SearchFailed.exit_code
            raise SearchFailed(_of_failures(searching.trials, failed))
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
        home.tidy()
        self.trials = home.trials.read()
        again = [trial for trial in self.trials if trial.status != "failed"]
        self._proposals = Proposals(exploring.exploration, exploring.datasets, again)
        self._learn_from_earlier()
        self._before = len(self.trials)
        self._began = time.monotonic()
        self._deadline = math.inf
        if search.seconds is not None:
            self._deadline = self._began + search.seconds - spent
        self._running = 0
        self._planned: dict[str, Planned] = {}
        self._fresh: list[Trial] = []  # that ended since the last that was told
        self._uncommitted: list[Trial] = []

    def go(self) -> Iterator[Progress]:
        """Try all that is left."""
        work = partial(
            TrialTraining,
            self._exploring.datasets,
            self._exploring.device,
            self._exploring.exact,
            "latency" in self._exploring.objectives,
        )
        count = self._exploring.workers
        made = (
            Workers(count, partial(_work, work))
            if count > 1
            else Here(partial(_work, partial(work, check=self._check)))
        )
        with made as crew:
            yield self._progress()
            for rungs, kept, size in self._rounds():
                planned, refused = self._proposals.ask(size)
                self._record(refused)
                if not planned:
                    break
                yield from self._round(crew, planned, rungs, kept)

    def _rounds(self) -> Iterator[tuple[tuple[float, ...], tuple[int, ...], int]]:
        """Rungs, how many are kept after each, and points, of one round after the other."""
        search, exploration = self._search, self._exploring.exploration
        usual = DEAF.get(search.sampler["name"], min(LISTENING, max(8, exploration.trials // 8)))
        pruner = pruners.build(search.pruner) if search.pruner else None
        epochs = self._exploring.first.epochs
        brackets = pruner.brackets(epochs, min(usual, exploration.trials)) if pruner else None
        while (left := exploration.trials - self._done_points()) > 0:
            if time.monotonic() >= self._deadline:
                return
            if brackets is None:
                yield (math.inf,), (), min(usual, left)
            else:
                bracket = next(brackets)
                yield bracket.rungs, bracket.kept, min(bracket.trials, left)

    def _done_points(self) -> int:
        return len({t.number for t in self.trials if t.status != "refused"})

    def _round(
        self, crew: Any, planned: Sequence[Planned], rungs: Sequence[float], kept: Sequence[int]
    ) -> Iterator[Progress]:
        """Train trials to the end, or as far as they are worth it."""
        self._planned = {each.trial.id: each for each in planned}
        tasks: list[tuple[int | None, Any]] = [
            (None, ("begin", [_order(e) for e in piece])) for piece in _pieces(planned, crew.count)
        ]
        over: list[Trial] = []
        for place, rung in enumerate(rungs):
            last = place == len(rungs) - 1
            waiting: dict[str, tuple[int, Outcome]] = {}
            for worker, outcome in self._outcomes(crew, tasks, math.inf if last else rung):
                if outcome is None:
                    yield self._progress()
                    continue
                if outcome.status is None:
                    waiting[outcome.id] = worker, outcome
                    continue
                over.append(self._ended(outcome))
                yield self._progress()
            if last or not waiting:
                break
            chosen = self._chosen(waiting, kept[place])
            for id, (_, outcome) in waiting.items():
                if id not in chosen:
                    why = f"not among the best {kept[place]} after {outcome.epochs} epochs"
                    over.append(self._ended(replace(outcome, status="pruned", reason=why)))
            by_worker: dict[int, list[str]] = {}
            for id in chosen:
                by_worker.setdefault(waiting[id][0], []).append(id)
            tasks = [(worker, ("go on", ids)) for worker, ids in by_worker.items()]
            yield self._progress()
        self._proposals.tell(over)

    def _chosen(self, waiting: dict[str, tuple[int, Outcome]], count: int) -> list[str]:
        """The best of those that wait, all seeds of a point together."""
        so_far = [
            replace(self._trial(outcome), status="finished") for _, outcome in waiting.values()
        ]
        rows = ranking.best(so_far, self._exploring.objectives, self._higher)
        seeds = self._search.seeds
        return [trial.id for row in rows[: math.ceil(count)] for trial in row.trials][
            : count * seeds
        ]

    @property
    def _higher(self) -> set[str]:
        return set(higher(self._exploring.objectives))

    def _outcomes(
        self, crew: Any, tasks: Sequence[tuple[int | None, Any]], until: float
    ) -> Iterator[tuple[int, Outcome | None]]:
        """What comes of tasks, each of which any worker does, or the one that is named."""
        limits = Limits(until, self._deadline, self._search.trial_seconds or math.inf)
        queue, busy = list(tasks), {}
        while queue or busy:
            for worker in range(crew.count):
                if worker not in busy and (task := _next(queue, worker)) is not None:
                    busy[worker] = {o.id if isinstance(o, Order) else o for o in task[1]}
                    self._running += len(busy[worker])
                    crew.send(worker, (*task, limits), self._patience(len(busy[worker])))
            self._heed()
            for heard in crew.heard(PATIENCE):
                if isinstance(heard, Told):
                    for outcome in heard.message:
                        busy[heard.worker].discard(outcome.id)
                        self._running -= 1
                        yield heard.worker, outcome
                    self._commit()
                elif isinstance(heard, Done):
                    left = busy.pop(heard.worker)
                    self._running -= len(left)
                    yield from self._after_fault(heard, left, queue)
            yield -1, None

    def _after_fault(
        self, done: Done, left: set[str], queue: list[tuple[int | None, Any]]
    ) -> Iterator[tuple[int, Outcome]]:
        """What becomes of trials whose process did not come to their end.

        One that was by itself has failed; others may be innocent, and are each tried by
        themselves.
        """
        if not left:
            return
        if len(left) == 1 or done.fault is None:
            fault = (done.fault or "came to no end").strip().splitlines()[-1]
            if done.fault and "\n" in done.fault:
                self._home.log(done.fault)
            for id in left:
                yield done.worker, Outcome(id, "failed", fault)
            return
        for id in sorted(left):
            queue.append((None, ("begin", [_order(self._planned[id])])))

    def _patience(self, trials: int) -> float | None:
        limit = self._search.trial_seconds
        return None if limit is None else GRACE + 2 * limit * trials

    def _heed(self) -> None:
        if self._stop.signal_number is not None:
            command = f"nnarch resume {shlex.quote(str(self._home))}"
            done = len(self.trials)
            raise Interrupted(
                f"interrupted after {done:,} trials; go on with: {command}",
                self._stop.signal_number,
            )

    def _check(self) -> None:
        """In the process that searches and trains: end what is under way after a signal."""
        if self._stop.signal_number is not None:
            raise BrokenOff

    def _trial(self, outcome: Outcome) -> Trial:
        told = {
            name: getattr(outcome, name)
            for name in ("epochs", "best_epoch", "figures", "history", "parameters", "flops",
                         "latency", "how", "reason")
        }  # fmt: skip
        status = outcome.status or "finished"
        history = {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in outcome.history.items()
        }
        return replace(
            self._planned[outcome.id].trial,
            status=status,
            **{**told, "history": history, "seconds": round(outcome.seconds, 6)},
        )

    def _ended(self, outcome: Outcome) -> Trial:
        trial = self._trial(outcome)
        if trial.status == "pruned" and not trial.epochs:
            return trial  # there was no time for it: another day
        self._record([trial])
        return trial

    def _record(self, trials: Sequence[Trial]) -> None:
        if trials:
            ids = {trial.id for trial in trials}
            self.trials = [t for t in self.trials if t.id not in ids] + list(trials)
            self._fresh += trials
            self._uncommitted += trials

    def _commit(self) -> None:
        """Bring what has ended to the disk."""
        if self._uncommitted:
            self._home.trials.append(self._uncommitted)
            self._uncommitted = []

    def _learn_from_earlier(self) -> None:
        if self._search.warm_start is None:
            return
        earlier = SearchDir.open(Path(self._search.warm_start)).trials.read()
        domains = {v.key: v.domain for v in self._exploring.exploration.space.variables}
        fitting = [
            trial
            for trial in earlier
            if trial.status == "finished"
            and all(k in domains and domains[k].contains(v) for k, v in trial.point.items())
        ]
        self._proposals.tell(fitting)

    def _progress(self) -> Progress:
        counts = Counter(trial.status for trial in self.trials)
        objectives = self._exploring.objectives
        rows = ranking.best(self.trials, objectives, self._higher)
        fresh, self._fresh = self._fresh, []
        seconds = time.monotonic() - self._began
        limit = self._deadline - self._began
        return Progress(
            counts["finished"],
            counts["failed"],
            counts["pruned"],
            counts["refused"],
            self._running,
            self._exploring.exploration.trials * self._search.seeds + counts["refused"],
            rows[0].trials[0] if rows else None,
            objectives[0],
            seconds,
            self._before,
            limit if limit < math.inf else None,
            fresh,
        )

    def rows(self) -> list[Row]:
        """Points from the best to the worst."""
        return ranking.best(self.trials, self._exploring.objectives, self._higher)

    def keep(self, ensemble_of: int) -> list[RunDir]:
        """Train the best alone, as ordinary runs; those that are there already are left."""
        self._commit()
        there = {}
        for run in self._home.kept():
            about = run.about
            if about.get("status") == "finished" and isinstance(about.get("trial"), str):
                there[about["trial"]] = run
        kept = []
        for row in self.rows()[: max(self._search.keep, ensemble_of)]:
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

    def results(self, kept: Sequence[RunDir]) -> dict[str, Any]:
        """What run.json says of a search that is over."""
        rows, objectives = self.rows(), self._exploring.objectives
        counts = Counter(trial.status for trial in self.trials)
        best = dict(zip(objectives, rows[0].means, strict=True)) if rows else {}
        return {
            "results": {
                "trials": dict(counts),
                "best": best,
                "best_trial": rows[0].trials[0].id if rows else None,
                "shown": dict(rows[0].trials[0].shown) if rows else {},
                "higher": sorted(self._higher),
            }
        }


def config_of(trial: Trial) -> Config:
    """The complete config of a trial, to be trained alone."""
    return configs.load(dict(trial.config))


def _order(planned: Planned) -> Order:
    return Order(planned.trial.id, json.dumps(planned.trial.config))


def _work(make: Any) -> Any:
    """What a process does with a task of the search."""
    training: TrialTraining = make()

    def work(task: tuple[str, Any, Limits]) -> Iterator[list[Outcome]]:
        what, given, limits = task
        yield from (training.begin if what == "begin" else training.go_on)(given, limits)

    return work


def _next(queue: list[tuple[int | None, Any]], worker: int) -> Any:
    """The next task that a worker may do, taken from the queue."""
    for place, (who, task) in enumerate(queue):
        if who is None or who == worker:
            del queue[place]
            return task
    return None


def _pieces(planned: Sequence[Planned], workers: int) -> list[list[Planned]]:
    """Tasks of trials that look alike, so that they make large stacks, the longest first."""
    size = max(1, min(A_TASK, math.ceil(len(planned) / workers)))
    ordered = sorted(planned, key=lambda each: _likeness(each.config))
    pieces = [ordered[begin : begin + size] for begin in range(0, len(ordered), size)]
    return sorted(pieces, key=lambda piece: -sum(_size(each.config.model) for each in piece))


def _likeness(config: Config) -> tuple[str, float]:
    """Configs that differ in numbers alone come to stand beside each other, the small first."""
    alike = _shape([config.model, config.optimizer["name"], config.batch_size, config.seed])
    return json.dumps(alike), _size(config.model)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return value if isinstance(value, str | bool) or value is None else 0


def _size(value: Any) -> float:
    """About how large the numbers of a model are, together."""
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list):
        return sum(map(_size, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else 0.0


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
