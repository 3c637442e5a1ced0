"""What this process may use of the machine: its cores and its memory.

A container or a control group may allow less than the machine has, and neither Python nor torch
asks for that: memory beyond it ends the process, and threads beyond it wait for each other.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def cores(root: Path = ROOT) -> int:
    """The CPU cores that this process may use.

    Args:
        root: where Linux tells of control groups below `proc` and `sys`.
    """
    known = hasattr(os, "sched_getaffinity")
    there = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return max(1, math.ceil(min(there, _quota(root))))


def _quota(root: Path) -> float:
    """The cores' time that control groups allow, in cores."""
    quotas = [math.inf]
    for quota, period in (
        *_limits(root, "cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
        *_limits(root, "", "cpu.max"),
    ):
        if quota.isdigit() and period.isdigit():  # no bound is -1, or max
            quotas.append(int(quota) / int(period))
    return min(quotas)


def memory(root: Path = ROOT) -> float:
    """The bytes of memory that this process may use; no bound is known where nothing says one.

    The least of the machine's, of the control groups' and of the limit on address space.
    """
    return min(_of_machine(), _of_control_groups(root), _of_address_space())


def _of_machine() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


def _of_control_groups(root: Path) -> float:
    limits = (
        *_limits(root, "memory", "memory.limit_in_bytes"),
        *_limits(root, "", "memory.max"),
    )
    return min((int(limit) for (limit,) in limits if limit.isdigit()), default=math.inf)


def _of_address_space() -> float:
    try:
        import resource
    except ImportError:  # not a Unix
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit


def _limits(root: Path, controller: str, *names: str) -> Iterator[list[str]]:
    """The words in the files `names` of each control group that this process is in.

    Args:
        controller: of the first version of control groups; the second has none.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for _, controllers, group in (line.split(":", 2) for line in lines):
        if controller not in controllers.split(","):
            continue
        for above in _upwards(group):
            place = root / "sys/fs/cgroup" / controller / above
            try:
                yield " ".join((place / name).read_text() for name in names).split()
            except OSError:
                continue


def _upwards(group: str) -> list[str]:
    """A control group and those that it is in.

    >>> _upwards("/a/b")
    ['a/b', 'a', '']
    """
    parts = [part for part in group.split("/") if part]
    return ["/".join(parts[:length]) for length in range(len(parts), -1, -1)]
