"""Measures one tick's own time with 10,000 instances, without the calls: `make bench-tick`."""

import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

from facecontroller.cost import RunningCost
from facecontroller.estimates import Estimates
from facecontroller.fleet import Ec2Fleet
from facecontroller.loop import Controller
from facecontroller.memory import Memory
from facecontroller.metrics import Metrics
from facecontroller.model import Config, Goal
from facecore import logs
from prometheus_client import CollectorRegistry
from support.fakes.aws import FakeQueue
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2
from tqdm import tqdm

INSTANCES = 10_000
TICKS = 20


class Answers(FakeEc2):
    """An EC2 whose pages are made before: what is measured is what we do with them."""

    def __init__(self, clock: Clock, count: int) -> None:
        super().__init__(clock)
        for n in range(1, count + 1):
            self.add(f"app-tier-instance-{n}", "running" if n % 10 else "stopped", age_s=100)
        self._pages: list[dict[str, Any]] = []

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        self._pages = self._pages or [*super().paginate(**request)]
        return iter(self._pages)


def main() -> int:
    """Prints the ticks' times under both policies."""
    logs.configure("bench", "critical")
    for goal in Goal:
        clock = Clock()
        queue = FakeQueue("requests", clock)
        config = Config(INSTANCES, 300, 300, 86_400, goal)
        metrics = Metrics(CollectorRegistry(), clock)
        fleet = Ec2Fleet(Answers(clock, INSTANCES), "local", "local-worker")
        memory = Memory(estimates=Estimates(1000.0, 1000.0, (25.0,)))
        controller = Controller(queue, fleet, config, metrics, clock, cost=RunningCost(0.1), memory=memory)
        times_ms = [
            _tick_ms(controller, queue, clock, 20_000 - 300 * n) for n in tqdm(range(TICKS), leave=False, disable=None)
        ]
        print(
            f"{goal}: a tick with {INSTANCES} instances takes {statistics.median(times_ms):.0f} ms of our own time",
            end="",
        )
        print(f" (median of {TICKS}; longest {max(times_ms):.0f} ms)")
    return 0


def _tick_ms(controller: Controller, queue: FakeQueue, clock: Clock, demand: int) -> float:
    clock.sleep(1)
    queue.fill(demand - 9_000, 9_000)
    began = time.process_time()
    controller.tick()
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
