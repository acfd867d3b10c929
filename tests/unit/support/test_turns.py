"""Stacks take turns: one at a time is up."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from support.stacks.stack import Stack
from support.stacks.turns import Turns


class Stage:
    """Notes which stack starts and ends."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.turns = Turns({"one": lambda: self._up("one"), "two": lambda: self._up("two"), "broken": self._broken})

    @contextmanager
    def _up(self, name: str) -> Iterator[Stack]:
        self.seen.append(f"{name} starts")
        yield Stack(name, "")
        self.seen.append(f"{name} ends")

    def _broken(self) -> AbstractContextManager[Stack]:
        self.seen.append("broken starts")
        raise AssertionError("no port is free")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_stack_that_is_up_is_used_again(stage: Stage) -> None:
    with stage.turns as turns:
        assert turns.stack("one") is turns.stack("one")
    assert stage.seen == ["one starts", "one ends"]


def test_another_stack_ends_the_one_before(stage: Stage) -> None:
    with stage.turns as turns:
        assert [turns.stack(name).web_url for name in ("one", "two")] == ["one", "two"]
        assert stage.seen == ["one starts", "one ends", "two starts"]
    assert stage.seen[-1] == "two ends"


def test_a_stack_that_did_not_start_fails_at_once_the_second_time(stage: Stage) -> None:
    with stage.turns as turns:
        for _ in range(2):
            with pytest.raises(AssertionError, match="no port is free"):
                turns.stack("broken")
    assert stage.seen == ["broken starts"]
