"""One tick after the other: what is logged, what is counted, and what time it takes."""

from dataclasses import replace
from pathlib import Path

import pytest
from facecontroller.cost import RunningCost
from facecontroller.fleet import Ec2Fleet
from facecontroller.loop import Controller, Heartbeat, Pace, run
from facecontroller.metrics import Metrics
from facecontroller.model import Config, Instance, Observation, State
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from support.fakes.aws import FakeQueue, Journal
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2

CONFIG = Config(max_instances=15, boot_timeout_s=300, reap_after_s=300, max_age_s=86_400)
CALL_S = 0.05


class Bench:
    """A controller with everything around it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ec2 = FakeEc2(self.clock, Journal(self.clock, CALL_S))
        self.queue = FakeQueue("requests", self.clock, Journal(self.clock, CALL_S))
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, self.clock)
        fleet = Ec2Fleet(self.ec2, "local", "local-worker")
        self.controller = Controller(self.queue, fleet, CONFIG, self.metrics, self.clock)

    def ticks(self, count: int) -> list[str]:
        with capture_logs() as lines:
            for _ in range(count):
                # As the loop does it, a tick begins with each second however long the last one took.
                self.clock.sleep(1 - self.clock.now_s % 1)
                self.controller.tick()
        return [line["event"] for line in lines if line["log_level"] != "debug"]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"elastic_face_controller_{name}", labels)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_quiet_tick_logs_nothing(bench: Bench) -> None:
    assert bench.ticks(50) == []


def test_a_burst_is_decided_once_and_logged_once(bench: Bench) -> None:
    bench.queue.fill(100)
    assert bench.ticks(40) == ["decision"]
    assert len(bench.ec2.in_state("running")) == 15


def test_a_decision_is_logged_with_its_reason_and_figures(bench: Bench) -> None:
    bench.queue.fill(2)
    with capture_logs() as lines:
        bench.controller.tick()
    assert lines[0] == {
        "event": "decision",
        "log_level": "info",
        "reason": "demand 2 wants 2, 0 active, 0 owned",
        "demand": 2,
        "desired": 2,
        "active": 0,
        "owned": 0,
        "launch": {"count": 2, "offering": "any type@any subnet"},
    }


def test_a_change_of_demand_is_logged_though_nothing_is_done(bench: Bench) -> None:
    bench.queue.fill(20)
    bench.ticks(1)
    bench.queue.fill(19)
    assert bench.ticks(3) == ["decision"]


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(bench: Bench) -> None:
    bench.queue.failures = 20
    assert bench.ticks(30) == ["observation_failed", "observation_recovered"]
    assert bench.metric("failures_total", code="ServiceUnavailable") == 20


def test_demand_that_cannot_be_read_starts_nothing(bench: Bench) -> None:
    bench.queue.fill(5)
    bench.queue.failures = 1
    assert not bench.controller.tick()
    assert bench.ec2.calls["run_instances"] == 0
    assert bench.controller.tick()
    assert (bench.ec2.calls["run_instances"], len(bench.ec2.alive())) == (1, 5)


@pytest.mark.rule(3)
def test_requests_in_flight_are_demand(bench: Bench) -> None:
    bench.queue.fill(0, in_flight=3)
    bench.ticks(1)
    assert (bench.metric("demand"), len(bench.ec2.alive())) == (3, 3)


def test_a_failed_launch_is_logged_and_tried_again_later(bench: Bench) -> None:
    bench.queue.fill(1)
    bench.ec2.faults["run_instances"] = ["InternalFailure"]
    assert bench.ticks(3) == ["decision", "action_failed"]
    assert bench.metric("failures_total", code="InternalFailure") == 1


def test_the_metrics_follow(bench: Bench) -> None:
    bench.queue.fill(20)
    bench.ticks(1)
    assert (bench.metric("demand"), bench.metric("instances_desired")) == (20, 15)
    assert bench.metric("actions_total", action="launch") == 15
    bench.ticks(1)
    assert (bench.metric("instances_active"), bench.metric("instances_owned")) == (15, 15)
    bench.clock.sleep(4)
    # Since before the last tick, which read the queue and EC2 and gave an instance its name.
    assert bench.metric("observation_age_seconds") == pytest.approx(4 + 3 * CALL_S)


class OneLease:
    """A lease that is ours or not as the test says, at `calls` to AWS a tick."""

    def __init__(self, *, ours: bool = False, calls: int = 1) -> None:
        self.ours, self.released, self.calls = ours, False, calls

    def acquire(self) -> tuple[bool, int]:
        return self.ours, self.calls

    def release(self) -> None:
        self.released = True


def test_without_the_lease_it_stands_by_and_forgets(bench: Bench) -> None:
    lease = OneLease()
    fleet = Ec2Fleet(bench.ec2, "local", "local-worker")
    controller = Controller(bench.queue, fleet, CONFIG, bench.metrics, bench.clock, lease=lease)
    bench.queue.fill(3)
    assert controller.tick()
    assert (bench.metric("leader"), dict(bench.ec2.calls)) == (0, {})
    lease.ours = True
    controller.tick()
    assert (bench.metric("leader"), dict(bench.ec2.calls)) == (1, {})
    controller.tick()
    assert len(bench.ec2.alive()) == 3
    controller.release()
    assert not lease.released
    bench.clock.sleep(70)
    bench.queue.fill(0)
    controller.tick()
    controller.release()
    assert lease.released


@pytest.mark.rule(20)
def test_a_launch_that_a_tick_has_no_call_left_for_is_not_charged_and_follows_whole(bench: Bench) -> None:
    lease = OneLease(ours=True, calls=0)
    config = replace(CONFIG, max_instances=5000, warm_pool=5000)
    fleet = Ec2Fleet(bench.ec2, "local", "local-worker")
    controller = Controller(bench.queue, fleet, config, bench.metrics, bench.clock, lease=lease)
    for n in range(1, 11):
        bench.ec2.add(f"app-tier-instance-{n}", "stopped")
    controller.tick()
    bench.queue.fill(4000)
    lease.calls = 1
    controller.tick()
    assert (len(bench.ec2.in_state("pending")), bench.ec2.calls["run_instances"]) == (10, 0)
    bench.clock.sleep(1)
    lease.calls = 0
    controller.tick()
    assert [request["MaxCount"] for request in bench.ec2.launch_requests] == [1000]


def test_a_cold_start_is_measured_by_phase_and_running_time_is_paid_by_the_minute(bench: Bench) -> None:
    bench.queue.fill(1)
    bench.ticks(25)
    bench.queue.fill(0, in_flight=1)
    bench.ticks(2)
    # The launch is the fourth call of the first tick.
    assert bench.metric("cold_start_seconds_sum", phase="ask") == pytest.approx(4 * CALL_S)
    assert bench.metric("cold_start_seconds_sum", phase="run") == pytest.approx(20, abs=1)
    assert bench.metric("cold_start_seconds_sum", phase="work") == pytest.approx(5, abs=1)
    ran_s = bench.metric("instance_seconds_total")
    assert ran_s == pytest.approx(6, abs=1)
    bench.ec2.power_off(bench.ec2.alive()[0])
    bench.queue.fill(0)
    bench.ticks(10)
    assert bench.metric("instance_seconds_total") == pytest.approx(7, abs=2)


def test_the_running_cost_bills_a_minute_at_least() -> None:
    cost, running = RunningCost(3600.0), Instance("i-1", 1, State.RUNNING, "ami", 0.0, 100.0)
    cost.add(Observation(100, 1, "ami", (running,)))
    assert cost.add(Observation(110, 1, "ami", (running,))) == (10, 10)
    assert cost.add(Observation(111, 1, "ami", ())) == (0, 49)


class EnoughError(Exception):
    """Ends a run."""


def test_the_loop_keeps_its_rhythm_and_its_heart_beats(bench: Bench, tmp_path: Path) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        bench.clock.sleep(seconds)
        if len(slept) == 4:
            raise EnoughError

    with pytest.raises(EnoughError):
        run(
            bench.controller,
            bench.metrics,
            1,
            Heartbeat(str(tmp_path / "beat")),
            sleep=sleep,
            monotonic=bench.clock,
        )
    # The first tick reads the launch template too.
    assert slept == pytest.approx([1 - 3 * CALL_S, *[1 - 2 * CALL_S] * 3])
    assert (tmp_path / "beat").exists()
    assert bench.metric("tick_seconds_count") == 4


def test_no_heartbeat_file_is_no_heartbeat() -> None:
    Heartbeat("").beat()


def test_the_pace_slows_down_while_ticks_fail_and_recovers_at_once() -> None:
    pace, now, waits = Pace(1, 0), 0.0, []
    for succeeded in (False, False, False, False, True):
        waits.append(pace.wait_s(succeeded, now))
        now += waits[-1]
    assert waits == [2, 4, 5, 5, 1]


def test_a_long_tick_is_not_made_up_for() -> None:
    pace = Pace(1, 0)
    assert [pace.wait_s(True, 30), pace.wait_s(True, 30.1)] == pytest.approx([0, 0.9])


@given(st.floats(0.05, 10), st.lists(st.tuples(st.booleans(), st.floats(0, 60)), max_size=30))
def test_the_wait_is_within_bounds(tick_s: float, ticks: list[tuple[bool, float]]) -> None:
    pace, now = Pace(tick_s, 0), 0.0
    for succeeded, took_s in ticks:
        now += took_s
        wait_s = pace.wait_s(succeeded, now)
        assert 0 <= wait_s <= max(tick_s, 5) + 1e-6
        now += wait_s
