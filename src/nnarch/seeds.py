"""Where every random number comes from.

One seed stands in the config; each use of chance derives a seed of its own from it by name. So
no use disturbs another (a new dropout layer leaves the order of the batches alone), and every
epoch begins from a seed that can be computed, which is what makes resuming exact.
"""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the use that `names` say, from the run's seed.

    >>> derive(0, "batches", 1) == derive(0, "batches", 1) != derive(0, "batches", 2)
    True
    """
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
