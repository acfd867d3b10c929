"""The controller against an EC2 that lags, fails and boots slowly, with histories that hypothesis makes up."""

from facecontroller.fleet import Ec2Fleet
from facecontroller.loop import Controller
from facecontroller.metrics import Metrics
from facecontroller.model import Config
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from prometheus_client import CollectorRegistry
from support.fakes.aws import Crashed, FakeQueue, Journal
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from support.fakes.ec2_parts import LOST_ANSWER, Machine

MAX = 4
CALL_S = 0.05
CONFIG = Config(max_instances=MAX, boot_timeout_s=120, reap_after_s=120, max_age_s=3600)
BOUND_S = 120 + 60 + 180 + 30 + 900
"""For I4: a hung boot, a lost launch, an offering without machines, the boot itself, and a rest after vain boots."""
GRACE_S = 120 + 120 + 30
IDLE_S = 20
"""After which a worker without work powers its instance off."""
FAULTS = st.sampled_from(
    ["InsufficientInstanceCapacity", "RequestLimitExceeded", "UnauthorizedOperation", "InternalError", LOST_ANSWER]
)
CALLS = st.sampled_from(["run_instances", "start_instances", "stop_instances", "terminate_instances", "create_tags"])


class World(RuleBasedStateMachine):
    """One deployment beside another one's instance, whose invariants are checked after each tick."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.journal = Journal(self.clock, CALL_S)
        self.ec2 = FakeEc2(self.clock, self.journal)
        self.queue = FakeQueue("requests", self.clock, Journal(self.clock, CALL_S))
        self.demand = 0
        self.foreign = self.ec2.add("app-tier-instance-1", "running", owner="other")
        self.ec2.add("app-tier-instance-x", "stopped", owner="other", image="former")
        self.forgot_launches = False
        self.stuck: set[str] = set()
        self.idle_since: dict[str, float] = {}
        self.start_controller()

    def start_controller(self) -> None:
        metrics = Metrics(CollectorRegistry(), self.clock)
        fleet = Ec2Fleet(self.ec2, "local", "local-worker")
        self.controller = Controller(self.queue, fleet, CONFIG, metrics, self.clock)

    def tick(self, step_s: float = 1) -> None:
        before = self.clock.now_s
        self.clock.sleep(step_s)
        self.workers_idle(before)
        in_flight = min(self.demand, len(self.workers()))
        self.queue.fill(self.demand - in_flight, in_flight)
        busy = {m.id for m in self.workers()} if self.demand else set()
        self.ec2.stopped_by_call.clear()
        try:
            self.controller.tick()
        except Crashed:
            self.journal.crash_after = None
            self.the_controller_is_killed()
        assert not busy & set(self.ec2.stopped_by_call), "I3: stopped what may hold a request"
        assert not self.ec2.touched & {self.foreign}, "I10: touched a foreign instance"
        self.check_cap()

    def workers(self) -> list[Machine]:
        return [m for m in self.ec2.in_state("running") if m.id not in self.stuck]

    def workers_idle(self, before: float) -> None:
        ids = {m.id for m in self.workers()} if not self.demand else set()
        self.idle_since = {i: self.idle_since.get(i, before) for i in ids}
        for machine in self.workers():
            if self.clock.now_s - self.idle_since.get(machine.id, self.clock.now_s) >= IDLE_S:
                self.ec2.power_off(machine)

    def check_cap(self) -> None:
        alive = self.ec2.alive()
        if self.forgot_launches:
            self.forgot_launches = len(alive) > MAX or self.hidden_launches()
        else:
            assert len(alive) <= MAX, "I1: more owned than allowed"

    def hidden_launches(self) -> bool:
        return any(m.shown is None for m in self.ec2.alive())

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.tick()

    @rule(requests=st.integers(1, 9))
    def requests_come(self, requests: int) -> None:
        self.demand += requests
        self.tick()

    @precondition(lambda self: self.workers())
    @rule(requests=st.integers(1, 9))
    def workers_work(self, requests: int) -> None:
        self.demand = max(0, self.demand - requests)
        self.tick()

    @precondition(lambda self: self.workers())
    @rule()
    def a_worker_gets_stuck(self) -> None:
        self.stuck.add(self.workers()[0].id)

    @precondition(lambda self: self.demand and not self.queue.false_zeros)
    @rule(samples=st.integers(1, 60))
    def the_queue_seems_empty(self, samples: int) -> None:
        self.tick()
        self.queue.false_zeros = samples

    @rule()
    def the_queue_cannot_be_read(self) -> None:
        self.queue.failures = 2

    @rule(lag_s=st.sampled_from([0, 1, 5, 20]))
    def describe_lags(self, lag_s: int) -> None:
        self.ec2.lag_s = lag_s

    @rule(hang=st.booleans())
    def boots_hang(self, hang: bool) -> None:
        self.ec2.boots_hang = hang

    @rule(call=CALLS, faults=st.lists(FAULTS, min_size=1, max_size=3))
    def calls_fail(self, call: str, faults: list[str]) -> None:
        self.ec2.faults[call] = list(faults)

    @rule()
    def a_new_image_comes(self) -> None:
        self.ec2.image = f"{self.ec2.image}x"

    @rule()
    def the_controller_is_killed(self) -> None:
        self.forgot_launches = self.forgot_launches or self.hidden_launches()
        self.start_controller()

    @rule(calls=st.integers(1, 4))
    def the_controller_is_killed_after_a_call(self, calls: int) -> None:
        self.journal.crash_after = len(self.journal.steps) + calls

    @rule(hours=st.integers(1, 2))
    def hours_pass_unwatched(self, hours: int) -> None:
        self.tick(hours * 3600)

    def teardown(self) -> None:
        self.heal()
        self.wanted_work_gets_an_instance()
        self.nothing_wanted_ends_with_nothing_running()
        self.names_are_put_right()
        self.old_age_empties_the_pool()

    def heal(self) -> None:
        self.ec2.lag_s, self.ec2.boots_hang, self.ec2.faults = 0, False, {}
        self.journal.crash_after = None
        self.queue.false_zeros = self.queue.failures = 0

    def wanted_work_gets_an_instance(self) -> None:
        self.demand = 2
        for _ in range(BOUND_S // 5):
            self.tick(5)
        assert self.ec2.in_state("running"), "I4: nothing runs though there is work"
        calls = self.ec2.calls["run_instances"] + self.ec2.calls["start_instances"]
        for _ in range(60):
            self.tick()
        assert self.ec2.calls["run_instances"] + self.ec2.calls["start_instances"] == calls, "I13: oscillates"

    def nothing_wanted_ends_with_nothing_running(self) -> None:
        self.demand = 0
        for _ in range(GRACE_S // 5):
            self.tick(5)
        assert not self.ec2.in_state("pending", "running"), "I5: something runs without demand"
        assert len(self.ec2.alive()) <= MAX, "I7: something leaked"

    def names_are_put_right(self) -> None:
        for _ in range(MAX + 60):
            self.tick()
        names = [m.tags["Name"] for m in self.ec2.alive()]
        assert len(set(names)) == len(names), "two instances have one name"
        assert set(names) <= {f"app-tier-instance-{n}" for n in range(1, MAX + 1)}

    def old_age_empties_the_pool(self) -> None:
        self.tick(3700)
        for _ in range(20):
            self.tick(5)
        assert not self.ec2.alive(), "I14: over-age instances remain"


World.TestCase.settings = settings(max_examples=settings.default.max_examples // 4, stateful_step_count=25)
TestWorld = World.TestCase


def world() -> World:
    made = World()
    made.demand = MAX
    return made


def test_a_controller_killed_after_launching_does_not_launch_again() -> None:
    simulated = world()
    simulated.ec2.lag_s = 5
    simulated.clock.sleep(60 - simulated.clock.now_s % 60)
    simulated.tick()
    for _ in range(10):
        simulated.start_controller()
        simulated.tick()
    assert len(simulated.ec2.alive()) == MAX


def test_two_controllers_at_once_stay_within_the_cap() -> None:
    simulated = world()
    simulated.ec2.lag_s = 2
    first = simulated.controller
    simulated.start_controller()
    for _ in range(30):
        simulated.tick()
        first.tick()
        simulated.check_cap()
    assert len(simulated.ec2.in_state("running")) == MAX


def test_what_is_above_the_cap_goes_once_it_is_stopped() -> None:
    simulated = world()
    for n in range(2 * MAX):
        simulated.ec2.add(f"app-tier-instance-{n}", "stopped")
    simulated.demand = 0
    simulated.controller.tick()
    simulated.clock.sleep(10)
    assert len(simulated.ec2.alive()) == MAX


def test_no_work_and_no_instance_means_no_call_that_changes_anything() -> None:
    simulated = World()
    for _ in range(100):
        simulated.tick()
    assert set(simulated.ec2.calls) == {"describe_instances", "describe_launch_template_versions"}
    assert simulated.ec2.calls["describe_instances"] == 100
    assert simulated.ec2.calls["describe_launch_template_versions"] == 4
