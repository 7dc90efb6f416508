"""A share of a processor for each of some processes, so that four or five need no more than two.

By the CPU controller of cgroup v1, whose root must be writable. Within their quotas they go before
whatever else runs.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path("/sys/fs/cgroup/cpu")
PERIOD_US = 10_000
HALF = 0.5


def are_permitted() -> bool:
    """Whether this process may give quotas."""
    return os.access(ROOT / "cgroup.procs", os.W_OK)


@contextmanager
def quotas(pids: Iterable[int], share: float) -> Iterator[None]:
    """A group for each. They must be of the root group, and are again afterwards."""
    groups: list[Path] = []
    limits = {"cfs_period_us": PERIOD_US, "cfs_quota_us": int(share * PERIOD_US)}
    limits["shares"] = 100 * 1024
    try:
        for pid in pids:
            groups.append(ROOT / f"bench-{pid}")
            groups[-1].mkdir()
            for name, value in limits.items():
                (groups[-1] / f"cpu.{name}").write_text(f"{value}")
            (groups[-1] / "cgroup.procs").write_text(f"{pid}")
        yield
    finally:
        for group in groups:
            for process in (group / "cgroup.procs").read_text().split():
                (ROOT / "cgroup.procs").write_text(process)
            group.rmdir()
