"""Whole histories in the simulation: the production controller and the worker's state machine in a bad world."""

import logging
import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import structlog
from facecontroller.model import Goal, Offering
from facecontroller.throttle import Limits
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.policies import POLICIES
from simulation.queue import SimulatedQueue
from simulation.score import of, oracle
from simulation.traces import CALM, SERVICE_S, Faults, Trace, burst
from simulation.world import World
from support.fakes.aws import Journal
from support.fakes.clock import Clock

LONGEST_S = 20_000.0
HOURS_WORLDS = settings(max_examples=max(10, settings.default.max_examples // 6))
TROUBLE = st.builds(
    Faults,
    duplicate=st.sampled_from([0.0, 0.1]),
    false_zero=st.sampled_from([0.0, 0.02, 0.3]),
    stale=st.sampled_from([0.0, 0.1, 0.5]),
    lost_answer=st.sampled_from([0.0, 0.01, 0.3]),
    hang=st.sampled_from([0.0, 0.002, 0.2]),
    crash=st.sampled_from([0.0, 0.05]),
    poison=st.sampled_from([0.0, 0.05]),
    controller_crash=st.sampled_from([0.0, 0.002, 0.1]),
)


@pytest.fixture(scope="module", autouse=True)
def silence() -> Iterator[None]:
    """Keeps a million ticks from being logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """A few requests in a few minutes, and AWS away or out of capacity for some of them."""
    arrivals = sorted(draw(st.lists(st.floats(0, 300), min_size=1, max_size=60)))
    service = np.full(len(arrivals), draw(st.sampled_from([0.1, SERVICE_S, 8.0])))
    since, length = draw(st.floats(0, 200)), draw(st.sampled_from([0.0, 60.0, 200.0]))
    away = (since, since + length)
    return Trace(
        "any",
        np.array(arrivals),
        service,
        max_instances=draw(st.integers(1, 6)),
        out_of_capacity=((Offering("m7i.large", "subnet-a"), *away),) if draw(st.booleans()) else (),
        outages=(away,) if draw(st.booleans()) else (),
        call_s=draw(st.sampled_from([0.0, 0.1, 1.0])),
    )


@pytest.mark.parametrize("goal", [*Goal])
@HOURS_WORLDS
@given(trace=traces(), faults=TROUBLE, seed=st.integers(0, 2**16))
def test_i1_i3_i5_i11_every_request_is_settled_within_the_cap_and_nothing_runs_on(
    goal: Goal, trace: Trace, faults: Faults, seed: int
) -> None:
    world = World(replace(trace, faults=faults), POLICIES[goal.value], seed)
    world.run(LONGEST_S)
    assert world.ended, "I5, I11: something waits or runs for ever"
    answered = {int(n) for n in np.flatnonzero(~np.isnan(world.replied_at))}
    assert answered | world.dead == set(range(len(trace.arrivals))), "I11: a request was lost"
    assert world.workers.stopped_while_busy == 0, "I3: an instance was stopped that held a request"
    assert world.ec2.most_owned <= trace.max_instances, "I1: more owned than allowed"
    assert world.ec2.throttled == 0, "I12: a call did not fit EC2's token buckets"


@HOURS_WORLDS
@given(trace=traces(), seed=st.integers(0, 2**16))
def test_i4_in_good_weather_an_instance_works_for_the_first_request_within_a_minute(trace: Trace, seed: int) -> None:
    calm = replace(trace, out_of_capacity=(), outages=(), faults=CALM)
    world = World(calm, POLICIES["demand"], seed)
    world.run(LONGEST_S)
    assert world.replied_at[0] - trace.arrivals[0] <= 60 + trace.service_s[0]


@HOURS_WORLDS
@given(trace=traces(), seed=st.integers(0, 2**16))
def test_i1_i12_two_controllers_pass_the_cap_by_less_than_one_burst(trace: Trace, seed: int) -> None:
    world = World(replace(trace, faults=Faults(twin=True)), POLICIES["demand"], seed)
    world.run(LONGEST_S)
    assert world.ended
    assert world.ec2.most_owned <= 2 * trace.max_instances


def test_i7_a_controller_that_forgets_all_at_every_other_tick_still_serves_a_burst() -> None:
    trace = replace(burst(np.random.default_rng(3)), faults=Faults(controller_crash=0.5))
    world = World(trace, POLICIES["demand"], 3)
    world.run(LONGEST_S)
    assert world.ended
    assert not np.isnan(world.replied_at).any()
    assert world.ec2.most_owned <= trace.max_instances


@pytest.mark.parametrize(("limits", "most"), [(Limits(), 1100), (Limits(instances=10_000), 2500)])
def test_a_flood_gets_as_many_instances_as_ec2_takes_calls_for(limits: Limits, most: int) -> None:
    count = 2500
    trace = Trace("flood", np.zeros(count), np.full(count, 60.0), max_instances=count, faults=CALM, limits=limits)
    world = World(trace, POLICIES["demand"], 1)
    world.run(50.0)
    assert world.ec2.most_owned == pytest.approx(most, rel=0.02)
    assert world.ec2.throttled == 0


@pytest.mark.rule(20)
@pytest.mark.parametrize("at_s", range(80, 91))
def test_launches_keep_ec2s_pace_whatever_else_a_tick_calls(at_s: int) -> None:
    # The second wave is seen by a tick that renews the lease, at one of these seconds. That tick starts what the first
    # wave has left, and no call remains for the launch.
    arrivals = np.array([*[0.0] * 10, *[float(at_s)] * 4000])
    service = np.array([*[1.0] * 10, *[600.0] * 4000])
    world = World(Trace("waves", arrivals, service, max_instances=5000, faults=CALM), POLICIES["demand"], 1)
    world.run(at_s + 65)
    assert world.series.instances[at_s + 5] >= 10 + 1000
    assert world.series.instances[at_s + 65] == pytest.approx(10 + 1000 + 2 * 60, abs=10)
    assert world.ec2.throttled == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_run(policy: str) -> None:
    def score() -> object:
        world = World(burst(np.random.default_rng(5)), POLICIES[policy], 5)
        world.run(LONGEST_S)
        return of(world), world.replied_at.tolist()

    assert score() == score()


def test_no_policy_beats_the_oracle_and_the_production_policy_beats_the_others() -> None:
    trace = burst(np.random.default_rng(1))
    best = oracle(trace)[0]
    worlds = {name: World(trace, make, 1) for name, make in POLICIES.items()}
    for world in worlds.values():
        world.run(LONGEST_S)
    scores = {name: of(world) for name, world in worlds.items()}
    assert all(s.p50_wait_s >= best.p50_wait_s and s.instance_s >= best.instance_s for s in scores.values())
    assert all(scores["demand"].p99_wait_s <= s.p99_wait_s for s in scores.values())


def test_a_controller_without_demand_asks_for_nothing() -> None:
    world = World(Trace("later", np.array([200.0]), np.array([1.0])), POLICIES["demand"], 1)
    world.run(100.0)
    assert world.calls.calls["depth"] == pytest.approx(100, abs=2)
    assert {*world.calls.calls} == {"put_object", "depth", "describe_instances", "describe_launch_template_versions"}


def test_the_simulated_queue_errs_as_often_as_the_faults_say() -> None:
    clock = Clock()
    queue = SimulatedQueue(Faults(false_zero=0.1, stale=0.2), random.Random(1), clock, Journal())
    queue.fill(5)
    queue.note()
    clock.sleep(60)
    queue.fill(8)
    read = []
    for _ in range(1000):
        queue.fill(8)
        clock.sleep(0.01)
        read.append(queue.depth().visible)
    assert read.count(0) == pytest.approx(100, rel=0.3)
    assert read.count(5) == pytest.approx(200, rel=0.3)
    assert read.count(0) + read.count(5) + read.count(8) == 1000
