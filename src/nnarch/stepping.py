"""How steps are taken: along what gradient, by how many threads, by what engine.

The last two are found out on the first batches that training will have, and leave no trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from nnarch import compilation, devices, engine, threads
from nnarch.config import Config
from nnarch.data.batch import Batch
from nnarch.data.batches import Rows
from nnarch.engine import Engine
from nnarch.freezing import set_to_train
from nnarch.gradient import Gradient, unchanged
from nnarch.losses import Loss
from nnarch.training import Settings, Training, augmented, batch_sizes


@dataclass(frozen=True)
class Stepping:
    """All that steps hang on.

    Attributes:
        rows: of training, where the network is.
        flops: the operations of one step.
    """

    config: Config
    training: Training
    loss: Loss
    rows: Rows
    settings: Settings
    device: torch.device
    flops: float

    @property
    def gradient(self) -> Gradient:
        network, groups = self.training.network, self.training.optimizer.param_groups
        parameters = [each for group in groups for each in group["params"]]
        precision, clip = self.config.precision, self.config.clip
        return Gradient(network, parameters, self.loss, self.rows, precision, clip)

    def threads(self) -> int:
        """As many as the config and the work say, or one where the machine is busy."""
        count = threads.chosen(self.config.threads, self.flops)
        if self.config.threads != "auto" or count == 1 or self.device.type != "cpu":
            return count
        gradient = self.gradient
        with self._tried(count) as batches:
            inputs, target = batches[0].inputs, batches[0].target
            few = max(2, int(len(inputs) * min(1.0, threads.TRIED / self.flops)))
            batch = Batch(inputs[:few], target[:few])
            return threads.heeding_others(count, lambda: gradient([batch]))

    def engine(self, count: int) -> Engine:
        """What takes the steps, with `count` threads.

        Raises: MachineError where the config asks for what cannot be had here.
        """
        training, gradient, wanted = self.training, self.gradient, self.config.compile
        with self._tried(count) as batches:
            chosen = engine.choose(
                gradient,
                training.optimizer,
                training.average,
                batches,
                self.flops,
                self.config.accumulate,
                capture=not wanted,
            )
            if not wanted:
                return chosen
            left = self.settings.epochs - training.epoch
            return compilation.compiled(chosen, gradient, batches, self._sizes(), left)

    @contextmanager
    def _tried(self, count: int) -> Iterator[list[Batch]]:
        """Two batches as training will have them, and one of each other size."""
        sizes = self._sizes()
        sizes = sizes[:2] + sorted(set(sizes[2:]) - set(sizes[:2]))
        network, few = self.training.network, self.rows.first(sum(sizes))
        with devices.computing(self.device, count), unchanged(network):
            set_to_train(network)
            batches = few.epoch(sizes, self.settings.seed, 1, "sequential")
            yield [augmented(batch, self.settings.augment) for batch in batches]

    def _sizes(self) -> list[int]:
        settings = self.settings
        return batch_sizes(len(self.rows), settings.batch_size, settings.drop_last)
