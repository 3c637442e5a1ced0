"""When Python looks for objects that nothing holds any more.

Imports make a million objects and no garbage, so while they are made it is looked for seldom, and
at a command's end not at all. While networks are trained it is looked for as Python does: tensors
of a stack that is over are in circles, and memory that is taken again is still in the cache.
"""

import gc

SELDOM = 10_000, 20, 20  # allocations, and then collections, after which it is looked for
USUAL = gc.get_threshold()


def seldom() -> None:
    """Look for it seldom, until `as_usual`."""
    gc.set_threshold(*SELDOM)


def as_usual() -> None:
    """Undo `seldom`, and nothing else: a program of the user's may have settings of its own."""
    if gc.get_threshold() == SELDOM:
        gc.set_threshold(*USUAL)


def never() -> None:
    """Leave all that there is alone; the end would look through it for half a second."""
    gc.freeze()
