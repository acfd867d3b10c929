"""How many processors this process may use: its affinity, and the limits of the containers around it."""

from __future__ import annotations

import math
import os
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> int:
    """At least 1. A limit of 1.5 processors counts as 2; if the system names no limit, all processors count.

    `mount` and `membership` are where Linux shows control groups, of version 1 or 2.
    """
    # macOS has no affinity.
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _folders(mount, membership) if (quota := _quota(folder)) is not None]
    return max(1, min([affinity, *(math.ceil(quota) for quota in quotas)]))


def limit_numpy(threads: int) -> None:
    """Lets numpy's matrix products use so many threads."""
    # Their own default is every processor of the machine, whatever the container's limit.
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, user_api="blas")


def _folders(mount: Path, membership: Path) -> list[Path]:
    """The folders of the process's own group and of all around it, whose limits hold too."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []  # not Linux
    folders = []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        group = root / path.lstrip("/")
        # Within a container the path may be the host's, and then only the root is there to be seen.
        folders += [root, *(folder for folder in (group, *group.parents) if root in folder.parents)]
    return folders


def _quota(folder: Path) -> float | None:
    """Processors that the group may use; None without a limit."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
