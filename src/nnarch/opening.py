"""What a user should know before training: what was inferred, and what is likely not meant."""

import math
from collections.abc import Iterator

from nnarch import threads
from nnarch.data.dataset import Dataset
from nnarch.experiment import Experiment
from nnarch.optim.groups import assigned, few, numbers_of
from nnarch.registry import optimizers


def sentences(ready: Experiment) -> list[str]:
    """What a user should know before training: what was inferred, and what it will be."""
    optimizer = ready.config.optimizer
    rate = optimizer.get("lr", ready.training.base_lrs[0])
    cpu = f", {ready.threads} thread{'s' * (ready.threads > 1)}"
    if threads.chosen(ready.config.threads, ready.step_flops) > ready.threads:
        cpu += " since other programs use the cores"
    said = [
        *of_data(ready.dataset),
        f"{ready.config.model['name']} with {ready.size.parameters:,} parameters"
        f"{_trained(ready)}, {optimizer['name']} with lr {rate:g}, on {ready.device}"
        + (cpu if ready.device.type == "cpu" else ""),
        *_groups(ready),
        *([ready.warm_start.sentence] if ready.warm_start else []),
    ]
    return said + [f"warning: {warning}" for warning in warnings(ready)]


def of_data(dataset: Dataset) -> list[str]:
    """What is learnt, and from what."""
    rows = {name: len(those) for name, those in dataset.chosen.items()}
    parts = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    told = f"{sum(rows.values()):,} {dataset.noun} ({parts}), {_inputs(dataset)}"
    return [f"{dataset.task}", told, *dataset.notes]


def _trained(ready: Experiment) -> str:
    """How many parameters train, where some are frozen."""
    each = list(ready.training.network.parameters())
    trained = sum(one.numel() for one in each if one.requires_grad)
    return f" of which {trained:,} train" if not all(one.requires_grad for one in each) else ""


def _groups(ready: Experiment) -> Iterator[str]:
    """Who is in each group of the optimizer, and what it has of its own."""
    groups = ready.config.optimizer["groups"]
    for group, names in zip(groups, assigned(ready.training.network, groups), strict=True):
        numbers = [f"{key} {value:g}" for key, value in numbers_of(group).items()]
        yield f"{' and '.join(numbers) or 'nothing of its own'} for {few(names)}"


def _inputs(dataset: Dataset) -> str:
    """What the network learns from, in words."""
    columns, shape = len(dataset.input_names), dataset.inputs.shape
    if len(shape) > 1 or not columns:
        return f"inputs of {' x '.join(map(str, shape))}"
    what = "tokens" if dataset.inputs.vocabulary else "numbers"
    width = f", which make {math.prod(shape)} {what}" if shape != (columns,) else ""
    return f"{columns} inputs{width}"


def warnings(ready: Experiment) -> list[str]:
    """What is allowed, and is likely not meant."""
    config, said = ready.config, []
    if ready.dataset.shared:
        said.append(
            f"{ready.dataset.shared:,} of {len(ready.rows['test']):,} test rows are training "
            "rows as well"
        )
    rows = len(ready.rows["train"])
    if config.batch_size != "all" and config.batch_size > rows:
        said.append(f"batch_size {config.batch_size} is all of the {rows} training rows")
    batches = math.ceil(rows / ready.settings.batch_size)
    if config.accumulate > batches:
        said.append(f"accumulate {config.accumulate} is all of an epoch's {batches} batches")
    marks = [config.schedule["warmup"], *config.schedule.get("milestones", [])]
    late = [mark for mark in marks if mark >= config.epochs]
    if late:
        said.append(f"schedule: epoch {late[0]:g} lies beyond the run's {config.epochs} epochs")
    if ready.task.classes and max(ready.task.counts) >= 100 * (min(ready.task.counts) or math.inf):
        share = max(ready.task.counts) / sum(ready.task.counts)
        said.append(f"classes are very unequal: always the commonest is right {share:.1%}")
    if optimizers.get(config.optimizer["name"]).facts.get("closure") and config.batch_size != "all":
        said.append(f"{config.optimizer['name']} expects batch_size: all")
    said += [ready.engine.warning] if ready.engine.warning else []
    return said + (ready.warm_start.warnings if ready.warm_start else [])
