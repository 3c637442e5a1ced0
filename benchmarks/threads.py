"""Whether `threads: auto` chooses well: against torch's own number of threads, and against one.

    python benchmarks/threads.py [--busy] [--widths 20] [--batches 32]

With `--busy` as many processes as there are cores compute beside it, as on a shared machine.
"""

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import replace

from case import Case, named, widths_of
from sides import run
from tables import digits, seconds, table
from turns import Measured, Side, Train, fix_threads, options, take

WIDTHS = [(20,), (256, 256), (1024, 1024)]
BATCHES = [32, 1024]
ROWS = 4096


def automatic(case: Case) -> Train:
    return run(replace(case, threads="auto"))


def torchs(case: Case) -> Train:
    return run(replace(case, threads="default"))


def one(case: Case) -> Train:
    return run(replace(case, threads=1))


SIDES: dict[str, Side] = {"torch": torchs, "auto": automatic, "one": one}


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    processes = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _spin() -> None:
    while True:
        sum(range(100_000))


def chosen(case: Case) -> int:
    """The number that `auto` means."""
    from nnarch import experiment

    return experiment.prepare(replace(case, threads="auto").config()).threads


def row(case: Case, measured: Measured) -> list[str]:
    return [
        named(case.widths), f"{case.batch:,}", f"{chosen(case)}",
        seconds(measured.seconds("torch")),
        digits(measured.speed("auto", "torch")), digits(measured.speed("one", "torch")),
    ]  # fmt: skip


def main() -> None:
    parser = options("Whether the number of threads is chosen well.", turns=3)
    parser.add_argument("--widths", type=widths_of, nargs="+", default=WIDTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument(
        "--busy", action="store_true", help="beside as many busy processes as cores"
    )
    given = parser.parse_args()
    fix_threads(None)
    cases = [
        Case(widths, rows=ROWS, batch=batch) for widths in given.widths for batch in given.batches
    ]
    cores = os.cpu_count() or 1
    with busy(cores if given.busy else 0):
        rows = [row(case, take(SIDES, case, given.turns, given.seconds)) for case in cases]
    print(f"Speed against torch's number of threads, beside {cores * given.busy} busy processes:\n")
    print(table(["widths", "batch", "auto means", "torch's, an epoch", "auto", "1"], rows))


if __name__ == "__main__":
    main()
