"""The frugal goal: never more than `demand` would start, and never much slower."""

from dataclasses import replace

import pytest
from facecontroller.estimates import SLACK, Estimates, additional, finish_s
from facecontroller.memory import Memory
from facecontroller.model import Config, Goal, Instance, Observation, State
from hypothesis import given
from hypothesis import strategies as st
from support.ticks import decided

NOW = 1_000_000.0
CONFIG = Config(15, 300, 300, 86_400, Goal.FRUGAL)
KNOWN = Memory(estimates=Estimates(100.0, 100.0, (25.0,)))
READY = st.lists(st.floats(0, 40), max_size=8).map(sorted)
TIMES_S = st.floats(0.1, 40)


def seen(demand: int, *ages_s: float) -> Observation:
    running = (Instance(f"i-{n}", n, State.RUNNING, "ami", NOW - s, NOW - s) for n, s in enumerate(ages_s, 1))
    return Observation(NOW, demand, "ami", tuple(running))


@pytest.mark.parametrize(
    ("demand", "ages_s", "launched"),
    [(1, (), 1), (100, (), 8), (10_000, (), 13), (20, (60.0,), 0), (100, (60.0,), 6), (100, (1.0,) * 8, 0), (0, (), 0)],
)
def test_it_starts_what_shortens_the_wait_and_no_more(demand: int, ages_s: tuple[float, ...], launched: int) -> None:
    launch = decided(seen(demand, *ages_s), KNOWN, CONFIG, NOW).actions.launch
    assert (launch.count if launch else 0) == launched


def test_before_anything_is_measured_it_is_demand() -> None:
    launch = decided(seen(100), Memory(), CONFIG, NOW).actions.launch
    assert launch is not None
    assert launch.count == 15


def test_a_boot_that_takes_much_too_long_is_not_waited_for() -> None:
    hung = Instance("i-1", 1, State.PENDING, "ami", NOW - 60, NOW - 60)
    observation = replace(seen(5), instances=(hung,))
    launch = decided(observation, KNOWN, CONFIG, NOW).actions.launch
    assert launch is not None


@given(st.integers(1, 500), READY, TIMES_S, TIMES_S, st.integers(0, 20))
def test_the_wait_is_within_the_slack_of_the_shortest(
    demand: int, ready: list[float], boot_s: float, service_s: float, limit: int
) -> None:
    more = additional(demand, ready, boot_s, service_s, limit)
    assert 0 <= more <= limit
    work_s = demand * service_s
    if ready or limit:
        chosen, best = (finish_s(work_s, ready, boot_s, service_s, n) for n in (more, limit))
        assert chosen <= SLACK * best * (1 + 1e-9)


@given(st.integers(1, 500), READY, TIMES_S, TIMES_S, st.integers(0, 20))
def test_one_more_instance_never_ends_the_wait_later(
    demand: int, ready: list[float], boot_s: float, service_s: float, more: int
) -> None:
    work_s = demand * service_s
    after = finish_s(work_s, ready, boot_s, service_s, more + 1)
    assert after <= finish_s(work_s, ready, boot_s, service_s, more) * (1 + 1e-9)


@given(st.integers(0, 200), st.lists(st.floats(0, 200), max_size=15), TIMES_S, TIMES_S)
def test_it_never_asks_for_more_than_demand_does(
    demand: int, ages_s: list[float], boot_s: float, service_s: float
) -> None:
    memory = Memory(estimates=Estimates(100 * service_s, 100.0, (boot_s,)))
    frugal, generous = (
        decided(seen(demand, *ages_s), memory, replace(CONFIG, goal=goal), NOW).actions.grown
        for goal in (Goal.FRUGAL, Goal.DEMAND)
    )
    assert frugal <= generous
    assert bool(frugal) == bool(generous) or ages_s
