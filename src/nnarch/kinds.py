"""The kinds of component that a config may name, and what a builder of each is given and returns.

One kind is one place in a config. What stands here is all that the registry, the listing and
whoever writes a component have to know of it before a builder is called.
"""

from dataclasses import dataclass

from nnarch.sections import DataOptions, OptimizerOptions, ScheduleOptions, Section


@dataclass(frozen=True)
class Kind:
    """A kind of component: what its builders are given, and what they give back."""

    name: str
    home: str  # the module that holds ours
    given: tuple[str, ...]
    contract: str
    key: str = "name"  # what a config calls the component's name
    common: type[Section] = Section  # keys that every component of the kind takes
    facts: tuple[str, ...] = ()  # what has to be said when one is registered
    marks: tuple[str, ...] = ()  # attributes of which what is built has one
    implied: tuple[tuple[str, str], ...] = ()  # options that name a component by being there

    @property
    def noun(self) -> str:
        """What one of them is called in a sentence."""
        return "data source" if self.name == "data" else self.name

    @property
    def a_noun(self) -> str:
        """
        >>> [kind.a_noun for kind in KINDS if kind.name in ("optimizer", "data")]
        ['an optimizer', 'a data source']
        """
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


KINDS = (
    Kind(
        "model",
        "nnarch.models",
        ("inputs", "outputs"),
        "given `inputs`, the shape of one sample as a tuple, and `outputs`, how many numbers to "
        "predict for it; returns an nn.Module that maps (batch, *inputs) to (batch, outputs)",
        marks=("forward", "items"),
        implied=(("layers", "layers"),),
    ),
    Kind(
        "layer",
        "nnarch.models.blocks",
        (),
        'given nothing but its options, of which `infer={"width": "features"}` beside the name '
        "has some filled in from what comes into the layer (features, channels, steps, shape, "
        "vocabulary, cardinalities); returns an nn.Module",
        marks=("forward",),
    ),
    Kind(
        "activation",
        "nnarch.models.activations",
        (),
        "given nothing; returns an nn.Module that keeps its input's shape",
        marks=("forward",),
    ),
    Kind(
        "initialization",
        "nnarch.models.initializations",
        ("weight",),
        "given a weight tensor of two or more dimensions; fills it in place",
    ),
    Kind(
        "loss",
        "nnarch.losses",
        ("task",),
        "given the task (nnarch.data.task.Task); returns an nnarch.losses.Loss",
        facts=("tasks", "standardize"),
        marks=("values",),
    ),
    Kind(
        "optimizer",
        "nnarch.optim",
        ("parameters",),
        "given the network's parameters; or groups of them, as torch.optim takes those, where a "
        "config says some; returns a torch.optim.Optimizer, or what is used as one "
        "(nnarch.optim.stepper.Stepper)",
        marks=("step",),
        common=OptimizerOptions,
    ),
    Kind(
        "schedule",
        "nnarch.schedules",
        ("epochs",),
        "given the number of epochs of the run; returns a function from the (fractional) number "
        "of epochs done to the factor on the learning rate",
        marks=("__call__",),
        common=ScheduleOptions,
    ),
    Kind(
        "data",
        "nnarch.data",
        (),
        "given nothing; returns an nnarch.data.table.Table, or another record of nnarch.data",
        marks=("target_names",),
        key="source",
        common=DataOptions,
    ),
    Kind(
        "augmentation",
        "nnarch.data.augmentations",
        (),
        "given nothing; returns a function from an nnarch.data.batch.Batch of training rows to "
        "the changed one",
        facts=("images",),
        marks=("__call__",),
    ),
    Kind(
        "metric",
        "nnarch.metrics",
        ("result",),
        "given targets and predictions as an nnarch.metrics.Result; returns a number",
        facts=("tasks", "higher"),
        marks=("__float__",),
    ),
    Kind(
        "sampler",
        "nnarch.samplers",
        ("space", "objectives", "seed"),
        "given the space (nnarch.space.space.Space), how many objectives there are, all to be made "
        "small, and a seed; returns what has `ask` and `tell` (nnarch.samplers.sampler.Sampler)",
        marks=("ask",),
    ),
    Kind(
        "pruner",
        "nnarch.pruners",
        (),
        "given nothing; returns what plans how long trials train (nnarch.pruners.pruner.Pruner)",
        marks=("brackets",),
    ),
)
