"""How fast one network trains: nnarch, the loop written by hand, and four other packages.

    python benchmarks/training_loop.py [--widths 20 64,64] [--optimizers sgd] [--only nnarch,hand]

The figure of a side is how many epochs it does in the time that the seed loop takes for one.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence

from case import OPTIMIZERS, Case, named, widths_of
from peers import PEERS
from sides import compiled_run, hand_loop, run, seed_loop
from tables import NONE, digits, seconds, table
from turns import Measured, Side, fix_threads, options, take

WIDTHS = [(20,), (64, 64), (256, 256), (1024, 1024)]
SIDES: dict[str, Side] = {
    "seed": seed_loop, "hand": hand_loop, **PEERS, "nnarch": run, "compiled": compiled_run
}  # fmt: skip


@contextlib.contextmanager
def nothing_compiled() -> Iterator[None]:
    """Keep what torch's compiler stores on disk from one case, or one run of this, to the next."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        yield


def row(case: Case, measured: Measured, sides: Sequence[str]) -> list[str]:
    ratios = [digits(measured.speed(side, "seed")) if side in measured else NONE for side in sides]
    return [
        named(case.widths), case.optimizer, seconds(measured.seconds("seed")), *ratios,
        _compiling(measured),
    ]  # fmt: skip


def _compiling(measured: Measured) -> str:
    """What `compile: true` adds to preparing and to the first epoch."""
    if "compiled" not in measured or "nnarch" not in measured:
        return NONE
    return seconds(max(0.0, measured.made["compiled"] - measured.made["nnarch"]))


def main() -> None:
    parser = options("How fast one network trains.")
    parser.add_argument("--widths", type=widths_of, nargs="+", default=WIDTHS)
    parser.add_argument("--optimizers", choices=OPTIMIZERS, nargs="+", default=OPTIMIZERS)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SIDES),
                        help=f"some of {','.join(SIDES)}, beside the seed loop")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu, or cuda without other packages")
    parser.add_argument("--threads", type=int, default=1, help="of every side (1)")
    given = parser.parse_args()
    if unknown := set(given.only) - SIDES.keys():
        parser.error(f"--only: got {', '.join(unknown)}; expected some of {', '.join(SIDES)}")
    if given.device != "cpu":
        given.only = [name for name in given.only if name not in PEERS]
    fix_threads(given.threads)
    sides: dict[str, Side] = {
        name: side for name, side in SIDES.items() if name == "seed" or name in given.only
    }
    shown = [name for name in sides if name != "seed"]
    cases = [
        Case(widths, optimizer, threads=given.threads, device=given.device)
        for widths in given.widths
        for optimizer in given.optimizers
    ]
    rows = []
    for case in cases:
        with nothing_compiled():
            rows.append(row(case, take(sides, case, given.turns, given.seconds), shown))
    print(f"Speed against the seed loop, {given.device}, {given.threads} thread(s):\n")
    print(table(["widths", "optimizer", "seed, an epoch", *shown, "compiling"], rows, words=2))


if __name__ == "__main__":
    main()
