"""Training a stack: members go through their epochs together, each as it would alone.

A member is a `Training` like any other. What is computed is one gradient and one update for all
(`nnarch.stacked.steps`); what is judged (the best epoch, when to stop, whether it has diverged) is
judged of each by the lines that judge one network. A member that is over stays where it is, since
without it the stack would have another shape; those that go on can be stacked anew at any time.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from nnarch.data.batch import Batch
from nnarch.errors import Diverged
from nnarch.evaluation import Evaluation
from nnarch.gradient import Pass
from nnarch.stacked.chance import chance
from nnarch.stacked.member import Ground, Member
from nnarch.stacked.steps import Steps
from nnarch.training import Record, batch_sizes, check_finite, judged, shares_of

NUMBERS = 2**18  # that a layer of all members puts out at once, where they are measured


class Stack:
    """Members of one kind (`nnarch.stacked.grouping`), in one computation.

    Attributes:
        members: of which each is trained in place; its network, optimizer and average have their
            numbers after `write`.
    """

    def __init__(self, members: Sequence[Member], ground: Ground):
        self.members, self._ground = list(members), ground
        settings = self.members[0].settings
        self._sizes = batch_sizes(len(ground.rows), settings.batch_size, settings.drop_last)
        seeds = [member.settings.seed for member in members]
        self._seeds = sorted(set(seeds))
        self._places = torch.tensor([self._seeds.index(seed) for seed in seeds])
        sample = next(ground.rows.first(1).in_order(1)).inputs
        self._steps = Steps(self.members, ground.loss, sample, own=len(self._seeds) > 1)
        self._chance = chance(self._steps.network, seeds, self._sizes)
        kept = (*self._steps.network.weights, *self._steps.network.buffers)
        self._kept = [each.tensor for each in kept]
        self._best = [each.detach().clone() for each in self._kept]
        self._improved: set[int] = set()
        self._written: set[int] = set()  # of those that are over

    def epochs(
        self, until: int, check: Callable[[], None] = lambda: None
    ) -> Iterator[list[Record | None]]:
        """Train until so many epochs are done or all members are over.

        Args:
            check: called before every step; what it raises ends the work.

        Yields: after each epoch, what it made of each member; None of one that is over.
        """
        while any(not each.is_over and each.training.epoch < until for each in self.members):
            yield self._epoch(check)

    def write(self, numbers: Iterable[int] | None = None) -> None:
        """Give members' networks, optimizers and averages their numbers, and `best` its own.

        Args:
            numbers: of the members; all of them unless given.
        """
        for number in range(len(self.members)) if numbers is None else numbers:
            if number in self._written:
                continue
            self._steps.write(number)
            if number in self._improved:
                self.members[number].best = self._best_of(number)
            if self.members[number].is_over:
                self._written.add(number)

    @torch.no_grad()
    def evaluations(self) -> list[Evaluation | None]:
        """The best epoch of each member, measured with all metrics; None where there was none."""
        with self._having(self._best):
            made, target = self._outputs_of_all()
        return [
            self._ground.judge(made[number], target) if number in self._improved else None
            for number in range(len(self.members))
        ]

    def _epoch(self, check: Callable[[], None]) -> list[Record | None]:
        going = [number for number, member in enumerate(self.members) if not member.is_over]
        losses = self._trained(check)
        for number in going:
            self.members[number].training.epoch += 1
        with self._steps.judged():
            validated, metrics = self._measured()
            finite = self._finite()
            records: list[Record | None] = [None] * len(self.members)
            for number in going:
                told = losses[number], validated[number], metrics.get(number, {})
                records[number] = self._judge(number, *told, finite[number])
            self._keep([n for n, record in enumerate(records) if record and record.improved])
        over = [number for number in going if self.members[number].is_over]
        if len(over) < len(going):  # the others go on, and its weights with them
            self.write(over)
        return records

    def _trained(self, check: Callable[[], None]) -> Tensor:
        """An epoch of steps; each batch's loss as a share of the epoch's, (M, batches, ...)."""
        done = max(member.training.epoch for member in self.members if not member.is_over)
        self._chance.begin(done + 1)
        passes: list[Pass] = []
        told = zip(self._sizes, self._factors(done), self._batches(done + 1), strict=True)
        for size, factor, batch in told:
            check()
            noise = self._chance.drawn(size)
            passes.append(Pass(self._steps(batch, noise, factor), size))
        return shares_of(passes).movedim(1, 0)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        rows, sampling = self._ground.rows, self.members[0].settings.sampling
        each = [rows.epoch(self._sizes, seed, epoch, sampling) for seed in self._seeds]
        for batches in zip(*each, strict=True):
            inputs = [rows.prepare(batch.inputs) for batch in batches]
            target = [batch.target for batch in batches]
            if len(batches) == 1:
                yield Batch(inputs[0], target[0])
            else:
                yield Batch(torch.stack(inputs)[self._places], torch.stack(target)[self._places])

    def _factors(self, done: int) -> Sequence[Tensor | float]:
        """The factor on each member's rates at each step of an epoch, or one for all of them."""
        steps = len(self._sizes)
        moments = [done + step / steps for step in range(steps)]
        curves: dict[str, list[float]] = {}
        names = []
        for member in self.members:
            training = member.training
            state = training.schedule.state()
            names.append(json.dumps([member.config.schedule, member.settings.epochs, state]))
            if names[-1] not in curves:
                curves[names[-1]] = [training.schedule(moment) for moment in moments]
            last = curves[names[-1]][-1]
            if not member.is_over:
                for group, base in zip(
                    training.optimizer.param_groups, training.base_lrs, strict=True
                ):
                    group["lr"] = base * last
        if len(curves) == 1:
            return curves[names[0]]
        return list(self._kept[0].new_tensor([curves[name] for name in names]).t().contiguous())

    def _measured(self) -> tuple[Tensor, dict[int, Any]]:
        """The validation loss of each member, (M,) or (M, T), and metrics where one is monitored.

        It is summed in double precision, so that it does not matter how the rows are cut.
        """
        wanted = [
            number
            for number, member in enumerate(self.members)
            if member.settings.monitor not in ("val_loss", "train_loss", "last")
        ]
        if wanted:
            made, target = self._outputs_of_all()
            values = self._values(made, target).mean(1)
            return values, {n: self._ground.judge(made[n], target).metrics for n in wanted}
        sums, count = [], 0
        for made, target in self._outputs():
            values = self._values(made, target)
            sums.append(values.sum(1))
            count += values.shape[1]
        return torch.stack(sums).sum(0) / count, {}

    def _values(self, made: Tensor, target: Tensor) -> Tensor:
        made = made.to(target.dtype if target.is_floating_point() else torch.float32)
        return self._steps.values(made, target).cpu().double()

    def _outputs_of_all(self) -> tuple[Tensor, Tensor]:
        """Outputs (M, N, outputs) for all validation rows, and their targets."""
        made, target = zip(*self._outputs(), strict=True)
        return torch.cat(made, 1), torch.cat(target)

    @torch.no_grad()
    def _outputs(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows = NUMBERS // (len(self.members) * self._steps.network.widest)
        for batch in self._ground.val.in_order(max(32, rows)):
            yield self._steps.network(batch.inputs), batch.target

    def _finite(self) -> list[bool]:
        """Of which members all weights are finite numbers."""
        each = [tensor.detach().flatten(1).isfinite().all(1) for tensor in self._kept]
        return torch.stack(each).all(0).tolist()

    def _judge(
        self, number: int, losses: Tensor, validated: Tensor, metrics: Any, is_finite: bool
    ) -> Record | None:
        member, ground = self.members[number], self._ground
        try:
            if not is_finite or not losses.isfinite().all():
                self._steps.network.write(number, 0)
                check_finite(member.training.epoch, losses, member.training.network)
            train, val = (
                float(ground.loss.in_units(each, ground.scale.double().cpu()).mean())
                for each in (losses.mean(0), validated)
            )
            if not math.isfinite(val):
                raise Diverged(
                    f"training diverged: the validation loss of epoch {member.training.epoch} "
                    f"is {val}"
                )
        except Diverged as error:
            member.fault = error.lines[0]
            return None
        nothing: Any = None
        record = judged(member.training, member.settings, train, Evaluation(val, metrics, nothing))
        member.history.append(record)
        return record

    @torch.no_grad()
    def _keep(self, improved: Sequence[int]) -> None:
        """Copy the weights of members whose epoch was the best so far."""
        if not improved:
            return
        self._improved |= set(improved)
        chosen = torch.tensor(improved)
        for best, now in zip(self._best, self._kept, strict=True):
            best[chosen] = now[chosen]

    @contextmanager
    def _having(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Have other numbers in place of the weights for a while."""
        before = [each.detach().clone() for each in self._kept]
        for place, other in zip(self._kept, tensors, strict=True):
            place.copy_(other)
        yield
        for place, own in zip(self._kept, before, strict=True):
            place.copy_(own)

    def _best_of(self, number: int) -> dict[str, Tensor]:
        training, network = self.members[number].training, self._steps.network
        best = {name: value.clone() for name, value in training.network.state_dict().items()}
        stacked = zip((*network.weights, *network.buffers), self._best, strict=True)
        own = {id(each.own[number]): each.of(number, values) for each, values in stacked}
        parameters = training.network.named_parameters(remove_duplicate=False)
        named = (*parameters, *training.network.named_buffers())
        for name, value in named:
            if id(value) in own:
                best[name] = own[id(value)].clone()
            elif name in best:  # how many steps a normalization has seen
                best[name] -= (training.epoch - training.best_epoch) * len(self._sizes)
        return best
