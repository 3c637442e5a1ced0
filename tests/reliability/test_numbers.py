"""A number means what a person reads there, from file and command line to the saved config.

Each numeral is written for a real number, for a count and for a seed of 63 bits, in a file and
as an override, and goes through a whole training. `resolved.yaml` must then hold that very number,
read as plain text, by nnarch, and by a reader of YAML 1.1. Where a key does not take it, the
command is refused with a line that names the key.
"""

import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import error_lines
from harness import Start, Tally
from nnarch.config import load
from nnarch.listing import runlist

NUMERALS = {  # as written: the number that a person reads
    "0": 0,
    "1": 1,
    "+1": 1,
    "7.0": 7,
    "5.": 5,
    ".5": Fraction(1, 2),
    "+.5": Fraction(1, 2),
    "0.1": Fraction(1, 10),
    "1.5": Fraction(3, 2),
    "010": 10,
    "007": 7,
    "08.5": Fraction(17, 2),
    "1e3": 1000,
    "1E3": 1000,
    "1e+3": 1000,
    "1.5e2": 150,
    "1e-3": Fraction(1, 1000),
    "1E-3": Fraction(1, 1000),
    "3e-4": Fraction(3, 10_000),
    "1e-320": Fraction(1, 10**320),
    "0x10": 16,
    "0o17": 15,
    "-0.0": 0,
    "1000000000": 10**9,
    "1000000001": 10**9 + 1,
    "1e15": 10**15,
    "9007199254740991.0": 2**53 - 1,
    "9007199254740993": 2**53 + 1,
    "9223372036854775807": 2**63 - 1,
    "9223372036854775808": 2**63,
    "-1": -1,
}
NONE = (  # what is no number, or one that a computer cannot hold
    *("1e400", "-1e400", "1e-400", ".inf", ".nan", "1_000", "12:30", "'1'", '"1e-3"', "~", ""),
    *("true", "1,5", "0b11", "1e", "10%", "½", "1.2.3", "2024-01-01"),
)
CONFIG = """\
name: numbers
data: {{source: synthetic, rows: 60, features: 3}}
model: {{widths: [4]}}
schedule: cosine
early_stopping:
  min_delta: {min_delta}
  patience: {patience}
seed: {seed}
"""
REAL = ("early_stopping.min_delta", "schedule.warmup")  # in the file, and as an override
COUNT = ("early_stopping.patience", "accumulate")
PARTS = 5  # that all numerals are tried in


def taken(number: Fraction | int | None, key: str) -> bool:
    """Whether `key` accepts a number."""
    if number is None:
        return False
    if key in REAL:
        return number >= 0
    return number.denominator == 1 and (
        1 <= number <= 10**9 if key in COUNT else 0 <= number < 2**63
    )


def started(child: Start, folder: Path, values: dict[str, str], seed_in_file: bool) -> Any:
    """`nnarch train` with these values, the first of each pair and maybe the seed in the file."""
    there = {key.split(".")[-1]: values.get(key, "5") for key in (REAL[0], COUNT[0], "seed")}
    given = {key: text for key, text in values.items() if key in (REAL[1], COUNT[1])}
    if not seed_in_file and "seed" in values:
        there["seed"], given["seed"] = "0", values["seed"]
    folder.mkdir()
    (folder / "c.yaml").write_text(CONFIG.format(**there))
    words = [f"{key}={text}" for key, text in given.items()]
    return child("train", "c.yaml", "epochs=1", "threads=1", *words, cwd=folder)


def found(value: Any, key: str) -> Any:
    for name in key.split("."):
        value = value[name]
    return value


def check_saved(folder: Path, keys: Iterable[str], number: Fraction | int) -> None:
    """What a run saved at `keys` is this very number, whoever reads it."""
    (run,) = runlist.runs(folder / "runs")
    text = run.config.read_text()
    for key in keys:
        wanted: float = float(number) if key in REAL else int(number)
        for value in (load(run.config).model_dump(), yaml.safe_load(text)):
            assert (found(value, key), type(found(value, key))) == (wanted, type(wanted)), key
        last = key.split(".")[-1]
        shown = re.findall(rf"^ *{last}: ([-+.e0-9]+)$", text, re.MULTILINE)
        assert wanted in [float(Fraction(one)) if key in REAL else int(one) for one in shown], key


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.share(1, 2)
def test_a_number_is_saved_as_it_was_read(
    child: Start, tmp_path: Path, tally: Tally, seed: int, part: int
) -> None:
    numerals = {**NUMERALS, **dict.fromkeys(NONE)}
    begun = []
    for place, (text, number) in [*enumerate(numerals.items())][part::PARTS]:
        keys = (*REAL, *COUNT, "seed")
        for accepted in (True, False):
            if chosen := {key: text for key in keys if taken(number, key) == accepted}:
                folder, in_file = tmp_path / f"{place}-{accepted}", bool((place + seed) % 2)
                done = started(child, folder, chosen, in_file)
                begun.append((done, folder, chosen, number, accepted))
    for done, folder, chosen, number, accepted in begun:
        if accepted and number is not None:
            assert done.wait() == 0, done.stderr
            check_saved(folder, chosen, number)
            tally("numbers saved as they were read", len(chosen))
        else:
            assert done.wait() == 3, (chosen, done.stderr)
            assert not (folder / "runs").exists()
            check_refused(error_lines(done), chosen)
            tally("numerals refused with their line", len(chosen))


def check_refused(lines: list[str], chosen: dict[str, str]) -> None:
    """Each of the keys has its line, or the text of one could not be read at all."""
    for line in lines:
        assert re.match(r"(c\.yaml:[0-9]+|command line): ", line)
        assert any(f" {key}: got " in line for key in chosen), line
    unread = [
        text for text in chosen.values() if any(f"got {text}; expected" in one for one in lines)
    ]
    assert len(lines) == len(chosen) or unread
