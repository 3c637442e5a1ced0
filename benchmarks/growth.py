"""How time grows with the number of rows.

    python benchmarks/growth.py [--widths 20] [--rows 1000 10000]

Preparing (drawing the rows, splitting, scaling, building the network) is timed as a side of its
own: `experiment.prepare` as a whole, again and again.
"""

from case import OPTIMIZERS, Case, named, widths_of
from sides import hand_loop, run
from tables import digits, seconds, table
from turns import Measured, Side, Train, fix_threads, options, take

WIDTHS = [(20,), (64, 64)]
ROWS = [10**3, 10**4, 10**5, 10**6]


def prepare(case: Case) -> Train:
    """All that comes before training; an "epoch" is one of it."""
    from nnarch import experiment

    config = case.config()

    def train(epochs: int) -> None:
        for _ in range(epochs):
            experiment.prepare(config)

    return train


def row(case: Case, measured: Measured) -> list[str]:
    epoch = measured.seconds("nnarch")
    return [
        named(case.widths), f"{case.rows:,}", seconds(epoch), seconds(epoch / case.rows),
        seconds(measured.seconds("hand")), digits(measured.speed("nnarch", "hand")),
        seconds(measured.seconds("prepare")),
    ]  # fmt: skip


def main() -> None:
    parser = options("How time grows with the number of rows.", turns=3)
    parser.add_argument("--widths", type=widths_of, nargs="+", default=WIDTHS)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="sgd")
    parser.add_argument("--threads", type=int, default=1, help="of every side (1)")
    given = parser.parse_args()
    fix_threads(given.threads)
    sides: dict[str, Side] = {"nnarch": run, "hand": hand_loop, "prepare": prepare}
    cases = [
        Case(widths, given.optimizer, rows, threads=given.threads)
        for widths in given.widths
        for rows in given.rows
    ]
    rows = [row(case, take(sides, case, given.turns, given.seconds)) for case in cases]
    print(f"Growth with {given.optimizer}, batches of 32, {given.threads} thread(s):\n")
    head = ["widths", "rows", "nnarch, an epoch", "a row", "hand, an epoch",
            "nnarch / hand", "prepare"]  # fmt: skip
    print(table(head, rows))


if __name__ == "__main__":
    main()
