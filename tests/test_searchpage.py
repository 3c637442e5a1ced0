"""What a search shows: while it runs and when it is over, at any width, whoever gave the names."""

import dataclasses
import io
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console, RenderableType

from nnarch.findings import ranking
from nnarch.findings.effects import Difference, Effects, Influence, Level, SizeClass
from nnarch.pages import searchpage, searchsummary
from nnarch.pages.searchsummary import Outcome
from nnarch.progress import Progress
from nnarch.trial import NO_TIME, Trial


def trial(number: int, loss: float | None = None, seed: int = 0, **changes: Any) -> Trial:
    told: dict[str, Any] = {
        "shown": {"model.activation": "gelu", "optimizer.lr": 0.001 * (number + 1)},
        "status": "finished" if loss is not None else "failed",
        "figures": {} if loss is None else {"val_loss": loss},
        "parameters": 1000 + number,
    }
    config = {"epochs": 30}
    return Trial(f"{number}-{seed}", number, seed, {}, config=config, **{**told, **changes})


def drawn(parts: Sequence[RenderableType], width: int = 100) -> str:
    out = Console(file=io.StringIO(), width=width, highlight=False)
    out.print(*parts, sep="\n")
    assert isinstance(out.file, io.StringIO)
    lines = [line.rstrip() for line in out.file.getvalue().splitlines()]
    assert all(len(line) <= width for line in lines)
    return "\n".join(lines)


STATE = Progress(
    done=50, failed=3, pruned=7, running=32, total=1000, best=trial(4, 0.25), seconds=3.0
)


# while it runs


def test_a_line_tells_how_far_it_is() -> None:
    assert searchpage.line(STATE) == (
        "60/1,000 trials  3 failed  7 pruned  best val_loss 0.25 (trial 4): activation=gelu, "
        "lr=0.005  20 trials/s  47.0 s left"
    )
    assert searchpage.line(Progress(total=5)) == "0/5 trials"


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_a_table_fits_its_width(width: int) -> None:
    lines = drawn([searchpage.table(STATE)], width).splitlines()
    assert lines[0].startswith("60/1,")
    assert lines[1].startswith("50 finished  32 running  3 failed  7 pruned"[: width - 1])
    assert lines[2] == "best val_loss 0.25 (trial 4)"
    assert lines[3] == "activation=gelu  lr=0.005"
    assert len(lines) == 4


def test_where_nobody_watches_ten_lines_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    with searchpage.progress(1000) as show:
        for done in range(1001):
            show(Progress(done=done, total=1000, seconds=done / 10))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [f"{i * 100:,}/1,000" for i in range(1, 11)]


def test_of_a_search_that_time_ends_lines_are_said_as_time_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with searchpage.progress(10**6) as show:
        for second in range(61):
            show(Progress(done=second, total=10**6, seconds=second, limit=60))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("/")[0] for line in lines] == [str(i * 6) for i in range(1, 11)]
    assert lines[4].endswith("30.0 s left")


def test_each_fault_is_told_once_and_later_ones_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with searchpage.progress(100) as show:
        for number in range(9):
            ended = [trial(number, reason=f"no\x1b[2J way {number}\nat all"), trial(50, 1.0)]
            show(Progress(failed=number + 1, total=100, ended=ended))
    lines = capsys.readouterr().err.splitlines()
    told = [f"trial {i} failed: no\\x1b[2J way {i} at all" for i in range(5)]
    assert lines == [*told, "trials that fail from here on are counted"]


def test_who_wants_quiet_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with searchpage.progress(2, quiet=True) as show:
        show(Progress(failed=2, total=2, ended=[trial(0)]))
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_table_stays_below_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setattr(sys, "stderr", seen := Terminal())
    with searchpage.progress(1000) as show:
        show(STATE)
        show(dataclasses.replace(STATE, failed=4, ended=[trial(7, reason="[bold]no way")]))
        print("data")
    shown = seen.getvalue()
    assert "trial 7 failed: [bold]no way" in shown
    assert "61/1,000 trials" in shown
    assert "data" not in shown


# when it is over


def influence(name: str, levels: dict[str, Difference | None], **changes: Any) -> Influence:
    told = tuple(Level(level, 10, found) for level, found in levels.items())
    best = next(iter(levels))
    return Influence(**{"name": name, "kind": "choice", "active": 30, "importance": 0.4,
                        "deviation": 0.01, "levels": told, "best": best, "trend": None,
                        **changes})  # fmt: skip


EFFECTS = Effects(
    "val_loss", False, 120, "linear", 0, 0.82,
    (
        influence("model.activation", {
            "gelu": Difference(0, 0, 0), "relu": Difference(0.1, -0.1, 0.3),
            "tanh": Difference(0.5, 0.4, 0.6), "elu": None,
        }),
        influence("model.junk", {"1": Difference(0, 0, 0), "2": Difference(0.1, -0.2, 0.4)}),
    ),
    (SizeClass(100, 900, 60, 0.5, 0.75), SizeClass(1000, 9000, 60, 0.25, 0.5)),
)  # fmt: skip


def outcome(trials: Sequence[Trial], **changes: Any) -> Outcome:
    names = changes.pop("objectives", ["val_loss"])
    rows = ranking.best(trials, names)
    told: dict[str, Any] = {"front": ranking.front(rows, names), "effects": EFFECTS}
    return Outcome("runs/s", trials, rows, names, **{**told, "seconds": 41.0, **changes})


def test_a_summary_tells_all_that_a_person_goes_on_from() -> None:
    trials = [trial(n, 0.25 + n / 100 + seed / 1000, seed) for n in range(12) for seed in range(2)]
    trials += [trial(20 + n, reason=f"epoch {n}: not finite") for n in range(3)]
    trials += [trial(30, reason="out of memory"), trial(31, 9.0, status="pruned")]
    trials += [trial(32 + n, status="refused", reason=f"params {n}: too many") for n in range(2)]
    ended = outcome(trials, kept=[("trial 0, test loss 0.3", "runs/s/runs/a")])
    assert drawn(searchsummary.blocks(ended)) == SUMMARY


SUMMARY = """\
31 trials in 41.0 s: 24 finished, 1 pruned, 4 failed, 2 refused

rank  trial          val_loss  parameters  what was open
   1      0  0.2505 ± 0.00071       1,000  activation=gelu  lr=0.001
   2      1  0.2605 ± 0.00071       1,001  activation=gelu  lr=0.002
   3      2  0.2705 ± 0.00071       1,002  activation=gelu  lr=0.003
   4      3  0.2805 ± 0.00071       1,003  activation=gelu  lr=0.004
   5      4  0.2905 ± 0.00071       1,004  activation=gelu  lr=0.005
   6      5  0.3005 ± 0.00071       1,005  activation=gelu  lr=0.006
   7      6  0.3105 ± 0.00071       1,006  activation=gelu  lr=0.007
   8      7  0.3205 ± 0.00071       1,007  activation=gelu  lr=0.008
   9      8  0.3305 ± 0.00071       1,008  activation=gelu  lr=0.009
  10      9  0.3405 ± 0.00071       1,009  activation=gelu  lr=0.01

its seeds tell the best from all others here

what mattered to val_loss, by 120 finished points, of whose variance the open values explain 82%:

open value  share  best          worse, all else equal, by how much (95% interval)
activation    40%  gelu or relu  tanh +0.5 (+0.4 to +0.6)

no clear difference: junk

by the size of the network:

    parameters  points  best val_loss  median
    100 to 900      60            0.5    0.75
1,000 to 9,000      60           0.25     0.5

3 failed: epoch 0: not finite
1 failed: out of memory
2 refused: params 0: too many

trial 0, test loss 0.3: runs/s/runs/a
all trials: runs/s/trials.jsonl
train trial 0 longer: nnarch train runs/s --trial 0-0 epochs=120"""


def test_seeds_that_do_not_tell_points_apart_say_so() -> None:
    noise = [0.1, -0.2, 0.05]
    trials = [trial(n, n + noise[(n + seed) % 3], seed) for n in (0, 5) for seed in range(3)]
    trials += [trial(1, 0.1 + noise[seed - 1], seed) for seed in range(3)]
    said = drawn(searchsummary.blocks(outcome(trials)))
    assert "its seeds do not tell the best from rank 2\n" in said


def test_several_objectives_are_shown_by_their_front() -> None:
    losses = [(0.5, 100), (0.4, 2000), (0.6, 2000), (0.9, 50)]
    trials = [trial(i, loss, parameters=size) for i, (loss, size) in enumerate(losses)]
    said = drawn(searchsummary.blocks(outcome(trials, objectives=["val_loss", "parameters"])))
    told = "trade-offs: what is better in one of val_loss and parameters is worse in another"
    assert f"{told}\n" in said
    assert said.endswith("train trial 1 longer: nnarch train runs/s --trial 1-0 epochs=120")
    rows = [line.split()[:3] for line in said.splitlines() if "gelu  lr" in line]
    assert rows == [["1", "0.4", "2,000"], ["0", "0.5", "100"], ["3", "0.9", "50"]]


def test_factors_are_told_as_factors() -> None:
    worse = Difference(1.5, 1.25, 1.75), Difference(1.1, 0.9, 1.3)
    levels: dict[str, Difference | None] = {
        "a": Difference(1, 1, 1), "b": worse[0], "c": worse[1],
        "d": Difference(2.0, 1.9, 2.1),
    }  # fmt: skip
    effects = dataclasses.replace(EFFECTS, scale="log", influences=(influence("m.x", levels),))
    said = drawn(searchsummary.blocks(outcome([trial(0, 1.0)], effects=effects)))
    assert "worse, all else equal, times as much (95% interval)\n" in said
    lines = ["x             40%  a or c  b x1.5 (1.25 to 1.75)", f"{'':27}d x2 (1.9 to 2.1)"]
    assert "\n".join(lines) in said


def test_what_is_too_little_to_tell_is_said() -> None:
    few = dataclasses.replace(EFFECTS, points=19, influences=(), sizes=())
    said = drawn(searchsummary.blocks(outcome([trial(0, 1.0)], effects=few)))
    assert "what mattered: 19 finished points are too few to tell; expected 20\n" in said


def test_where_nothing_mattered_clearly_that_is_said() -> None:
    unclear = dataclasses.replace(EFFECTS, influences=EFFECTS.influences[1:], fenced=1, sizes=())
    said = drawn(searchsummary.blocks(outcome([trial(0, 1.0)], effects=unclear)), 200)
    assert (
        "what mattered to val_loss: 120 finished points, of whose variance the open values "
        "explain 82%, tell no clear difference: junk\n\n"
        "far worse than the rest, 1 point counted as less bad than that\n" in said
    )


def test_a_clear_difference_that_has_no_room_is_not_called_unclear() -> None:
    worse: dict[str, Difference | None] = {"a": Difference(0, 0, 0), "b": Difference(2, 1, 3)}
    many = tuple(influence(f"m.x{n}", worse) for n in range(12))
    effects = dataclasses.replace(EFFECTS, influences=many, sizes=())
    said = drawn(searchsummary.blocks(outcome([trial(0, 1.0)], effects=effects)))
    assert "\nclear differences of smaller shares: x10, x11\n" in said
    assert "no clear difference" not in said


def test_where_time_was_over_it_says_how_to_go_on() -> None:
    trials = [trial(0, 0.5), trial(1, status="pruned", reason=NO_TIME, epochs=2)]
    ended = outcome(trials, time_over=True, limit=40.5)
    said = drawn(searchsummary.blocks(ended), 200)
    assert said.startswith("2 trials in 41.0 s: 1 finished, 1 broken off\n")
    assert said.endswith(
        "\nits 40.5 seconds were over, 1 trial was broken off; to go on for as long again: "
        "nnarch resume runs/s search.seconds=82"
    )
    whole = outcome(trials[:1], limit=40.5)
    assert "to go on" not in drawn(searchsummary.blocks(whole))


def test_where_all_failed_none_is_the_best() -> None:
    said = drawn(searchsummary.blocks(outcome([trial(n, reason="no") for n in range(3)],
                                              effects=None)))  # fmt: skip
    assert said.splitlines() == [
        "3 trials in 41.0 s: 3 failed", "", "3 failed: no", "",
        "no trial finished, so none is the best", "all trials: runs/s/trials.jsonl",
    ]  # fmt: skip


HOSTILE = "\x1b[2J[bold]x[/bold]\n[/nothing]"


@pytest.mark.parametrize("width", [30, 80])
def test_names_that_mean_harm_are_shown_as_they_are(width: int) -> None:
    shown = {f"model.{HOSTILE}": HOSTILE}
    trials = [trial(n, 0.1 * n, shown=shown) for n in range(3)] + [trial(9, reason=HOSTILE)]
    told = influence(HOSTILE, {HOSTILE: Difference(0, 0, 0), f"{HOSTILE}2": Difference(1, 1, 1)})
    effects = dataclasses.replace(EFFECTS, objective=HOSTILE, influences=(told,))
    ended = outcome(trials, effects=effects, kept=[(HOSTILE, HOSTILE)])
    best = Progress(done=1, total=2, best=trials[0], objective=HOSTILE)
    said = drawn([*searchsummary.blocks(ended), searchpage.table(best)], width)
    assert "\x1b" not in said
    assert "\x1b" not in searchpage.line(best)
    assert "\n" not in searchpage.line(best)
    assert "[bold]x[/bold]\\n[/nothing]" in said.replace("\n", "")


def test_a_summary_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    searchsummary.show(outcome([trial(0, 1.0)]))
    out, err = capsys.readouterr()
    assert out == ""
    assert "rank  trial  val_loss" in err


def test_paths_and_commands_are_whole_in_any_width() -> None:
    out = Console(file=io.StringIO(), width=40, highlight=False)
    paths = [f"runs/20260101-000000-{'long' * 12}/runs/{n}" for n in range(2)]
    searchsummary.show(outcome([trial(0, 1.0)], kept=[("trial 0", p) for p in paths]), out)
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    assert {f"trial 0: {path}" for path in paths} <= set(lines)
