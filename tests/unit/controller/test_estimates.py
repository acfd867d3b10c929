"""What is learned by watching: service time, boot time and the rate of arrivals, though the counts err."""

from collections.abc import Iterable

import pytest
from facecontroller.estimates import Estimates
from facecontroller.memory import Memory, recall
from facecontroller.model import Instance, Launch, Observation, Outcome, State
from hypothesis import given
from hypothesis import strategies as st
from support.ticks import remembered

NOW = 1_000_000.0
WORKERS = 4
"""Workers that take a request each; together they do two a second in what follows."""


def look(memory: Memory, second: float, demand: int, in_flight: int, *states: State) -> Memory:
    at = NOW + second
    found = tuple(Instance(f"i-{n}", n, state, "ami", NOW, NOW) for n, state in enumerate(states, 1))
    return recall(memory, Observation(at, demand, "ami", found, in_flight), at)


def watched(counts: Iterable[tuple[int, int]]) -> Estimates:
    memory = Memory()
    for second, (demand, in_flight) in enumerate(counts):
        memory = look(memory, second, demand, in_flight, State.RUNNING)
    return memory.estimates


def queue() -> list[tuple[int, int]]:
    return [(max(0, 60 - 2 * second), min(WORKERS, max(0, 60 - 2 * second))) for second in range(34)]


def cold_start(memory: Memory, second: float) -> Memory:
    """Demand without an instance, and a launch that EC2 accepts."""
    memory = look(memory, second, 1, 0)
    return remembered(memory, Outcome(launched=(Launch(NOW + second, 1, 1, "t", ("i-1",)),)), NOW + second)


def work_begins(memory: Memory, second: float) -> Memory:
    """The instance runs, and has a request in flight a second later."""
    return look(look(memory, second - 1, 1, 0, State.RUNNING), second, 1, 1, State.RUNNING)


def test_a_service_time_is_seconds_in_flight_over_requests_done() -> None:
    assert watched(queue()).service_s == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("service_s", [0.25, 0.5, 2.0, 4.0])
def test_a_service_time_is_known_though_workers_come_one_after_another(service_s: float) -> None:
    left, counts = 200.0, []
    for second in range(200):
        busy = min(second // 2, 15, int(left))
        counts.append((int(left), busy))
        left = max(0.0, left - busy / service_s)
    assert watched(counts).service_s == pytest.approx(service_s, rel=0.15)


def test_a_service_time_is_a_quarter_of_a_tick_at_least() -> None:
    assert watched([(100, 0), (90, 1), (20, 7)] + [(0, 0)] * 5).service_s == pytest.approx(0.25)


@given(st.sets(st.integers(0, 9).map(lambda n: 3 * n), max_size=8), st.sampled_from([(0, 0), (60, 4), (300, 4)]))
def test_counts_that_err_now_and_then_are_no_requests_done(seconds: set[int], wrong: tuple[int, int]) -> None:
    counts = queue()
    for second in seconds:
        counts[second] = wrong
    assert watched(counts).service_s == pytest.approx(2.0, rel=0.25)


def test_a_burst_that_stays_is_believed() -> None:
    counts = [(0, 0)] * 5 + queue()
    assert watched(counts).service_s == pytest.approx(2.0, rel=0.05)


def test_a_boot_time_is_from_asking_to_the_first_request_in_flight() -> None:
    memory = look(cold_start(Memory(), 0), 10, 0, 0)
    for second, in_flight in ((20, 0), (24, 1), (30, 1)):
        memory = look(memory, second, 1, in_flight, State.RUNNING)
    assert memory.estimates.boot_s == 24
    assert memory.cold is not None
    assert (memory.cold.running_at, memory.cold.working_at) == (NOW + 20, NOW + 24)


def test_a_count_of_long_ago_does_not_end_a_boot() -> None:
    memory = look(cold_start(Memory(), 0), 5, 7, 4, State.PENDING)
    assert memory.estimates.boot_s is None
    assert work_begins(memory, 24).estimates.boot_s == 24


def test_work_that_was_done_between_two_looks_ends_the_period() -> None:
    memory = look(cold_start(Memory(), 0), 20, 1, 0, State.RUNNING)
    memory = look(memory, 25, 0, 0, State.RUNNING)
    assert memory.cold is None
    memory = work_begins(cold_start(memory, 50), 74)
    assert memory.estimates.boot_s == 24


def test_a_boot_that_ended_between_two_observations_is_not_measured() -> None:
    memory = look(cold_start(Memory(), 0), 61, 9, 1, State.RUNNING)
    assert memory.estimates.boot_s is None


def test_boots_that_hung_are_not_the_usual() -> None:
    memory = Memory()
    for n, boot_s in enumerate((24, 120, 22, 23, 300)):
        memory = work_begins(cold_start(memory, 1000 * n), 1000 * n + boot_s)
        memory = look(memory, 1000 * n + 400, 0, 0)
    assert memory.estimates.boot_s == 24


def test_the_rate_of_arrivals_is_that_of_a_stream_and_not_of_a_burst() -> None:
    assert Estimates(arrivals=(0.0, 0.0, 100.0)).rate == 0
    assert Estimates(arrivals=(2.0, 0.0, 3.0)).rate == 2
