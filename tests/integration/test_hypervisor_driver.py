"""The contract of a hypervisor's driver, held by each driver with real workers."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from facelocal.hypervisor.containers import INSTANCE_LABEL, NETWORK_LABEL, ContainerDriver, Machine
from facelocal.hypervisor.machines import Driver, WorkerState
from facelocal.hypervisor.processes import ProcessDriver
from support.ground import TESTS, until
from support.requirements import require_engine

TINY_IMAGE = "elastic-face-test/tiny-worker"
_TINY_DOCKERFILE = """
FROM python:3.11-slim-bookworm
COPY tiny_worker.py /app/
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1
USER 10001
CMD ["python3", "-c", "import os, sys, tiny_worker; sys.exit(tiny_worker.main(os.environ))"]
"""


@pytest.fixture(params=["processes", "containers"])
def new_driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Driver]]:
    """Makes drivers over the same state, the second as after a restart of the hypervisor."""
    if request.param == "processes":
        yield from _drivers(lambda: ProcessDriver(tmp_path, "support.fakes.tiny_worker:main", (), stop_grace_s=0.5))
        return
    network = request.getfixturevalue("network")
    image = request.getfixturevalue("tiny_image")
    yield from _drivers(lambda: _container_driver(image, network, tmp_path))


def _container_driver(image: str, network: str, folder: Path) -> ContainerDriver:
    return ContainerDriver(
        docker.from_env(),
        image=image,
        network=network,
        machine=Machine(cpus=1, memory_mib=128),
        log_dir=folder / "logs",
        stop_grace_s=0.5,
    )


def _drivers(make: Callable[[], Driver]) -> Iterator[Callable[[], Driver]]:
    made: list[Driver] = []

    def new() -> Driver:
        # A hypervisor is restarted when the former one has ended, and with it what that one had begun.
        for driver in made:
            driver.close()
        made.append(make())
        return made[-1]

    yield new
    driver = new()
    for instance_id in driver.workers():
        _end(driver, instance_id)
        driver.remove(instance_id)
    _until_forgotten(driver)
    driver.close()


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose container does what the variable EFACE_TINY says."""
    require_engine()
    folder = tmp_path_factory.mktemp("tiny-image")
    (folder / "Dockerfile").write_text(_TINY_DOCKERFILE)
    (folder / "tiny_worker.py").write_text((TESTS / "support/fakes/tiny_worker.py").read_text())
    docker.from_env().images.build(path=str(folder), tag=TINY_IMAGE, rm=True)
    return TINY_IMAGE


@pytest.fixture
def network() -> Iterator[str]:
    """A network of its own for the containers of one test."""
    require_engine()
    engine = docker.from_env()
    made = engine.networks.create(f"elastic-face-test-{uuid.uuid4().hex[:8]}", internal=True)
    yield str(made.name)
    until(lambda: _removed(made), failure="a container is still on the network")


def _removed(network: Any) -> bool:
    """Removes a network, unless a container that is being removed is still on it."""
    try:
        network.remove()
    except docker.errors.APIError as error:
        if "active endpoints" not in str(error):
            raise
        return False
    return True


def _environment(verb: str, instance_id: str = "i-1") -> dict[str, str]:
    return {"EFACE_TINY": verb, "EFACE_INSTANCE_ID": instance_id}


def _ended(driver: Driver, instance_id: str = "i-1") -> WorkerState:
    until(lambda: not driver.workers()[instance_id].running, failure="the worker still runs")
    return driver.workers()[instance_id]


def _end(driver: Driver, instance_id: str) -> WorkerState:
    def ended() -> bool:
        if running := driver.workers()[instance_id].running:
            driver.stop(instance_id)
        return not running

    until(ended, failure="the worker still runs")
    return driver.workers()[instance_id]


def _until_forgotten(driver: Driver) -> None:
    until(lambda: not driver.workers(), failure="the worker is still known")


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


@pytest.fixture
def printed(request: pytest.FixtureRequest, new_driver: Callable[[], Driver], tmp_path: Path) -> Callable[[], str]:
    """What the workers that run have printed so far."""
    if request.node.callspec.params["new_driver"] == "processes":
        return lambda: "".join(path.read_text() for path in (tmp_path / "logs").glob("*.log"))
    containers, label = docker.from_env().containers, f"{NETWORK_LABEL}={request.getfixturevalue('network')}"
    return lambda: "".join(one.logs().decode() for one in containers.list(filters={"label": label}))


def test_a_worker_that_ignores_the_request_to_end_is_killed(
    new_driver: Callable[[], Driver], printed: Callable[[], str]
) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("stubborn"))
    until(lambda: "tiny worker i-1 stubborn" in printed())
    driver.stop("i-1")
    assert driver.workers()["i-1"].running
    assert _end(driver, "i-1").running is False


def test_a_removed_worker_is_forgotten_and_its_instance_can_start_again(new_driver: Callable[[], Driver]) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("exit:0"))
    _ended(driver)
    driver.remove("i-1")
    _until_forgotten(driver)
    driver.start("i-1", _environment("sleep"))
    assert driver.workers()["i-1"].running


def test_a_second_driver_adopts_the_workers_of_the_first(new_driver: Callable[[], Driver]) -> None:
    first = new_driver()
    first.start("i-1", _environment("sleep", "i-1"))
    first.start("i-2", _environment("exit:0", "i-2"))
    _ended(first, "i-2")
    assert first.workers()["i-1"].running
    second = new_driver()
    assert second.workers()["i-1"].running
    assert second.workers()["i-2"].running is False
    assert _end(second, "i-1").running is False


def test_a_second_driver_finds_a_worker_that_the_first_one_had_just_begun_to_start(
    new_driver: Callable[[], Driver],
) -> None:
    new_driver().start("i-1", _environment("sleep"))
    assert new_driver().workers() == {"i-1": WorkerState(running=True)}


def test_workers_write_to_a_log_of_their_own(new_driver: Callable[[], Driver], tmp_path: Path) -> None:
    driver = new_driver()
    driver.start("i-1", _environment("exit:0"))
    _ended(driver)
    driver.remove("i-1")
    path = tmp_path / "logs/worker-i-1.log"
    until(lambda: path.exists() and "tiny worker i-1" in path.read_text(), failure="the log was not kept")


def test_a_worker_whose_container_cannot_be_made_has_failed(network: str, tmp_path: Path) -> None:
    driver = _container_driver("elastic-face-test/no-such-image:none", network, tmp_path)
    driver.start("i-1", _environment("sleep"))
    assert _ended(driver) == WorkerState(running=False, exit_status=None)
    assert driver.workers() == {"i-1": WorkerState(running=False, exit_status=None)}
    driver.remove("i-1")
    _until_forgotten(driver)


def test_a_container_has_the_limits_of_its_machine_and_no_privileges(
    tiny_image: str, network: str, tmp_path: Path
) -> None:
    drivers = _drivers(lambda: _container_driver(tiny_image, network, tmp_path))
    driver = next(drivers)()
    driver.start("i-1", _environment("sleep"))
    containers, label = docker.from_env().containers, f"{NETWORK_LABEL}={network}"
    [container] = until(lambda: containers.list(filters={"label": label}), failure="the container does not run")
    host = container.attrs["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["PidsLimit"]) == (1_000_000_000, 128 * 1024 * 1024, 256)
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges"])
    assert not host["Binds"]
    assert next(drivers, None) is None


def test_a_container_that_was_made_and_never_started_has_failed_and_is_replaced(
    tiny_image: str, network: str, tmp_path: Path
) -> None:
    drivers = _drivers(lambda: _container_driver(tiny_image, network, tmp_path))
    driver = next(drivers)()
    labels = {NETWORK_LABEL: network, INSTANCE_LABEL: "i-1"}
    docker.from_env().containers.create(tiny_image, name=f"{network}-i-1", labels=labels)
    assert driver.workers() == {"i-1": WorkerState(running=False)}
    driver.start("i-1", _environment("exit:7"))
    assert _ended(driver) == WorkerState(running=False, exit_status=7)
    assert next(drivers, None) is None
