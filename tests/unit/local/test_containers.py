"""The container driver while the engine is slow or fails: what is begun is completed, what failed is tried again."""

from pathlib import Path
from typing import Any

import pytest
from facelocal.hypervisor.containers import ContainerDriver, Machine
from facelocal.hypervisor.machines import WorkerState
from support.fakes.docker_engine import FakeEngine

RUNS = {"i-1": WorkerState(running=True)}


def _driver(engine: FakeEngine, folder: Path) -> ContainerDriver:
    client: Any = engine
    return ContainerDriver(
        client, image="worker", network="net", machine=Machine(1, 128), log_dir=folder, stop_grace_s=1
    )


def test_a_closed_driver_leaves_no_container_to_appear_later(tmp_path: Path) -> None:
    engine = FakeEngine(start_s=0.3)
    driver = _driver(engine, tmp_path)
    driver.start("i-1", {})
    assert driver.workers() == RUNS
    assert engine.states == {}
    driver.close()
    assert _driver(engine, tmp_path).workers() == RUNS


@pytest.fixture
def ended(tmp_path: Path) -> tuple[FakeEngine, ContainerDriver]:
    """A driver whose worker has ended, on an engine that fails at the next removal."""
    engine = FakeEngine()
    driver = _driver(engine, tmp_path)
    driver.start("i-1", {})
    while not engine.states:
        driver.workers()
    driver.stop("i-1")
    engine.failing_removals = 1
    return engine, driver


def test_a_worker_whose_removal_failed_is_known_again(ended: tuple[FakeEngine, ContainerDriver]) -> None:
    engine, driver = ended
    driver.remove("i-1")
    while engine.failing_removals or not driver.workers():
        pass
    assert driver.workers() == {"i-1": WorkerState(running=False, exit_status=0)}
    driver.remove("i-1")
    driver.close()
    assert driver.workers() == {}


def test_an_instance_starts_again_after_a_removal_that_failed(ended: tuple[FakeEngine, ContainerDriver]) -> None:
    engine, driver = ended
    driver.remove("i-1")
    driver.start("i-1", {})
    driver.close()
    assert engine.states == {"net-i-1": "running"}
