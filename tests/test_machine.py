"""What a process may use, where a container allows less than the machine has."""

import os
from pathlib import Path

import pytest

from nnarch import machine

THERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
HALF, WHOLE = "50000 100000", f"{(THERE or 1) * 200_000} 100000"


def linux(root: Path, groups: str, **files: str) -> Path:
    """A root that tells of control groups; `__` stands for a slash, `_` for a dot."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b\n", {"a__b__cpu_dot_max": HALF}, 1),
        ("0::/a/b\n", {"a__cpu_dot_max": HALF, "a__b__cpu_dot_max": "max 100000"}, 1),
        ("0::/\n", {"cpu_dot_max": "max 100000"}, THERE),
        ("0::/\n", {"cpu_dot_max": WHOLE}, THERE),
        ("0::/\n", {}, THERE),
        (
            "3:cpuset:/x\n2:cpu,cpuacct:/x\n",
            {"cpu__x__cpu_dot_cfs_quota_us": "20000", "cpu__x__cpu_dot_cfs_period_us": "100000"},
            1,
        ),
        (
            "2:cpu,cpuacct:/x\n",
            {"cpu__x__cpu_dot_cfs_quota_us": "-1", "cpu__x__cpu_dot_cfs_period_us": "100000"},
            THERE,
        ),
    ],
)
def test_a_share_of_the_cores_is_heeded(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int
) -> None:
    assert machine.cores(linux(tmp_path, groups, **files)) == expected


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/a/b\n", {"a__memory_dot_max": "1048576", "a__b__memory_dot_max": "max"}),
        ("4:memory:/a\n0::/\n", {"memory__a__memory_dot_limit_in_bytes": "1048576"}),
    ],
)
def test_a_bound_on_memory_is_heeded(tmp_path: Path, groups: str, files: dict[str, str]) -> None:
    assert machine.memory(linux(tmp_path, groups, **files)) == 2**20


def test_where_nothing_tells_the_machine_is_all_there_is(tmp_path: Path) -> None:
    assert machine.cores(tmp_path) == THERE
    assert machine.memory(tmp_path) == machine.memory()
