"""Why things failed, told once for all causes that differ in their numbers alone.

A hundred trials diverge in a hundred epochs at a hundred rates, for one reason.
"""

import re
from collections import Counter
from collections.abc import Iterable

NUMBER = re.compile(r"\d+(?:[.,_]\d+)*(?:e[-+]?\d+)?")


def counted(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Each cause as it was given first, and how often it was; the commonest first.

    >>> counted(["epoch 3: lr 1e-05", "no room", "epoch 12: lr 0.5"])
    [('epoch 3: lr 1e-05', 2), ('no room', 1)]
    """
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for reason in reasons:
        alike = NUMBER.sub("#", reason)
        counts[alike] += 1
        first.setdefault(alike, reason)
    return [(first[alike], count) for alike, count in counts.most_common()]
