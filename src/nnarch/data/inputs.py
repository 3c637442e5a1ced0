"""What one sample is to a network: all that has to be known of the data to build one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Inputs:
    """One preprocessed sample.

    Attributes:
        shape: of the sample, without the batch.
        cardinalities: the last of its numbers are codes, each below one of these.
        vocabulary: if not 0, all of its numbers are tokens below it.
    """

    shape: tuple[int, ...]
    cardinalities: tuple[int, ...] = ()
    vocabulary: int = 0
