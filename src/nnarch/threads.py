"""How many threads compute: as many as the work is worth, unless others need the cores.

At every layer threads wait for each other. A small network computes for less time than that
takes, so it gets one. And where other programs use the cores, threads that wait for one which is
not running are many times slower than one thread alone: so several are tried before a run, and
one is taken where it is clearly faster. On a machine that is not busy the same work always gets
the same number, and with it the same bits.
"""

import time
from collections.abc import Callable

import torch

from nnarch.machine import cores

# Below so many operations a step, handing work to a second thread costs more than it saves. Beyond,
# each thread is to have half a millisecond of them.
SMALL_STEP, A_THREAD = 1e8, 2.5e7
USUAL = torch.get_num_threads()  # by OMP_NUM_THREADS, if that is set
TRIED = 1e9  # operations, of a longer step's first rows
TURNS, SECONDS = 5, 0.2  # to try for
CLEARLY = 1.3  # times faster, than which a quiet machine's one thread never is


def chosen(wanted: int | str, step_flops: float) -> int:
    """How many threads to compute with; `auto` looks at the operations of one step."""
    if isinstance(wanted, int):
        return min(wanted, cores())
    if step_flops < SMALL_STEP:
        return 1
    return min(USUAL, cores(), int(step_flops / A_THREAD))


def heeding_others(count: int, step: Callable[[], object]) -> int:
    """`count`, or one where the machine is so busy that one takes `step` clearly faster.

    The number of threads that torch computes with stays as it is.
    """
    before = torch.get_num_threads()
    try:
        several, one = (_seconds(threads, step) for threads in (count, 1))
    finally:
        torch.set_num_threads(before)
    return 1 if several > CLEARLY * one else count


def _seconds(threads: int, step: Callable[[], object]) -> float:
    """The median of what a few steps take, the first of which is not counted."""
    torch.set_num_threads(threads)
    step()
    began, taken = time.perf_counter(), []
    while len(taken) < TURNS and (not taken or sum(taken) < SECONDS):
        step()
        now = time.perf_counter()
        taken.append(now - began)
        began = now
    return sorted(taken)[len(taken) // 2]
