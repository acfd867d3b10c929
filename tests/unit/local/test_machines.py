"""The life of a machine: boot, restart after a failure, power-off."""

import pytest
from facelocal.hypervisor.machines import Machines, Step, WorkerState
from hypothesis import given
from hypothesis import strategies as st

RUNS = WorkerState(running=True)
IDLE = WorkerState(running=False, exit_status=0)
FAILED = WorkerState(running=False, exit_status=1)
LOST = WorkerState(running=False, exit_status=None)


@pytest.fixture
def machines() -> Machines:
    return Machines(boot_s=20, restart_s=1, max_failures=3)


def _steps(machines: Machines, running: list[str], workers: dict[str, WorkerState], now: float) -> list[Step]:
    return [step for _, step, _ in machines.steps(running, workers, now)]


def test_a_worker_starts_when_its_machine_has_booted(machines: Machines) -> None:
    assert _steps(machines, ["i-1"], {}, 0) == []
    assert _steps(machines, ["i-1"], {}, 19.9) == []
    assert _steps(machines, ["i-1"], {}, 20) == [Step.BOOT]


def test_a_worker_that_runs_needs_nothing(machines: Machines) -> None:
    assert _steps(machines, ["i-1"], {"i-1": RUNS}, 0) == []


def test_an_idle_worker_powers_its_machine_off_and_the_next_start_is_a_boot(machines: Machines) -> None:
    _steps(machines, ["i-1"], {"i-1": RUNS}, 0)
    assert _steps(machines, ["i-1"], {"i-1": IDLE}, 1) == [Step.POWER_OFF]
    assert _steps(machines, ["i-1"], {}, 2) == []
    assert _steps(machines, ["i-1"], {}, 22) == [Step.BOOT]


@pytest.mark.parametrize("ended", [FAILED, LOST])
def test_a_failed_worker_is_restarted_and_after_too_many_failures_the_machine_powers_off(
    machines: Machines, ended: WorkerState
) -> None:
    taken = []
    for now in (0, 10, 20, 30):
        _steps(machines, ["i-1"], {"i-1": RUNS}, now)
        assert _steps(machines, ["i-1"], {"i-1": ended}, now + 0.5) in ([], [Step.POWER_OFF])
        taken += _steps(machines, ["i-1"], {"i-1": ended}, now + 2)
        if Step.POWER_OFF in taken:
            break
    assert taken[:2] == [Step.BOOT, Step.BOOT]
    assert len(taken) <= 3


def test_an_instance_that_no_longer_runs_loses_its_worker(machines: Machines) -> None:
    assert _steps(machines, [], {"i-1": RUNS}, 0) == [Step.HALT]
    assert _steps(machines, [], {"i-1": IDLE}, 0) == [Step.CLEAR]


def test_an_adopted_worker_that_ends_with_no_status_is_restarted_not_powered_off(machines: Machines) -> None:
    _steps(machines, ["i-1"], {"i-1": RUNS}, 0)
    assert _steps(machines, ["i-1"], {"i-1": LOST}, 5) == [Step.BOOT]


_STATES = st.sampled_from([RUNS, IDLE, FAILED, LOST])
_IDS = st.sampled_from(["i-1", "i-2", "i-3"])


@given(st.lists(st.tuples(st.sets(_IDS), st.dictionaries(_IDS, _STATES)), max_size=12))
def test_no_worker_is_started_twice_or_without_its_instance(
    history: list[tuple[set[str], dict[str, WorkerState]]],
) -> None:
    machines = Machines(boot_s=1, restart_s=0, max_failures=3)
    for now, (running, workers) in enumerate(history):
        for instance_id, step, _ in machines.steps(running, workers, now):
            worker = workers.get(instance_id)
            if step is Step.BOOT:
                assert instance_id in running and not (worker and worker.running)
            if step in (Step.HALT, Step.CLEAR):
                assert instance_id not in running
            if step is Step.POWER_OFF:
                assert instance_id in running and worker is not None and not worker.running
