"""What a disk or a stranger does to a run's files is never used silently.

Each change is made to a copy of a run with three checkpoints, the best and the two last. Whatever
is then read is what was saved, to the bit, or the file that is damaged is named; and where one
state is left that is intact, training goes on from it to the same end.
"""

import contextlib
import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import nnarch
import tampering
from harness import Child, Start, Tally
from nnarch import checkpoint, cli, trained
from nnarch.errors import RunError
from nnarch.rundir import RunDir
from outcome import outcome
from tampering import FILES, checkpoints, frozen

MORE = "epochs=8"  # of a run of six
Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: dict[str, tuple[Damage, int]] = {  # how often a seed does it
    "bit flips": (tampering.flipped, 10),
    "truncations": (tampering.truncated, 2),
    "zeroed blocks": (tampering.zeroed, 1),
    "appended bytes": (tampering.lengthened, 1),
    "emptied files": (tampering.emptied, 1),
}


class Whole(NamedTuple):
    """A run that nothing has happened to, and another."""

    run: RunDir
    other: RunDir
    states: list[Any]  # all that each checkpoint holds, oldest first
    network: Any  # of the best

    @property
    def newest(self) -> Path:
        return checkpoints(self.run)[-1]


def everything(saved: Any) -> Any:
    return frozen([saved.tensors, saved.meta, saved.state, saved.history])


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    root = tmp_path_factory.mktemp("whole")
    run = tampering.with_three(root / "one")
    other = tampering.with_three(root / "other", name="another")
    states = [everything(checkpoint.load(path, state=True)) for path in checkpoints(run)]
    return Whole(run, other, states, frozen(trained.load(run).state_dict()))


@pytest.fixture
def copy(whole: Whole, tmp_path: Path) -> RunDir:
    return RunDir(Path(shutil.copytree(whole.run, tmp_path / whole.run.path.name, symlinks=True)))


def kinds(seed: int, times: int) -> list[str]:
    """Every kind of file in its turn."""
    return [FILES[(seed * times + number) % len(FILES)] for number in range(times)]


def names(error: str, damaged: set[Path]) -> bool:
    """Whether a fault names a damaged file, or the checkpoint of a manifest or a whole one."""
    return any(
        str(path) in error
        or (path.name in ("manifest.json", "meta.json") and str(path.parent) in error)
        for path in damaged
    )


def read_or_refused(run: RunDir, whole: Whole, damaged: set[Path], tally: Tally) -> None:
    """Nothing that is read differs from what was saved; what is not read is named."""
    best, last = (whole.states[number][:2] for number in (0, 2))
    for read, expected in (
        (lambda: everything(run.load_checkpoint("best"))[:2], best),
        (lambda: everything(run.load_checkpoint("last"))[:2], last),
        (lambda: frozen(trained.load(run).state_dict()), whole.network),
    ):
        try:
            found, fault = read(), ""
        except RunError as error:
            found, fault = expected, error.lines[0]
        tally("reads of a damaged run refused", int(bool(fault)))
        tally("reads of a damaged run that met no damage", int(not fault))
        tally("silent loads", int(found != expected))
        assert found == expected
        assert not fault or names(fault, damaged)
    goes_on(run, whole, damaged)


def goes_on(run: RunDir, whole: Whole, damaged: set[Path]) -> None:
    """The newest intact state is found, and what is wrong with newer ones is said."""
    homes = [path.name for path in checkpoints(whole.run)]
    hurt = {path.parent.name for path in damaged}
    intact = [name for name in homes if name not in hurt]
    found = run.resumable()
    assert found is not None
    # what a flip does to the name of the version that wrote a checkpoint is no damage
    number = whole.states.index(everything(found.checkpoint))
    assert number >= homes.index(intact[-1])
    assert number == 2 or any(names(fault, damaged) for fault in found.faults)
    assert found.best or (homes[0] in hurt and any(names(f, damaged) for f in found.faults))


@pytest.mark.share(10, 100)
def test_damage_is_never_read(copy: RunDir, whole: Whole, tally: Tally, seed: int) -> None:
    for what, (damage, times) in DAMAGES.items():
        for number, kind in enumerate(kinds(seed, times)):
            chance = random.Random(f"{what} {seed} {number}")
            path = chance.choice(checkpoints(copy)) / kind
            intact = path.read_bytes()
            path.write_bytes(damage(intact, chance))
            read_or_refused(copy, whole, {path}, tally)
            path.write_bytes(intact)
            tally(what)


def swapped(one: Path, other: Path) -> None:
    """Exchange two files or directories."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def pairs(copy: RunDir, other: Path, kind: str, chance: random.Random) -> dict[str, list[Path]]:
    """What is exchanged for what: a file or a whole checkpoint, of this run or of another."""
    here, there = chance.sample(checkpoints(copy), 2), chance.choice(checkpoints(other))
    return {
        "files swapped between checkpoints": [path / kind for path in here],
        "files swapped between runs": [here[0] / kind, there / kind],
        "checkpoints swapped": here,
        "checkpoints swapped between runs": [here[0], there],
    }


@pytest.mark.share(5, 50)
def test_what_was_swapped_is_never_read(
    copy: RunDir, whole: Whole, tmp_path: Path, tally: Tally, seed: int
) -> None:
    chance, kind = random.Random(seed), FILES[seed % len(FILES)]
    other = Path(shutil.copytree(whole.other, tmp_path / "other", symlinks=True))
    for what, pair in pairs(copy, other, kind, chance).items():
        swapped(*pair)
        files = {path if path.is_file() else path / "meta.json" for path in pair}
        read_or_refused(copy, whole, {path for path in files if copy.path in path.parents}, tally)
        swapped(*pair)
        tally(what)


# through the command line


class Resumed(NamedTuple):
    """How the run goes on if nothing happens to it, and what it then measures."""

    outcome: dict[str, Any]
    figures: str


@pytest.fixture(scope="session")
def undamaged(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    figures = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(figures):
        patch.setattr("sys.argv", ["nnarch", "eval", str(whole.run), "--quiet"])
        with pytest.raises(SystemExit):
            cli.main()
    home = tmp_path_factory.mktemp("undamaged") / whole.run.path.name
    shutil.copytree(whole.run, home, symlinks=True)
    return Resumed(outcome(nnarch.resume(home, MORE).path), figures.getvalue())


def measures_the_same(child: Child, undamaged: Resumed, damaged: Path) -> bool:
    """Whether `eval` measured, to the same figures; else it refused, and named the file."""
    if (code := child.wait()) == 0:
        assert child.stdout == undamaged.figures
        return True
    assert code == 5, child.stderr
    (line,) = child.stderr.splitlines()
    assert names(line, {damaged})
    assert child.stdout == ""
    return False


@pytest.mark.share(4, 60)
def test_a_damaged_run_goes_on_to_the_same_end(
    copy: RunDir, whole: Whole, undamaged: Resumed, child: Start, tally: Tally, seed: int
) -> None:
    chance, kind = random.Random(seed), FILES[seed % len(FILES)]
    what = chance.choice([name for name in DAMAGES if name != "appended bytes"])
    home = chance.choice([checkpoints(copy)[0], *[checkpoints(copy)[-1]] * 3])
    path = home / kind
    path.write_bytes(DAMAGES[what][0](path.read_bytes(), chance))
    tally("evaluated after damage")
    measured = measures_the_same(child("eval", copy, "-q"), undamaged, path)
    tally("evaluated after damage, and refused", int(not measured))

    done = child("resume", copy, MORE)
    assert done.wait() == 0, done.stderr
    tally("resumed after damage")
    came, expected = outcome(copy.path), undamaged.outcome
    lost_best = "warning: the best epoch so far is lost" in done.stderr
    fell_back = "goes on after epoch 6 of 8" not in done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert bool(warnings) == (lost_best or fell_back)
    assert not warnings or names(warnings[0], {path})
    tally("resumed from the one before", int(fell_back))
    tally("resumed to another end", int(came["last"]["tensors"] != expected["last"]["tensors"]))
    assert came["last"]["tensors"] == expected["last"]["tensors"]
    assert came["history"] == expected["history"]
    assert lost_best or came == expected


RUN_FILES = ("run.json", "resolved.yaml", "config.yaml", "history.csv", "log.txt", "run.lock")


@pytest.mark.share(1, 20)
@pytest.mark.parametrize("name", RUN_FILES)
def test_a_flip_beside_the_checkpoints_does_no_harm(
    copy: RunDir, undamaged: Resumed, child: Start, tally: Tally, name: str, seed: int
) -> None:
    """What is no longer JSON or YAML is told; all else is read as what it says."""
    path, chance = copy.path / name, random.Random(f"{name} {seed}")
    path.write_bytes(tampering.flipped(path.read_bytes(), chance))
    tally("bit flips beside the checkpoints")
    of_config = name in ("run.json", "resolved.yaml")
    for words in (["eval", copy, "-q"], ["resume", copy, MORE]):
        done = child(*words)
        code = done.wait()
        assert code in ((0, 5) if of_config else (0,)), done.stderr
        tally("bit flips beside the checkpoints refused", int(code == 5))
        if code:
            (line,) = done.stderr.splitlines()
            assert line.startswith(f"error: {copy}")
        elif words[0] == "eval":
            assert done.stdout == undamaged.figures
        else:
            assert outcome(copy.path) == undamaged.outcome
