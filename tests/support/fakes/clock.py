"""Virtual time, for the fakes and the simulator."""

import heapq
import itertools
from collections.abc import Callable
from math import inf


class Clock:
    """Seconds that pass only while someone sleeps. What is due meanwhile happens at its time.

    A fake's call sleeps too, so that states change and other programs act in the middle of a caller's work.
    """

    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self.now_s = now_s
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        # Events of one moment happen in the order in which they were planned.
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now_s

    @property
    def next_at(self) -> float:
        """When the next event is due; infinity without one."""
        return self._events[0][0] if self._events else inf

    def at(self, when_s: float, call: Callable[[], object]) -> None:
        """Calls `call` at that time."""
        heapq.heappush(self._events, (when_s, next(self._order), call))

    def later(self, delay_s: float, call: Callable[[], object]) -> None:
        """Calls `call` in `delay_s` seconds."""
        self.at(self.now_s + delay_s, call)

    def sleep(self, duration_s: float) -> None:
        """Lets time pass. An event may sleep itself: then the outer sleeper wakes as late as that one."""
        slept: list[bool] = []
        self.later(duration_s, lambda: slept.append(True))
        while not slept:
            self.step()

    def step(self) -> None:
        """Moves on to the next event and lets it happen."""
        when_s, _, call = heapq.heappop(self._events)
        # After a sleep within an event, what was due during it is late.
        self.now_s = max(self.now_s, when_s)
        call()
