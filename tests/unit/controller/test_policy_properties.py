"""The invariants of docs/elasticity.md that hold for any single decision."""

from dataclasses import replace

import pytest
from facecontroller.memory import Backoff, Memory
from facecontroller.model import LAUNCH, Actions, Config, Decision, Instance, Launch, Observation, Outcome, State
from facecontroller.policy import correction
from hypothesis import given
from hypothesis import strategies as st
from support.ticks import decided, remembered

NOW = 1_000_000.0
DAY_S = 86_400.0
CONFIG = Config(max_instances=6, boot_timeout_s=300, reap_after_s=300, max_age_s=DAY_S)
CONFIGS = st.builds(lambda n: replace(CONFIG, max_instances=n), st.sampled_from([12, 9, 6, 3, 1, 0]))
AGES_S = st.sampled_from([1.0, 1.0, 1.0, 59.0, 61.0, 61.0, 299.0, 301.0, 301.0, 301.0, DAY_S + 1])
IDS = [f"i-{n}" for n in range(10)]


@st.composite
def instances(draw: st.DrawFn) -> tuple[Instance, ...]:
    found = []
    for n in range(draw(st.sampled_from(range(9)))):
        started = draw(AGES_S)
        created = max(started, draw(AGES_S))
        found.append(
            Instance(
                IDS[n],
                draw(st.sampled_from([n + 1, n + 1, n + 1, 1, None])),
                draw(st.sampled_from([*State, State.STOPPED, State.STOPPED, State.RUNNING])),
                draw(st.sampled_from(["new", "new", "new", "former"])),
                NOW - created,
                NOW - started,
                draw(st.sampled_from(["", "t", "lost"])),
            )
        )
    return tuple(found)


def launches(times: st.SearchStrategy[float]) -> st.SearchStrategy[Launch]:
    """Launches with an answer, of visible and hidden instances, and launches without one."""
    ids = st.lists(st.sampled_from([*IDS, "i-hidden", "i-late"]), min_size=1, max_size=3, unique=True).map(tuple)
    known = st.builds(lambda at, n, ids: Launch(at, n, len(ids), "t", ids), times, st.integers(1, 8), ids)
    return known | st.builds(Launch, times, st.integers(1, 8), st.integers(1, 3), st.sampled_from(["lost", "t"]))


@st.composite
def full_memories(draw: st.DrawFn) -> Memory:
    """Any memory that the controller can have: it asks one thing of an instance at a time."""
    times = st.floats(NOW - 90, NOW)
    asked = draw(st.dictionaries(st.sampled_from(IDS), st.tuples(st.sampled_from("abc"), times), max_size=4))
    quiet_s = draw(st.none() | AGES_S)
    keys = st.sampled_from([*IDS, LAUNCH])
    return Memory(
        starts={i: at for i, (kind, at) in asked.items() if kind == "a"},
        launches=tuple(draw(st.lists(launches(times), max_size=3))),
        stops={i: at for i, (kind, at) in asked.items() if kind == "b"},
        terminations={i: at for i, (kind, at) in asked.items() if kind == "c"},
        backoffs=draw(
            st.dictionaries(keys, st.builds(Backoff, st.integers(1, 9), st.floats(NOW - 90, NOW + 30)), max_size=3)
        ),
        zero_since=None if quiet_s is None else NOW - quiet_s,
        sampled_at=None if quiet_s is None else NOW - min(quiet_s, 1),
    )


def memories() -> st.SearchStrategy[Memory]:
    return st.just(Memory()) | full_memories()


OBSERVATIONS = st.builds(
    lambda demand, found: Observation(NOW, demand, "new", found), st.sampled_from([0, *range(1, 16)]), instances()
)


def all_done(actions: Actions) -> Outcome:
    order = actions.launch
    launched: tuple[Launch, ...] = ()
    if order:
        ids = tuple(f"i-new-{n}" for n in range(order.count))
        launched = (Launch(NOW, order.number, order.count, "new", ids),)
    return Outcome(actions.start, launched, actions.stop, actions.terminate, actions.rename)


def grown(decision: Decision) -> int:
    return decision.actions.grown


def launched(decision: Decision) -> int:
    return decision.actions.launch.count if decision.actions.launch else 0


def costly(actions: Actions) -> Actions:
    """Without what only changes a name."""
    return replace(actions, rename=None)


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i1_never_more_active_nor_more_owned_than_allowed(seen: Observation, memory: Memory, config: Config) -> None:
    decision = decided(seen, memory, config, NOW)
    counts, actions = decision.counts, decision.actions
    assert counts is not None
    if grown(decision):
        assert counts.active + grown(decision) <= config.max_instances
    if actions.launch:
        assert counts.owned >= len(seen.instances)
        assert counts.owned + actions.launch.count <= config.max_instances
    live = sum(1 for i in seen.instances if i.state in (State.PENDING, State.RUNNING, State.STOPPING))
    assert not actions.start or live + len(actions.start) <= config.max_instances


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i2_nothing_is_started_or_launched_without_demand(seen: Observation, memory: Memory, config: Config) -> None:
    assert grown(decided(replace(seen, demand=0), memory, config, NOW)) == 0


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i3_nothing_that_runs_is_stopped_while_there_is_demand(
    seen: Observation, memory: Memory, config: Config
) -> None:
    actions = decided(replace(seen, demand=max(seen.demand, 1)), memory, config, NOW).actions
    states = {i.id: i.state for i in seen.instances}
    assert not actions.stop
    assert all(states[i] in (State.STOPPED, State.PENDING) for i in actions.terminate)


@pytest.mark.rule(1)
@given(OBSERVATIONS, memories(), CONFIGS)
def test_i3_nothing_that_runs_is_stopped_on_a_first_zero(seen: Observation, memory: Memory, config: Config) -> None:
    fresh = replace(memory, zero_since=None)
    assert not decided(replace(seen, demand=0), fresh, config, NOW).actions.stop


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i5_i6_what_runs_long_without_demand_is_stopped_once(seen: Observation, memory: Memory, config: Config) -> None:
    calm = replace(memory, backoffs={}, stops={}, terminations={}, zero_since=NOW - 300, sampled_at=NOW - 1)
    idle = replace(seen, demand=0)
    first = decided(idle, calm, config, NOW)
    old = {i.id for i in seen.instances if i.state is State.RUNNING and NOW - i.started_at >= 300}
    assert old <= set(first.actions.stop)
    assert not costly(decided(idle, remembered(calm, all_done(first.actions), NOW, first.actions), config, NOW).actions)


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i6_the_same_observation_after_acting_asks_for_nothing(
    seen: Observation, memory: Memory, config: Config
) -> None:
    first = decided(seen, memory, config, NOW)
    again = decided(seen, remembered(memory, all_done(first.actions), NOW, first.actions), config, NOW)
    assert not costly(again.actions)


@given(OBSERVATIONS, memories(), CONFIGS, st.integers(1, 20))
def test_i8_more_demand_never_gets_less(seen: Observation, memory: Memory, config: Config, more: int) -> None:
    fewer = grown(decided(seen, memory, config, NOW))
    assert grown(decided(replace(seen, demand=seen.demand + more), memory, config, NOW)) >= fewer


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i8_one_more_active_never_gets_more(seen: Observation, memory: Memory, config: Config) -> None:
    extra = Instance("i-extra", 99, State.RUNNING, "new", NOW, NOW)
    more_active = replace(seen, instances=(*seen.instances, extra))
    before, after = (decided(o, memory, config, NOW) for o in (seen, more_active))
    assert grown(after) <= grown(before)


@given(OBSERVATIONS, memories(), CONFIGS, st.floats(30.1, 4000))
def test_i9_an_old_observation_takes_nothing_away_and_keeps_the_cap(
    seen: Observation, memory: Memory, config: Config, age_s: float
) -> None:
    decision = decided(seen, memory, config, NOW + age_s)
    assert decision.actions.stop == decision.actions.terminate == ()
    assert decision.counts is not None
    assert not decision.actions.launch or (
        decision.counts.owned + decision.actions.launch.count <= config.max_instances
    )


@given(memories(), CONFIGS)
def test_i9_a_failed_observation_does_nothing(memory: Memory, config: Config) -> None:
    assert not decided(None, memory, config, NOW).actions


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i10_only_observed_instances_are_touched_and_each_once(
    seen: Observation, memory: Memory, config: Config
) -> None:
    actions = decided(seen, memory, config, NOW).actions
    touched = (*actions.start, *actions.stop, *actions.terminate)
    assert set(touched) <= {i.id for i in seen.instances}
    assert len(set(touched)) == len(touched)


@given(OBSERVATIONS, CONFIGS)
def test_names_become_unique_numbers_up_to_the_maximum(seen: Observation, config: Config) -> None:
    memory = Memory()
    for _ in seen.instances:
        if wrong := correction(seen.instances, memory, config.max_instances):
            memory = remembered(memory, Outcome(renamed=wrong), NOW)
    numbers = {i.id: memory.names[i.id][0] if i.id in memory.names else i.number for i in seen.instances}
    lasting = [numbers[i.id] for i in seen.instances if i.state is not State.SHUTTING_DOWN]
    if len(lasting) <= config.max_instances:
        assert all(n is not None and 1 <= n <= config.max_instances for n in lasting)
        assert len(set(lasting)) == len(lasting)


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i14_every_over_age_instance_that_is_stopped_goes(seen: Observation, memory: Memory, config: Config) -> None:
    calm = replace(memory, backoffs={}, terminations={}, starts={})
    aged = {i.id for i in seen.instances if i.state is State.STOPPED and NOW - i.created_at > DAY_S}
    assert aged - calm.stops.keys() <= set(decided(seen, calm, config, NOW).actions.terminate)


@given(OBSERVATIONS, memories(), CONFIGS)
def test_i15_an_instance_that_fails_to_start_does_not_hold_up_the_others(
    seen: Observation, memory: Memory, config: Config
) -> None:
    calm = replace(memory, backoffs={})
    first = decided(seen, calm, config, NOW)
    held = replace(calm, backoffs={i: Backoff(1, NOW + 2) for i in first.actions.start})
    second = decided(seen, held, config, NOW)
    assert not set(second.actions.start) & set(first.actions.start)
    assert launched(second) >= launched(first)


@given(OBSERVATIONS, memories(), CONFIGS)
def test_a_decision_is_a_function_of_its_arguments(seen: Observation, memory: Memory, config: Config) -> None:
    assert decided(seen, memory, config, NOW) == decided(seen, memory, config, NOW)
