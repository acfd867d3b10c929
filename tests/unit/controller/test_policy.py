"""The decision, as a table of cases and as its rules one by one."""

from dataclasses import replace

import pytest
from facecontroller.memory import Backoff, Memory, recall
from facecontroller.model import LAUNCH, Actions, Config, Failure, Instance, Launch, Observation, Order, Outcome, State
from support.ticks import decided, remembered

NOW = 1_000_000.0
DAY_S = 86_400.0
CONFIG = Config(max_instances=15, boot_timeout_s=300, reap_after_s=300, max_age_s=DAY_S)
STATES = {
    "p": State.PENDING,
    "r": State.RUNNING,
    "x": State.STOPPING,
    "s": State.STOPPED,
    "d": State.SHUTTING_DOWN,
}
QUIET = Memory(zero_since=NOW - 300, sampled_at=NOW - 1)


def instance(number: int | None, state: State, *, age_s: float = 120, image: str = "new") -> Instance:
    return Instance(f"i-{number}", number, state, image, NOW - age_s, NOW - age_s)


def launched(actions: Actions) -> int:
    return actions.launch.count if actions.launch else 0


def fleet(states: str) -> tuple[Instance, ...]:
    return tuple(instance(n, STATES[letter]) for n, letter in enumerate(states, 1))


def observation(demand: int, instances: tuple[Instance, ...] = (), *, age_s: float = 0) -> Observation:
    return Observation(NOW - age_s, demand, "new", instances)


@pytest.mark.parametrize(
    ("demand", "states", "starts", "launches"),
    [
        (0, "", 0, 0),
        (1, "", 0, 1),
        (15, "", 0, 15),
        (100, "", 0, 15),
        (100, "s" * 15, 15, 0),
        (100, "sss", 3, 12),
        (2, "sss", 2, 0),
        (3, "ppp", 0, 0),
        (3, "rrr", 0, 0),
        (5, "prs", 1, 2),
        (3, "x", 0, 3),
        (100, "x" * 15, 0, 0),
        (100, "x" * 14, 0, 1),
        (100, "d" * 10, 0, 5),
        (100, "r" * 10 + "x" * 3 + "ss", 2, 0),
        (100, "r" * 15, 0, 0),
        (100, "r" * 20, 0, 0),
        (12, "r" * 10 + "s" * 10, 2, 0),
        (100, "r" * 14 + "s" * 10, 1, 0),
    ],
)
def test_it_starts_what_is_stopped_and_launches_the_rest(demand: int, states: str, starts: int, launches: int) -> None:
    actions = decided(observation(demand, fleet(states)), Memory(), CONFIG, NOW).actions
    assert (len(actions.start), launched(actions)) == (starts, launches)
    assert actions.stop == ()


@pytest.mark.rule(2)
def test_a_booting_instance_is_capacity() -> None:
    assert not decided(observation(3, fleet("ppp")), Memory(), CONFIG, NOW).actions


@pytest.mark.rule(5)
def test_a_stopping_instance_holds_its_slot_and_is_not_started() -> None:
    assert not decided(observation(100, fleet("x" * 15)), Memory(), CONFIG, NOW).actions


@pytest.mark.rule(4)
@pytest.mark.parametrize("state", [*State])
def test_every_state_holds_its_slot_whatever_the_instance_is_called(state: State) -> None:
    instances = tuple(instance(n, state, image="former") for n in range(101, 115))
    assert launched(decided(observation(100, instances), Memory(), CONFIG, NOW).actions) == 1


def test_a_maximum_of_zero_empties_what_is_stopped() -> None:
    config = replace(CONFIG, max_instances=0)
    decision = decided(observation(7, fleet("sr")), Memory(), config, NOW)
    assert decision.actions == Actions(terminate=("i-1",))


def test_the_lowest_numbers_are_started_first_and_those_without_one_last() -> None:
    instances = tuple(instance(n, State.STOPPED) for n in (None, 10, 9, 2))
    assert decided(observation(3, instances), Memory(), CONFIG, NOW).actions.start == ("i-2", "i-9", "i-10")


def test_a_launch_takes_the_lowest_number_that_no_instance_and_no_launch_has() -> None:
    memory = Memory(launches=(Launch(NOW - 1, 2, 1, ids=("i-unseen",)),))
    instances = (instance(1, State.SHUTTING_DOWN), instance(4, State.RUNNING), instance(None, State.RUNNING))
    assert decided(observation(5, instances), memory, CONFIG, NOW).actions.launch == Order(
        2, 3, sequence=int(NOW // 60 == (NOW - 1) // 60)
    )


def test_a_failed_observation_decides_nothing_and_breaks_the_row_of_zeros() -> None:
    decision = decided(None, QUIET, CONFIG, NOW)
    assert not decision.actions
    assert decision.counts is None
    assert recall(QUIET, None, NOW).zero_since is None


def test_an_old_observation_starts_within_the_cap_and_takes_nothing_away() -> None:
    instances = (instance(1, State.STOPPED), instance(2, State.STOPPED, image="former"))
    decision = decided(observation(20, instances, age_s=31), QUIET, CONFIG, NOW)
    assert decision.actions == Actions(start=("i-1",), launch=Order(13, 3))
    assert "old" in decision.reason


def test_what_was_started_counts_until_it_is_seen() -> None:
    memory = Memory(starts={"i-1": NOW - 59})
    assert not decided(observation(1, fleet("s")), memory, CONFIG, NOW).actions
    assert not decided(observation(1, ()), memory, CONFIG, NOW).actions


def test_a_start_that_is_not_seen_for_a_minute_is_forgotten() -> None:
    memory = Memory(starts={"i-1": NOW - 60})
    assert decided(observation(1, fleet("s")), memory, CONFIG, NOW).actions.start == ("i-1",)


def test_a_started_instance_that_ran_and_stopped_can_be_started_again_at_once() -> None:
    memory = recall(Memory(starts={"i-1": NOW - 5}), observation(1, fleet("r")), NOW)
    assert decided(observation(1, fleet("s")), memory, CONFIG, NOW).actions.start == ("i-1",)


@pytest.mark.rule(6)
@pytest.mark.parametrize("ids", [("i-new",), None])
def test_a_launch_counts_until_it_is_seen(ids: tuple[str, ...] | None) -> None:
    memory = Memory(launches=(Launch(NOW - 59, 1, 1, ids=ids),))
    assert not decided(observation(1), memory, CONFIG, NOW).actions
    assert decided(observation(1), memory, CONFIG, NOW + 1).actions.launch == Order(1, 1)


def test_a_launch_without_an_answer_is_recognised_by_its_token() -> None:
    memory = Memory(launches=(Launch(NOW - 5, 1, 3, "token"),))
    seen = replace(instance(1, State.PENDING), client_token="token")
    counts = decided(observation(1, (seen,)), memory, CONFIG, NOW).counts
    assert counts is not None
    assert (counts.active, counts.owned) == (3, 3)


def test_a_launch_that_was_terminated_counts_no_more() -> None:
    memory = Memory(launches=(Launch(NOW - 5, 1, 1, ids=("i-1",)),), terminations={"i-1": NOW - 2})
    assert launched(decided(observation(1), memory, CONFIG, NOW).actions) == 1


def test_a_boot_that_hangs_is_terminated_and_replaced_where_there_is_room() -> None:
    hung = instance(1, State.PENDING, age_s=301)
    assert decided(observation(1, (hung,)), Memory(), CONFIG, NOW).actions == Actions(
        launch=Order(1, 2), terminate=("i-1",)
    )
    full = tuple(instance(n, State.PENDING, age_s=301) for n in range(1, 16))
    assert decided(observation(99, full), Memory(), CONFIG, NOW).actions.launch is None


def test_a_boot_within_its_time_is_not_touched() -> None:
    assert not decided(observation(0, (instance(1, State.PENDING, age_s=300),)), QUIET, CONFIG, NOW).actions


@pytest.mark.rule(10)
def test_a_former_image_is_terminated_only_while_stopped() -> None:
    instances = tuple(instance(n, state, image="former") for n, state in enumerate(State, 1))
    decision = decided(observation(0, instances), Memory(), CONFIG, NOW)
    assert decision.actions == Actions(terminate=("i-4",))
    assert "former image" in decision.reason


def test_a_former_image_holds_its_slot_until_it_is_gone() -> None:
    former = tuple(instance(n, State.STOPPED, image="former") for n in range(1, 16))
    actions = decided(observation(15, former), Memory(), CONFIG, NOW).actions
    assert (actions.start, actions.launch, len(actions.terminate)) == ((), None, 15)


@pytest.mark.rule(11)
def test_an_over_age_instance_is_terminated_while_stopped_and_not_started() -> None:
    decision = decided(observation(1, (instance(1, State.STOPPED, age_s=DAY_S + 1),)), Memory(), CONFIG, NOW)
    assert decision.actions == Actions(launch=Order(1, 2), terminate=("i-1",))


@pytest.mark.parametrize(("quiet_s", "stopped"), [(59, ()), (60, ("i-1",))])
def test_an_over_age_instance_that_runs_is_stopped_after_a_minute_without_demand(
    quiet_s: float, stopped: tuple[str, ...]
) -> None:
    memory = Memory(zero_since=NOW - quiet_s, sampled_at=NOW - 1)
    aged = instance(1, State.RUNNING, age_s=DAY_S + 1)
    assert decided(observation(0, (aged,)), memory, CONFIG, NOW).actions.stop == stopped


@pytest.mark.parametrize(
    ("memory", "demand", "age_s", "stopped"),
    [
        (QUIET, 0, 300, True),
        (QUIET, 0, 299, False),
        (QUIET, 1, 300, False),
        (Memory(), 0, 9999, False),
        (replace(QUIET, zero_since=NOW - 299), 0, 9999, False),
        (replace(QUIET, sampled_at=NOW - 31), 0, 9999, False),
        (replace(QUIET, sampled_at=NOW + 1), 0, 9999, False),
        (replace(QUIET, stops={"i-1": NOW - 1}), 0, 9999, False),
        (replace(QUIET, terminations={"i-1": NOW - 1}), 0, 9999, False),
        (replace(QUIET, backoffs={"i-1": Backoff(1, NOW + 1)}), 0, 9999, False),
    ],
)
def test_the_safety_net_stops_what_runs_long_after_the_last_demand(
    memory: Memory, demand: int, age_s: float, stopped: bool
) -> None:
    running = instance(1, State.RUNNING, age_s=age_s)
    actions = decided(observation(demand, (running,)), memory, CONFIG, NOW).actions
    assert actions == (Actions(stop=("i-1",)) if stopped else Actions())


@pytest.mark.rule(12)
def test_an_instance_that_booted_long_after_the_last_demand_has_its_time_too() -> None:
    young, old = (instance(n, State.RUNNING, age_s=age_s) for n, age_s in ((1, 299), (2, 300)))
    assert decided(observation(0, (young, old)), QUIET, CONFIG, NOW).actions == Actions(stop=("i-2",))


def test_what_was_asked_to_stop_is_no_capacity() -> None:
    memory = Memory(stops={"i-1": NOW - 1})
    assert decided(observation(1, fleet("r")), memory, CONFIG, NOW).actions.launch == Order(1, 2)


def test_above_the_maximum_stopped_ones_are_terminated_highest_number_first() -> None:
    instances = fleet("r" * 10 + "s" * 10)
    decision = decided(observation(12, instances), Memory(), CONFIG, NOW)
    assert decision.actions.start == ("i-11", "i-12")
    assert decision.actions.terminate == tuple(f"i-{n}" for n in range(20, 15, -1))


def test_what_is_dying_already_is_no_surplus() -> None:
    memory = Memory(terminations={"i-1": NOW - 1})
    instances = (*fleet("sdd"), *(instance(n, State.STOPPED) for n in range(4, 19)))
    assert decided(observation(0, instances), memory, CONFIG, NOW).actions.terminate == ()


def test_a_launch_that_failed_backs_off_but_starting_does_not() -> None:
    memory = remembered(Memory(), Outcome(failures=(Failure("launch", LAUNCH, "InternalError", ""),)), NOW)
    decision = decided(observation(2, fleet("s")), memory, CONFIG, NOW + 1.9)
    assert decision.actions == Actions(start=("i-1",))
    assert "launching is backed off" in decision.reason
    assert decided(observation(2, fleet("s")), memory, CONFIG, NOW + 2).actions.launch == Order(1, 2)


def test_an_instance_that_cannot_be_started_gives_way_to_the_next() -> None:
    memory = Memory(backoffs={"i-1": Backoff(1, NOW + 2)})
    assert decided(observation(1, fleet("ss")), memory, CONFIG, NOW).actions.start == ("i-2",)
    assert decided(observation(1, fleet("s")), memory, CONFIG, NOW).actions.launch == Order(1, 2)


@pytest.mark.rule(9)
def test_an_instance_whose_start_failed_is_no_capacity_and_is_started_later() -> None:
    memory = remembered(Memory(), Outcome(failures=(Failure("start", "i-1", "InternalError", ""),)), NOW)
    assert decided(observation(1, fleet("s")), memory, CONFIG, NOW).actions.launch == Order(1, 2)
    assert decided(observation(1, fleet("s")), memory, CONFIG, NOW + 2).actions == Actions(start=("i-1",))


def test_an_instance_that_cannot_be_terminated_is_backed_off() -> None:
    memory = Memory(backoffs={"i-1": Backoff(1, NOW + 2)})
    stale = (instance(1, State.STOPPED, image="former"),)
    assert not decided(observation(0, stale), memory, CONFIG, NOW).actions
    assert decided(observation(0, stale), memory, CONFIG, NOW + 2).actions.terminate == ("i-1",)


def test_the_reason_gives_the_figures() -> None:
    reason = decided(observation(100, fleet("rs")), Memory(), CONFIG, NOW).reason
    assert reason == "demand 100 wants 15, 1 active, 2 owned"
