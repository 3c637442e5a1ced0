"""The parts of a config that are the same whatever components it names.

A section is a strict pydantic model with a sentence for each key, so that the check, the JSON
Schema and the messages have one source. `DataOptions` and `ScheduleOptions` are keys that every
data source and every schedule takes beside its own options.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nnarch.options import Count, Fraction, Natural, NonNegative, Positive

STRICT = ConfigDict(
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    validate_default=True,
    protected_namespaces=(),
    frozen=True,
)
Part = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A strict mapping: no unknown keys, no text for numbers, no infinities."""

    model_config = STRICT


class Split(Section):
    """Which share of the rows trains, validates and tests the network."""

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

    @model_validator(mode="after")
    def _adds_up(self) -> "Split":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"got {self.train:g} + {self.val:g} + {self.test:g} = {total:g}; "
                "expected train, val and test to add up to 1"
            )
        return self


class DataOptions(Section):
    """What every data source takes beside its own options."""

    task: Literal["auto", "regression", "binary", "multiclass"] = Field(
        default="auto", description="What is learnt; `auto` sees it from the target and the loss."
    )
    split: Split = Field(default=Split(), description="How the rows are parted.")
    scaling: Literal["standard", "none"] = Field(
        default="standard",
        description="Features to mean 0 and deviation 1 of the training rows, or as is.",
    )
    target_scaling: Literal["standard", "none"] = Field(
        default="standard",
        description="The same for a regression's target; results stay in its units.",
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
