"""The contract of a hypervisor's driver, held by each driver with real workers."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypervisor.driver import Driver, WorkerState
from hypervisor.processes import ProcessDriver

ENDED_IN_S = 20.0


@pytest.fixture
def new_driver(tmp_path: Path) -> Iterator[Callable[[], Driver]]:
    """Makes drivers over the same state, the second as after a restart of the hypervisor."""
    drivers: list[Driver] = []

    def make() -> Driver:
        drivers.append(ProcessDriver(tmp_path, "tiny_worker:main", (), stop_grace_s=0.5))
        return drivers[-1]

    yield make
    for instance_id in make().workers():
        _end(drivers[-1], instance_id)


def _environment(verb: str, instance_id: str = "i-1") -> dict[str, str]:
    return {"TINY": verb, "EFACE_INSTANCE_ID": instance_id}


def _ended(driver: Driver, instance_id: str = "i-1") -> WorkerState:
    deadline = time.monotonic() + ENDED_IN_S
    while (state := driver.workers()[instance_id]).running:
        assert time.monotonic() < deadline, "the worker still runs"
        time.sleep(0.05)
    return state


def _end(driver: Driver, instance_id: str) -> WorkerState:
    deadline = time.monotonic() + ENDED_IN_S
    while (state := driver.workers()[instance_id]).running and time.monotonic() < deadline:
        driver.stop(instance_id)
        time.sleep(0.05)
    return state


def test_a_started_worker_runs_until_it_is_stopped(new_driver: Callable[[], Driver]) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("sleep"))
    assert driver.workers() == {"i-1": WorkerState(running=True)}
    assert _end(driver, "i-1").running is False


@pytest.mark.parametrize("status", [0, 1, 7])
def test_an_exit_status_is_told(new_driver: Callable[[], Driver], status: int) -> None:
    driver = new_driver()
    driver.start("i-1", _environment(f"exit:{status}"))
    assert _ended(driver) == WorkerState(running=False, exit_status=status)


def test_a_worker_killed_from_outside_has_failed(new_driver: Callable[[], Driver]) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("kill:9"))
    assert _ended(driver).exit_status not in (0, None)


def test_a_worker_that_ignores_the_request_to_end_is_killed(new_driver: Callable[[], Driver]) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("stubborn"))
    time.sleep(0.3)
    driver.stop("i-1")
    assert driver.workers()["i-1"].running
    assert _end(driver, "i-1").running is False


def test_a_removed_worker_is_forgotten_and_its_instance_can_start_again(new_driver: Callable[[], Driver]) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("exit:0"))
    _ended(driver)
    driver.remove("i-1")
    assert driver.workers() == {}
    driver.start("i-1", _environment("sleep"))
    assert driver.workers()["i-1"].running


def test_a_second_driver_adopts_the_workers_of_the_first(new_driver: Callable[[], Driver]) -> None:
    first = new_driver()
    first.start("i-1", _environment("sleep", "i-1"))
    first.start("i-2", _environment("exit:0", "i-2"))
    _ended(first, "i-2")
    second = new_driver()
    assert second.workers()["i-1"].running
    assert second.workers()["i-2"].running is False
    assert _end(second, "i-1").running is False


def test_workers_write_to_a_log_of_their_own(new_driver: Callable[[], Driver], tmp_path: Path) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("exit:0"))
    _ended(driver)
    assert "tiny worker i-1" in (tmp_path / "logs/worker-i-1.log").read_text()
