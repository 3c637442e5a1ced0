"""The parts of a config that are the same whatever components it names.

A section is a strict pydantic model with a sentence for each key, so that the check, the JSON
Schema and the messages have one source. `DataOptions`, `OptimizerOptions` and `ScheduleOptions`
are keys that every data source, optimizer and schedule takes beside its own options.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from nnarch import constraints
from nnarch.errors import ConfigError
from nnarch.options import (
    WHOLE,
    Count,
    FilePath,
    Fraction,
    Named,
    Natural,
    NonNegative,
    Positive,
)

STRICT = ConfigDict(
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    validate_default=True,
    protected_namespaces=(),
    frozen=True,
)
Part = Annotated[float, Field(gt=0, lt=1)]
ColumnName = Annotated[str, Field(min_length=1)]
ColumnType = Literal["numeric", "categorical", "boolean", "datetime", "text", "ignore"]
Pattern = Annotated[  # what `optim.groups` finds parameters by
    str,
    Field(
        min_length=1,
        json_schema_extra={
            "expected": "biases, norms, embeddings, or a pattern over the names of parameters "
            "such as 'body.0.*'"
        },
    ),
]


class Section(BaseModel):
    """A strict mapping: no unknown keys, no text for numbers, no infinities."""

    model_config = STRICT


class Split(Section):
    """Which rows train, validate and test the network."""

    train: Part = Field(default=0.8, description="Share of the rows that the network learns from.")
    val: Part = Field(default=0.1, description="Share that chooses the best epoch.")
    test: Part = Field(default=0.1, description="Share that is measured once, at the end.")
    seed: Natural = Field(
        default=0,
        description="Seed of the split; apart from the run's, so that test rows stay put.",
    )
    stratify: bool = Field(
        default=True, description="Keep the share of each class the same in every part."
    )
    column: ColumnName | None = Field(
        default=None, description="A column that says train, val or test of each row."
    )
    group: ColumnName | None = Field(
        default=None, description="A column whose equal values are never parted."
    )
    time: ColumnName | None = Field(
        default=None, description="A column to order by: the first rows train, the last test."
    )
    folds: Annotated[int, Field(ge=2, le=1000), WHOLE] | None = Field(
        default=None, description="Cross-validation: test rows in turn are one of so many folds."
    )
    fold: Count | None = Field(default=None, description="Only this fold, counted from 1.")

    @model_validator(mode="after")
    def _adds_up(self) -> "Split":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"got {self.train:g} + {self.val:g} + {self.test:g} = {total:g}; "
                "expected train, val and test to add up to 1"
            )
        ways = [key for key in ("column", "group", "time", "folds") if getattr(self, key)]
        if len(ways) > 1 and ways != ["group", "folds"]:
            raise ValueError(f"got {' and '.join(ways)}; expected one of them, or group and folds")
        if self.fold is not None and self.fold > (self.folds or 0):
            raise ValueError(f"got fold {self.fold} of {self.folds or 'no folds'}")
        return self


class DataOptions(Section):
    """What every data source takes beside its own options."""

    task: Literal["auto", "regression", "binary", "multiclass", "multilabel"] = Field(
        default="auto", description="What is learnt; `auto` sees it from the target and the loss."
    )
    split: Split = Field(default=Split(), description="How the rows are parted.")
    columns: list[ColumnName] | None = Field(
        default=None, description="The features; every column of use unless given."
    )
    ignore: list[ColumnName] = Field(default=[], description="Columns that are no features.")
    types: dict[str, ColumnType] = Field(
        default={}, description="What a column is, where it is not what it looks like."
    )
    missing: Literal["median", "mean", "zero", "error"] = Field(
        default="median",
        description="What fills a gap among numbers, taken from the training rows.",
    )
    missing_target: Literal["error", "drop"] = Field(
        default="error", description="What becomes of rows without a target."
    )
    scaling: Literal["standard", "robust", "quantile", "minmax", "none"] = Field(
        default="standard",
        description="Numbers to mean 0 and deviation 1 of the training rows; by median and "
        "quartiles; by rank to a normal distribution; to 0..1; or as is.",
    )
    categories: Literal["one_hot", "embedding"] = Field(
        default="one_hot", description="How the network is told categories; embeddings are learnt."
    )
    text: Literal["bag_of_words", "tokens"] = Field(
        default="bag_of_words",
        description="How the network is told a text: how often each word occurs in it; or its "
        "words in order, for networks that read sequences.",
    )
    text_length: Count = Field(
        default=64, description="How many words of a text are read where they are tokens."
    )
    target_scaling: Literal["standard", "none"] = Field(
        default="standard",
        description="A regression's target to mean 0 and deviation 1; results stay in its units.",
    )
    target_transform: Literal["none", "log1p"] = Field(
        default="none", description="Learn log(1 + target), for targets of many sizes."
    )


class Group(Section):
    """Parameters that go by numbers of their own."""

    match: Pattern | Annotated[list[Pattern], Field(min_length=1)] = Field(
        description="Which: biases, norms, embeddings, or a pattern over the names of parameters.",
        json_schema_extra={
            "expected": "biases, norms, embeddings, a pattern over the names of parameters such as "
            "'body.0.*', or a list of these"
        },
    )
    lr: Positive | None = Field(
        default=None, description="Their learning rate, which follows the schedule too."
    )
    weight_decay: NonNegative | None = Field(default=None, description="Their weight decay.")


class OptimizerOptions(Section):
    """What every optimizer takes beside its own options."""

    groups: list[Group] = Field(
        default=[],
        description="Parameters with a learning rate or weight decay of their own; each belongs "
        "to the first group that matches it.",
        json_schema_extra={
            "expected": "a list, each {match: biases, lr: 1e-4, weight_decay: 0} or some of these"
        },
    )


class ScheduleOptions(Section):
    """What every schedule takes beside its own options."""

    warmup: NonNegative = Field(
        default=0, description="Epochs over which the learning rate first climbs from near zero."
    )


class Clip(Section):
    """Bounds on the gradient, applied before every step."""

    norm: Positive | None = Field(default=None, description="Largest norm of the whole gradient.")
    value: Positive | None = Field(
        default=None, description="Largest size of each of its elements."
    )


class EarlyStopping(Section):
    """When to end before the last epoch."""

    patience: Count = Field(
        default=10, description="Epochs without improvement before training ends."
    )
    min_delta: NonNegative = Field(default=0, description="What counts as an improvement.")


class Average(Section):
    """An exponential moving average of the weights, used for validation and kept as the model."""

    decay: Fraction = Field(default=0.999, description="Share of the average that each step keeps.")


def _each_once(names: list[str]) -> list[str]:
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"got {twice[0]} twice; expected each objective once")
    return names


def _is_constraint(text: str) -> str:
    try:
        constraints.parse(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


Objective = Annotated[
    str,
    Field(
        pattern=r"^(val_\w+|train_loss|parameters|flops|latency)$",
        json_schema_extra={
            "expected": "val_loss, val_ and a metric, train_loss, parameters, flops or latency"
        },
    ),
]
ConstraintText = Annotated[
    str,
    AfterValidator(_is_constraint),
    Field(json_schema_extra={"expected": "a bound such as 'params <= 50_000' or 'depth < 4'"}),
]


class Search(Section):
    """How what a config leaves open is explored."""

    sampler: Annotated[dict[str, Any], Named("sampler")] = Field(
        default={"name": "gp"}, description="What proposes the points that are tried."
    )
    pruner: Annotated[dict[str, Any] | None, Named("pruner")] = Field(
        default=None, description="What ends poor trials early; none goes through every epoch."
    )
    trials: Count | None = Field(
        default=None,
        description="Points to try; unless given 100, with grid the whole of it, and with seconds "
        "as many as there is time for.",
    )
    seconds: Positive | None = Field(
        default=None, description="Time after which no trial is begun and running ones end."
    )
    seeds: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(
        default=1,
        description="Runs of each point, with one seed after the other; their mean counts.",
    )
    seed: Natural = Field(default=0, description="Seed of the sampler; apart from the runs'.")
    objectives: Annotated[list[Objective], AfterValidator(_each_once)] = Field(
        default=[],
        description="What is to be good; several make a front. The config's monitor unless given.",
    )
    constraints: list[ConstraintText] = Field(
        default=[],
        description="Bounds on the network: params, flops, depth or width, as params <= 50_000.",
    )
    keep: Natural = Field(default=3, description="How many of the best become runs.")
    trial_seconds: Positive | None = Field(
        default=None, description="Longest time that one trial may take."
    )
    workers: Count | Literal["auto"] = Field(
        default="auto", description="Processes that train; auto goes by the machine."
    )
    warm_start: FilePath | None = Field(
        default=None,
        description="The directory of an earlier search, to learn from its trials.",
    )
