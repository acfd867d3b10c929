"""What keeps the fleet cheap and within EC2's limits: offerings, the warm pool, failed starts, token buckets."""

from dataclasses import replace

import pytest
from facecontroller.memory import CAPACITY_BACKOFF_S, FailedStarts, Memory, remember
from facecontroller.model import (
    LAUNCH,
    Actions,
    Config,
    Failure,
    Instance,
    Launch,
    Observation,
    Offering,
    Order,
    Outcome,
    State,
)
from facecontroller.throttle import Limits, available, refilled, spent
from hypothesis import given
from hypothesis import strategies as st
from support.ticks import decided, remembered

NOW = 1_000_000.0
NEAR, FAR = Offering("m7i.large", "subnet-a"), Offering("m7i.large", "subnet-b")
CONFIG = Config(4, 300, 300, 86_400, warm_pool=4, offerings=(NEAR, FAR))


def stopped(count: int, age_s: float = 100.0) -> tuple[Instance, ...]:
    return tuple(Instance(f"i-{n}", n, State.STOPPED, "ami", NOW - age_s, NOW - age_s) for n in range(1, count + 1))


def seen(demand: int, instances: tuple[Instance, ...] = (), in_flight: int = 0, at: float = NOW) -> Observation:
    return Observation(at, demand, "ami", instances, in_flight)


def dry(*targets: str) -> Memory:
    failures = tuple(Failure("launch", target, "InsufficientInstanceCapacity", "", capacity=True) for target in targets)
    return remembered(Memory(), Outcome(failures=failures), NOW)


@pytest.mark.rule(8)
def test_i15_an_offering_that_is_out_of_capacity_is_skipped_for_three_minutes() -> None:
    memory = dry(NEAR.key)
    for later_s, offering in ((0, FAR), (CAPACITY_BACKOFF_S - 1, FAR), (CAPACITY_BACKOFF_S, NEAR)):
        launch = decided(seen(2, at=NOW + later_s), memory, CONFIG, NOW + later_s).actions.launch
        assert launch == Order(2, 1, offering)


def test_without_any_offering_nothing_is_launched_and_the_reason_says_so() -> None:
    decision = decided(seen(2), dry(NEAR.key, FAR.key), CONFIG, NOW)
    assert not decision.actions
    assert "every offering is out of capacity" in decision.reason


def test_i15_stopped_ones_that_are_out_of_capacity_give_their_slots_to_another_offering() -> None:
    memory = dry("i-1", "i-2", "i-3", "i-4")
    decision = decided(seen(3, stopped(4)), memory, CONFIG, NOW)
    assert len(decision.actions.terminate) == 3
    again = decided(
        seen(3, stopped(4)), remembered(memory, Outcome(terminated=decision.actions.terminate), NOW), CONFIG, NOW
    )
    assert not again.actions
    nowhere = decided(seen(3, stopped(4)), dry("i-1", "i-2", "i-3", "i-4", NEAR.key, FAR.key), CONFIG, NOW)
    assert nowhere.actions.terminate == ()


@pytest.mark.parametrize(("pool", "kept"), [(0, 0), (1, 1), (4, 4), (9, 4)])
def test_the_warm_pool_keeps_so_many_of_the_lowest_numbers(pool: int, kept: int) -> None:
    actions = decided(seen(0, stopped(4)), Memory(), replace(CONFIG, warm_pool=pool), NOW).actions
    assert set(actions.terminate) == {f"i-{n}" for n in range(kept + 1, 5)}


def test_the_warm_pool_keeps_nothing_beyond_its_time_and_nothing_goes_while_there_is_work() -> None:
    config = replace(CONFIG, warm_s=99)
    assert len(decided(seen(0, stopped(4)), Memory(), config, NOW).actions.terminate) == 4
    assert decided(seen(1, stopped(4)), Memory(), config, NOW).actions == Actions(start=("i-1",))
    assert not decided(seen(0, stopped(4, age_s=98)), Memory(), config, NOW).actions


@pytest.mark.parametrize(("starts", "pause_s"), [(1, 0), (2, 60), (3, 120), (9, 900)])
def test_an_instance_whose_starts_fail_backs_off_ever_longer(starts: int, pause_s: float) -> None:
    memory = Memory(failed_starts={"i-1": FailedStarts(starts, NOW)})
    one = replace(CONFIG, max_instances=1)
    waits = [
        s for s in (0, 59, 60, 119, 120, 899, 900) if decided(seen(1, stopped(1)), memory, one, NOW + s).actions.start
    ]
    assert waits[0] == pause_s


def test_a_request_in_flight_ends_all_backoffs_of_failed_starts() -> None:
    memory = Memory(failed_starts={"i-1": FailedStarts(5, NOW)})
    assert decided(seen(2, stopped(1), in_flight=1), memory, CONFIG, NOW).actions.start == ("i-1",)


def test_each_start_and_launch_counts_as_failed_until_work_is_seen() -> None:
    outcome = Outcome(("i-1",), (Launch(NOW, 2, 1, "t", ("i-2",)),))
    memory = remembered(remembered(Memory(), outcome, NOW), outcome, NOW)
    assert memory.failed_starts == {"i-1": FailedStarts(2, NOW), "i-2": FailedStarts(2, NOW)}


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 100)), max_size=30),
    st.sampled_from([Limits(), Limits(instances=10_000), Limits(calls=1, instances_per_s=0.5)]),
)
def test_i12_what_the_buckets_allow_never_empties_them(wishes: list[tuple[int, float]], limits: Limits) -> None:
    for operation in ("start", "launch"):
        tokens, now, taken = {}, NOW, 0
        for wish, passed_s in wishes:
            now += passed_s
            count = min(wish, available(tokens, operation, now, limits))
            tokens = spent(tokens, operation, count, now, limits)
            taken += count
            left = refilled(tokens.get(operation), now, limits)
            assert 0 <= left.calls <= limits.calls
            assert 0 <= left.instances <= limits.instances
        assert taken <= limits.instances + limits.instances_per_s * (now - NOW) + 1e-6


def test_what_ec2_refused_is_charged_and_what_was_only_decided_is_not() -> None:
    failures = (Failure("start", "i-1", "InternalError", ""), Failure("launch", LAUNCH, "InternalError", ""))
    memory = remembered(Memory(), Outcome(failures=failures), NOW, Actions(("i-1",), Order(600, 1)))
    left = {operation: available(memory.allowances, operation, NOW, Limits()) for operation in ("start", "launch")}
    assert left == {"start": 999, "launch": 400}
    assert remembered(Memory(), Outcome(failures=failures), NOW).allowances == {}


def test_i12_a_flood_is_started_and_launched_as_fast_as_ec2_takes_it() -> None:
    config = replace(CONFIG, max_instances=10_000)
    decision = decided(seen(20_000, stopped(3000)), Memory(), config, NOW)
    assert (len(decision.actions.start), decision.actions.launch) == (1000, Order(1000, 3001, NEAR))
    memory = remembered(Memory(), Outcome(decision.actions.start), NOW, decision.actions)
    assert len(decided(seen(20_000, stopped(3000), at=NOW + 10), memory, config, NOW + 10).actions.start) == 20


def test_i12_an_account_whose_limits_were_raised_launches_a_thousand_a_tick() -> None:
    memory, config = Memory(), replace(CONFIG, max_instances=10_000, limits=Limits(instances=10_000))
    for second in range(10):
        at = NOW + second
        decision = decided(seen(20_000, at=at), memory, config, at)
        assert decision.actions.launch is not None
        assert decision.actions.launch.count == 1000
        launch = Launch(at, 1, 1000, f"t{second}", tuple(f"i-{second}-{n}" for n in range(1000)))
        memory = remember(memory, decision.actions, Outcome(launched=(launch,)), config.limits, at)
    assert decided(seen(20_000, at=NOW + 10), memory, config, NOW + 10).actions.launch is None


def test_actions_beyond_a_ticks_calls_wait_for_the_next() -> None:
    actions = Actions(("i-1",), Order(1, 1), ("i-2",), ("i-3",))
    assert actions.limited(2) == Actions(("i-1",), Order(1, 1))
    assert actions.limited(3) == replace(actions, stop=())
    assert actions.limited(0) == Actions()
