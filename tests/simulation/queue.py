"""SQS in the simulation: counts that lag and err, duplicates, timeouts, a dead queue. Requests are numbers."""

import random
from collections import deque

from simulation.traces import Faults

MAX_RECEIVES = 3
HISTORY_S = 60


class SimQueue:
    """The queue of requests."""

    def __init__(self, faults: Faults, rng: random.Random) -> None:
        self._faults = faults
        self._rng = rng
        self._receives: dict[int, int] = {}
        self._history: deque[tuple[int, int]] = deque(maxlen=HISTORY_S)
        self.visible: deque[int] = deque()
        self.in_flight = 0
        self.dead: list[int] = []

    def put(self, request: int) -> None:
        """A request becomes visible, once or twice."""
        self.visible.append(request)
        if self._rng.random() < self._faults.duplicate:
            self.visible.append(request)

    def take(self) -> int | None:
        """The next request, hidden from now on; one received too often goes to the dead queue."""
        while self.visible:
            request = self.visible.popleft()
            receives = self._receives.get(request, 0)
            if receives < MAX_RECEIVES:
                self._receives[request] = receives + 1
                self.in_flight += 1
                return request
            self.dead.append(request)
        return None

    def delete(self) -> None:
        """A request in flight is done."""
        self.in_flight -= 1

    def reappear(self, request: int) -> None:
        """Its visibility timeout ended."""
        self.in_flight -= 1
        self.visible.append(request)

    def look(self) -> tuple[int, int]:
        """Visible and in flight, as SQS approximates them."""
        self._history.append((len(self.visible), self.in_flight))
        chance = self._rng.random()
        if chance < self._faults.false_zero:
            return 0, 0
        if chance < self._faults.false_zero + self._faults.stale:
            return self._rng.choice(self._history)
        return self._history[-1]
