"""What is trained in a benchmark: one multilayer perceptron on rows of chance.

A `Case` is plain data, so that it can be sent to the process of each side, which makes of it what
it needs: nnarch its config, everyone else the rows that nnarch would train on, and the network
and the optimizer of plain PyTorch. So all sides learn the same rows with the same shapes.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from nnarch.config import Config

FEATURES = 10
RATES = {"sgd": 0.01, "adamw": 0.001}
OPTIMIZERS = list(RATES)
FOREVER = 10**6  # epochs, more than a benchmark asks for


@dataclass(frozen=True)
class Case:
    """One setting of a benchmark.

    Attributes:
        widths: of the hidden layers.
        rows: to train on; nnarch keeps an eighth of that besides for validation, and for the test.
        batch: rows a step.
        threads: of the nnarch side: a number, `auto`, or `default` for torch's own choice. The
            other sides take torch's, which `turns.fix_threads` fixes.
        device: where to train.
    """

    widths: tuple[int, ...] = (20,)
    optimizer: str = "sgd"
    rows: int = 10_000
    batch: int = 32
    threads: int | Literal["auto", "default"] = 1
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{named(self.widths)}, {self.optimizer}, {self.rows:,} rows, batch {self.batch:,}"

    def config(self, compile: bool = False) -> "Config":
        """The same for nnarch."""
        import torch

        from nnarch import config

        threads = torch.get_num_threads() if self.threads == "default" else self.threads
        return config.load(
            {
                "data": {"source": "synthetic", "rows": self.rows * 5 // 4, "features": FEATURES},
                "model": {"name": "mlp", "widths": list(self.widths)},
                "loss": "mse",
                "optimizer": {"name": self.optimizer, "lr": RATES[self.optimizer]},
                "batch_size": self.batch,
                "epochs": FOREVER,
                "device": self.device,
                "threads": threads,
                "compile": compile,
            }
        )

    def data(self) -> "tuple[Tensor, Tensor]":
        """The rows that nnarch trains on, inputs (N, 10) and target (N, 1), as it scales them."""
        from nnarch import experiment

        rows = experiment.prepare(self.config()).rows["train"]
        assert len(rows) == self.rows
        batch = next(iter(rows.in_order(self.rows)))
        return batch.inputs.contiguous(), batch.target.contiguous()

    def network(self) -> "nn.Module":
        """Linear layers with ReLU between them."""
        from torch import nn

        shape = [FEATURES, *self.widths]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(shape):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(shape[-1], 1)).to(self.device)

    def optimizer_of(self, network: "nn.Module") -> "torch.optim.Optimizer":
        """The optimizer as torch has it by default, neither fused nor compiled."""
        import torch

        kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[self.optimizer]
        return kind(network.parameters(), lr=RATES[self.optimizer])


def named(widths: tuple[int, ...]) -> str:
    """Widths as a table shows them.

    >>> named((64, 64))
    '64, 64'
    """
    return ", ".join(map(str, widths))


def widths_of(text: str) -> tuple[int, ...]:
    """Widths as the command line gives them.

    >>> widths_of("64,64")
    (64, 64)
    """
    return tuple(int(width) for width in text.split(","))
