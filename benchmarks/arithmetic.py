"""What share of the machine's arithmetic a training step reaches.

    python benchmarks/arithmetic.py [--widths 256,256] [--batches 32 256]

A step's floating-point operations are three times those of the forward pass of its rows. They are
set against float32 products of the step's own shape, (batch, width) by (width, width), and of
1024 by 1024, each the best of its turns.
"""

from case import Case, named, widths_of
from sides import hand_loop, run
from tables import digits, table
from turns import Measured, Side, Train, fix_threads, options, take

WIDTHS = [(256, 256), (1024, 1024)]
BATCHES = [32, 256, 1024]
ROWS = 10_240  # full batches of each size
SQUARE = 1024


def product(case: Case) -> Train:
    """Products of the hidden layers' shape; an "epoch" is one."""
    return _products(case.batch, case.widths[-1])


def square_product(case: Case) -> Train:
    """Products large enough to need little memory for their arithmetic."""
    return _products(SQUARE, SQUARE)


def _products(rows: int, width: int) -> Train:
    import torch

    left, right, out = torch.randn(rows, width), torch.randn(width, width), torch.empty(rows, width)

    def train(epochs: int) -> None:
        for _ in range(epochs):
            torch.mm(left, right, out=out)

    return train


def operations(case: Case) -> float:
    """Floating-point operations of an epoch, counting a multiplication and an addition as two."""
    from nnarch import experiment

    return 3.0 * experiment.prepare(case.config()).size.flops * case.rows


def row(case: Case, measured: Measured) -> list[str]:
    epoch = operations(case)
    own = 2 * case.batch * case.widths[-1] ** 2 / measured.best("product") / 1e9
    square = 2 * SQUARE**3 / measured.best("square") / 1e9
    rates = [epoch / measured.seconds(side) / 1e9 for side in ("nnarch", "hand")]
    return [
        named(case.widths), f"{case.batch:,}", digits(own), digits(square), *map(digits, rates),
        f"{rates[0] / own:.0%}", f"{rates[0] / square:.0%}",
        digits(measured.speed("nnarch", "hand")),
    ]  # fmt: skip


def main() -> None:
    parser = options("The share of the machine's arithmetic that training reaches.")
    parser.add_argument("--widths", type=widths_of, nargs="+", default=WIDTHS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    parser.add_argument("--threads", type=int, default=1, help="of every side (1)")
    given = parser.parse_args()
    fix_threads(given.threads)
    sides: dict[str, Side] = {
        "product": product, "square": square_product, "hand": hand_loop, "nnarch": run
    }  # fmt: skip
    cases = [
        Case(widths, given.optimizer, ROWS, batch, given.threads)
        for widths in given.widths
        for batch in given.batches
    ]
    rows = [row(case, take(sides, case, given.turns, given.seconds)) for case in cases]
    print(f"GFLOP/s with {given.optimizer}, {given.threads} thread(s):\n")
    head = ["widths", "batch", "product", "1024³", "nnarch", "hand",
            "nnarch / product", "nnarch / 1024³", "nnarch / hand"]  # fmt: skip
    print(table(head, rows))


if __name__ == "__main__":
    main()
