"""Stacks that take turns: each test names the one that it needs, and one at a time runs."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack

from support.stacks.stack import Stack

Start = Callable[[], AbstractContextManager[Stack]]


class Turns(AbstractContextManager["Turns"]):
    """Starts a stack when a test needs it, and ends the one before: idle stacks take a third of a processor each."""

    def __init__(self, starts: Mapping[str, Start]) -> None:
        self._starts = starts
        self._up = ExitStack()
        self._stacks: dict[str, Stack] = {}
        self._failed: dict[str, str] = {}

    def stack(self, name: str) -> Stack:
        """The stack of that name; raises AssertionError where it did not start, at once the second time."""
        if name in self._failed:
            raise AssertionError(f"the stack {name} did not start before: {self._failed[name]}")
        if name not in self._stacks:
            self.end()
            try:
                self._stacks = {name: self._up.enter_context(self._starts[name]())}
            except AssertionError as error:
                self._failed[name] = str(error)
                raise
        return self._stacks[name]

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends the stack that is up."""
        self._stacks = {}
        self._up.close()
