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
from functools import partial
from typing import Any

from nnarch import causes, ensemble, experiment, resumption
from nnarch import config as configs
from nnarch import run as runs
from nnarch.config import Config
from nnarch.errors import Interrupted, MachineError, NnarchError, SearchFailed
from nnarch.experiment import Experiment
from nnarch.interrupts import BrokenOff, Stop
from nnarch.progress import Progress
from nnarch.provenance import now
from nnarch.rundir import RunDir
from nnarch.searchdir import SearchDir
from nnarch.searching import pace, rounds
from nnarch.searching.exploring import Exploring
from nnarch.searching.limits import Limits
from nnarch.searching.proposals import TRIES, Proposals, higher
from nnarch.searching.rounds import Crew, Rounds
from nnarch.searching.tally import Tally
from nnarch.searching.trialtraining import TrialTraining, data_key
from nnarch.searching.workers import Here, Workers
from nnarch.trial import NO_TIME, Trial


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
        searching = _Searching(exploring, home, stop, about.get("seconds", 0.0), ensemble_of)
        yield from searching.go()
        searching.keep()
        ending |= {"status": "finished", "exit_code": 0, **searching.results()}
        if failure := _failure(searching.tally.trials):
            ending["exit_code"] = SearchFailed.exit_code
            raise SearchFailed(failure)
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


def _failure(trials: Sequence[Trial]) -> str | None:
    """What went wrong: trials failed, or none came to its end."""
    counts = Counter(trial.status for trial in trials)
    failed = counts["failed"]
    if not failed and counts["finished"]:
        return None
    reasons = [each.reason or "" for each in trials if each.status == "failed" or not failed]
    if not reasons:
        return f"no trial was begun: {NO_TIME}"
    cause, times = causes.counted(reasons)[0]
    if not failed:
        told = ", ".join(f"{number:,} {status}" for status, number in counts.items())
        return f"no trial finished: {told}; {times:,} times: {cause}"
    all_of = "all" if failed == len(trials) else f"{failed:,} of {len(trials):,}"
    return f"{all_of} trials failed; {times:,} times: {cause}"


class _Searching:
    """A search under way."""

    def __init__(
        self, exploring: Exploring, home: SearchDir, stop: Stop, spent: float, ensemble_of: int
    ):
        self._exploring, self._home, self._stop = exploring, home, stop
        search = self._search = exploring.exploration.search
        self._higher = higher(exploring.objectives)
        home.tidy()
        self._ensemble_of, self._kept = ensemble_of, max(search.keep, ensemble_of)
        self.tally = Tally(home, exploring.objectives, self._higher, self._kept)
        self._proposals = Proposals(exploring.exploration, exploring.datasets, self.tally.trials)
        self._proposals.tell(exploring.earlier)
        # A search that was killed could not say how long it took; its trials can.
        spent = max(spent, sum(each.seconds for each in self.tally.trials) / exploring.workers)
        self._began = time.monotonic()
        self._deadline, self._time_over = math.inf, False
        if search.seconds is not None:
            self._deadline = self._began + search.seconds - spent

    def go(self) -> Iterator[Progress]:
        """Try all that is left."""
        limits = Limits(math.inf, self._deadline, self._search.trial_seconds or math.inf)
        with self._crew() as crew:
            under_way = Rounds(crew, self.tally, limits, self._home.log)
            yield self._progress(under_way)
            fruitless = 0  # trials that were refused since one was not
            rounds_of = pace.brackets(
                self._search,
                self._exploring.points,
                self._exploring.first.epochs,
                self._exploring.workers,
                self._left,
                self._deadline,
            )
            for bracket in rounds_of:
                planned, refused = self._proposals.ask(bracket.trials)
                self.tally.record(refused)
                if not planned:
                    break
                with contextlib.suppress(BrokenOff):  # by a signal, which is heeded below
                    for _ in under_way.go(planned, bracket):
                        self._heed()
                        yield self._progress(under_way)
                self._heed()
                numbers = {each.trial.number for each in planned}
                over = [trial for trial in self.tally.trials if trial.number in numbers]
                self._proposals.tell(over)
                fruitless = 0 if _any_began(over) else fruitless + len(over)
                if fruitless >= TRIES * self._exploring.points:
                    break
        self.tally.commit()
        is_missing = self._left() > 0 or any(each.is_broken_off for each in self.tally.trials)
        self._time_over = time.monotonic() > self._deadline and is_missing

    def _left(self) -> int:
        """How many points are to be tried yet."""
        return self._exploring.points - self.tally.points + self._proposals.begun

    def _crew(self) -> Crew:
        """What trains: as many processes as there are workers, or this one."""
        exploring = self._exploring
        timed = "latency" in exploring.objectives
        given = exploring.datasets, exploring.device, exploring.exact, timed, self.tally.leaders
        make = partial(TrialTraining, *given)
        if exploring.workers > 1:
            return Workers(exploring.workers, partial(rounds.work, make))
        return Here(partial(rounds.work, partial(make, check=self._check)))

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
            self._exploring.points * self._search.seeds + counts["refused"],
            self.tally.leader(),
            self._exploring.objectives[0],
            seconds,
            self.tally.before,
            limit if limit < math.inf else None,
            self.tally.fresh(),
        )

    def keep(self) -> None:
        """Make runs of the best, unless there are, and say in run.json which they are."""
        there = {str(run.about.get("trial")): run for run in reversed(self._home.kept())}
        best = [row.trials[0] for row in self.tally.rows()[: self._kept]]
        kept = [self._kept_run(trial, there.get(trial.id)) for trial in best]
        if self._ensemble_of > 1 and len(kept) > 1:
            several = kept[: self._ensemble_of]
            name = f"{self._exploring.exploration.name[:70]}-ensemble"
            kept.append(ensemble.make(several, self._home.runs_root, name))
        about = self._home.about
        about["search"] = {**about["search"], "kept": [run.path.name for run in kept]}
        self._home.write_about(about)
        self._home.leaders.clear()

    def _kept_run(self, trial: Trial, begun: RunDir | None) -> RunDir:
        """The run of a trial, which is made, or goes on, where it is not there to its end."""
        if begun and begun.about.get("status") == "finished":
            return begun
        self._heed()
        command = ["nnarch", "train", str(self._home), "--trial", trial.id]
        if begun:
            with begun.lock():
                ready = resumption.prepare(begun, command=command).experiment
                self._finish(ready, begun)
            return begun
        config = config_of(trial)
        leader = self._home.leaders.load(trial.id)
        dataset = self._exploring.datasets[data_key(config)]
        ready = experiment.with_data(config, dataset, leader.last.state if leader else None)
        told = {"trial": trial.id, "search": self._home.path.name}
        told |= {"trained": trial.how, "seconds": trial.seconds} if leader else {}
        with runs.start(ready, self._home.runs_root, command, about=told) as run:
            if leader:
                run.append_history(leader.last.history)
                run.save_checkpoint(leader.last, leader.best)
                run.log(f"what trial {trial.number} came to, trained {trial.how}")
            self._finish(ready, run)
        return run

    def _finish(self, ready: Experiment, run: RunDir) -> None:
        """Train the epochs that are left, of which there are none where a leader was kept."""
        try:
            for _ in runs.train(ready, run, self._stop):
                pass
        except Interrupted:
            self._heed()  # what goes on is the search
            raise

    def results(self) -> dict[str, Any]:
        """What run.json says of a search that is over."""
        rows, objectives = self.tally.rows(), self._exploring.objectives
        best = dict(zip(objectives, rows[0].means, strict=True)) if rows else {}
        return {
            "results": {
                "trials": dict(self.tally.counts()),
                "broken_off": sum(trial.is_broken_off for trial in self.tally.trials),
                "time_over": self._time_over,
                "best": best,
                "best_trial": rows[0].trials[0].id if rows else None,
                "shown": dict(rows[0].trials[0].shown) if rows else {},
                "higher": sorted(self._higher),
            }
        }


def _any_began(trials: Sequence[Trial]) -> bool:
    return any(trial.status != "refused" for trial in trials)


def config_of(trial: Trial) -> Config:
    """The complete config of a trial, to be trained alone."""
    return configs.load(dict(trial.config))
