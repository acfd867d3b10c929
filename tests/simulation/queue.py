"""SQS in the simulation: the tests' FakeQueue, whose counts lag and err at random."""

import random

from facecore.queues import Depth
from support.fakes.aws import FakeQueue, Journal
from support.fakes.clock import Clock

from simulation.traces import Faults

MOST_LAG_S = 60.0
"""KEDA #7330: deleted messages reappear in the counts for up to a minute."""


class Unrecorded(Journal):
    """A journal for a million messages."""

    def begin(self, _step: str) -> None:
        """Does nothing."""

    def end(self, _step: str) -> None:
        """Does nothing."""


class SimulatedQueue(FakeQueue):
    """FakeQueue whose readings err as the faults say. Only the controller's calls, those for the depth, take time."""

    def __init__(self, faults: Faults, rng: random.Random, clock: Clock, controllers: Journal) -> None:
        super().__init__("requests", clock, Unrecorded(), FakeQueue("dead", clock))
        self._faults, self._rng, self._controllers = faults, rng, controllers

    def depth(self) -> Depth:
        """See FakeQueue."""
        self._controllers.begin("depth")
        chance = self._rng.random()
        stale = self._faults.false_zero <= chance < self._faults.false_zero + self._faults.stale
        self.false_zeros = int(chance < self._faults.false_zero)
        self.lag_s = self._rng.uniform(0, MOST_LAG_S) if stale else 0.0
        return super().depth()
