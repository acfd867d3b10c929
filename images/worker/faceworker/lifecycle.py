"""The worker's state machine: what it does next, given what just happened. It has no clock and does no I/O."""

from dataclasses import dataclass
from enum import Enum, auto

# Failed polls in a row after which the worker gives up; with the pauses between them, after 35 seconds or more.
MAX_POLL_FAILURES = 8
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


class Event(Enum):
    """What just happened."""

    READY = auto()
    """It has started, or a pause is over."""
    EMPTY = auto()
    """A whole long poll brought nothing."""
    RECEIVED = auto()
    POLL_FAILED = auto()
    HANDLED = auto()
    """The message was answered, or left in the queue."""
    BROKE = auto()
    """The message broke this process, which cannot be trusted any more."""


class Step(Enum):
    """What to do now."""

    POLL = auto()
    HANDLE = auto()
    PAUSE = auto()
    END = auto()
    """Nothing is left to do: the exit status is DONE."""
    GIVE_UP = auto()
    """Another start may help: the exit status is FAILED."""


@dataclass(slots=True)
class Lifecycle:
    """One worker's life. `failures` are the polls in a row that failed."""

    failures: int = 0

    def after(self, event: Event, *, stopping: bool) -> Step:
        """The next step; `stopping` says whether the worker was told to stop."""
        if event is Event.POLL_FAILED:
            self.failures += 1
            return Step.GIVE_UP if self.failures >= MAX_POLL_FAILURES else Step.PAUSE
        if event is Event.BROKE:
            return Step.GIVE_UP
        if event is Event.RECEIVED:
            self.failures = 0
            # Even if told to stop: what the outstanding poll brought would stay hidden otherwise.
            return Step.HANDLE
        return Step.END if stopping or event is Event.EMPTY else Step.POLL

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next poll."""
        return float(min(FIRST_PAUSE_S * 2 ** (self.failures - 1), LONGEST_PAUSE_S))
