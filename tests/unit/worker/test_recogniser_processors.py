"""How many threads are right: affinity and the limits of control groups."""

import os
from pathlib import Path

import pytest
from faceworker.recogniser import processors
from threadpoolctl import threadpool_info

MANY = 64


@pytest.fixture(autouse=True)
def many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(MANY))


def available(tmp_path: Path, membership: str, **files: str) -> int:
    for name, content in files.items():
        file = tmp_path / "mount" / name.replace("__", "/").replace("cpu_max", "cpu.max").replace("cfs_", "cpu.cfs_")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (tmp_path / "cgroup").write_text(membership)
    return processors.available(tmp_path / "mount", tmp_path / "cgroup")


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000", MANY), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("6400000 100000", MANY)],
)
def test_a_container_s_limit_counts(tmp_path: Path, content: str, expected: int) -> None:
    assert available(tmp_path, "0::/\n", cpu_max=content) == expected


def test_the_least_of_the_groups_around_counts(tmp_path: Path) -> None:
    files = {"outer__cpu_max": "300000 100000", "outer__inner__cpu_max": "max 100000", "other__cpu_max": "1000 100000"}
    assert available(tmp_path, "0::/outer/inner\n", **files) == 3


def test_a_path_of_the_host_is_the_root_within_a_container(tmp_path: Path) -> None:
    assert available(tmp_path, "0::/docker/abc\n", cpu_max="400000 100000") == 4


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", MANY), ("250000\n", 3)])
def test_the_first_version_of_control_groups_is_read(tmp_path: Path, quota: str, expected: int) -> None:
    files = {"cpu__cfs_quota_us": quota, "cpu__cfs_period_us": "100000\n"}
    assert available(tmp_path, "3:memory:/x\n2:cpu,cpuacct:/\n", **files) == expected


def test_numpy_s_threads_are_limited() -> None:
    before = max(pool["num_threads"] for pool in threadpool_info())
    try:
        processors.limit_numpy(1)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
    finally:
        processors.limit_numpy(before)


def test_without_control_groups_all_count(tmp_path: Path) -> None:
    assert processors.available(tmp_path, tmp_path / "none") == MANY
