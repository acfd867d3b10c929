"""What is remembered, and for how long."""

import pytest
from facecontroller.memory import CAPACITY_BACKOFF_S, MAX_BACKOFF_S, UNSEEN_FOR_S, Backoff, Memory, recall
from facecontroller.model import LAUNCH, Failure, Instance, Launch, Observation, Outcome, Rename, State
from hypothesis import given
from hypothesis import strategies as st
from support.ticks import remembered

NOW = 1_000_000.0
LAUNCHED = Launch(NOW, 1, 1, ids=("i-9",))


def sample(demand: int, at: float, *instances: Instance) -> Observation:
    return Observation(at, demand, "ami", instances)


def test_everything_that_succeeded_is_remembered() -> None:
    launch = Launch(NOW, 2, 2, "token", ("i-2", "i-3"))
    outcome = Outcome(("i-1",), (launch,), ("i-4",), ("i-5",), Rename("i-6", 7))
    memory = remembered(Memory(), outcome, NOW)
    assert memory.starts == {"i-1": NOW}
    assert (memory.launches, memory.names) == ((launch,), {"i-6": (7, NOW)})
    assert (memory.stops, memory.terminations) == ({"i-4": NOW}, {"i-5": NOW})


def test_a_start_undoes_the_mark_of_a_stop() -> None:
    memory = remembered(Memory(stops={"i-1": NOW - 9, "i-2": NOW - 9}), Outcome(started=("i-1",)), NOW)
    assert memory.stops == {"i-2": NOW - 9}


def test_a_stop_that_is_seen_is_forgotten() -> None:
    memory = Memory(stops={"i-1": NOW, "i-2": NOW})
    seen = (
        Instance("i-1", 1, State.STOPPING, "ami", NOW, NOW),
        Instance("i-2", 2, State.RUNNING, "ami", NOW, NOW),
    )
    assert recall(memory, sample(1, NOW, *seen), NOW).stops == {"i-2": NOW}


@given(st.floats(-1e6, 1e6))
def test_marks_expire_wherever_the_clock_goes(shift_s: float) -> None:
    marked = Memory({"a": NOW}, (Launch(NOW, 1, 1),), {"b": NOW}, {"c": NOW}, {"d": Backoff(1, NOW + 2)})
    memory = recall(marked, None, NOW + shift_s)
    kept = abs(shift_s) < UNSEEN_FOR_S
    assert [len(marks) for marks in (memory.starts, memory.launches, memory.stops, memory.terminations)] == (
        [int(kept)] * 4
    )
    assert bool(memory.backoffs) == (-CAPACITY_BACKOFF_S + 2 <= shift_s < UNSEEN_FOR_S + 2)


def test_failures_in_a_row_back_off_longer_up_to_a_bound() -> None:
    memory, pauses_s = Memory(), []
    for _ in range(2000):
        memory = remembered(memory, Outcome(failures=(Failure("launch", LAUNCH, "X", ""),)), NOW)
        pauses_s.append(memory.backoffs[LAUNCH].until - NOW)
    assert pauses_s[:6] == [2, 4, 8, 16, MAX_BACKOFF_S, MAX_BACKOFF_S]
    assert pauses_s[-1] == MAX_BACKOFF_S


def test_a_success_ends_the_row_of_failures() -> None:
    backoffs = {LAUNCH: Backoff(3, NOW), "i-1": Backoff(3, NOW), "i-2": Backoff(3, NOW)}
    memory = remembered(Memory(backoffs=backoffs), Outcome(started=("i-1",), launched=(LAUNCHED,)), NOW)
    assert set(memory.backoffs) == {"i-2"}


def test_a_partly_successful_launch_backs_off_as_after_a_first_failure() -> None:
    outcome = Outcome(launched=(LAUNCHED,), failures=(Failure("launch", LAUNCH, "X", ""),))
    assert remembered(Memory(backoffs={LAUNCH: Backoff(3, NOW)}), outcome, NOW).backoffs == {
        LAUNCH: Backoff(1, NOW + 2)
    }


@pytest.mark.rule(7)
def test_a_row_of_zeros_begins_with_its_first_sample_and_ends_with_any_other() -> None:
    memory = recall(Memory(), sample(0, NOW), NOW)
    memory = recall(memory, sample(0, NOW + 30), NOW + 30)
    assert (memory.zero_since, memory.sampled_at) == (NOW, NOW + 30)
    assert recall(memory, sample(1, NOW + 31), NOW + 31).zero_since is None


def test_a_gap_or_an_old_or_failed_sample_breaks_the_row_of_zeros() -> None:
    memory = Memory(zero_since=NOW - 200, sampled_at=NOW)
    assert recall(memory, sample(0, NOW + 31), NOW + 31).zero_since == NOW + 31
    assert recall(memory, sample(0, NOW + 1), NOW + 32).zero_since is None
    assert recall(memory, None, NOW + 1).zero_since is None
