"""Measures one tick's own time with 10,000 instances, without the calls: `make bench-tick`."""

import statistics
import sys
import time
from datetime import UTC, datetime
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
from support.fakes.controller import FakeClock, FakeEc2, FakeQueue
from tqdm import tqdm

INSTANCES = 10_000
TICKS = 20


class Answers(FakeEc2):
    """An EC2 whose pages are made before: what is measured is what we do with them."""

    def __init__(self, clock: FakeClock, count: int) -> None:
        super().__init__(clock)
        at = datetime.fromtimestamp(clock.now - 100, UTC)
        described = [_described(n, at) for n in range(count)]
        self.pages: list[dict[str, Any]] = [
            {"Reservations": [{"Instances": described[first : first + 1000]}]} for first in range(0, count, 1000)
        ]

    def paginate(self, **_request: Any) -> Any:
        return iter(self.pages)


def _described(n: int, at: datetime) -> dict[str, Any]:
    return {
        "InstanceId": f"i-{n:017x}",
        "ImageId": "ami-1",
        "ClientToken": f"token-{n // 1000}",
        "LaunchTime": at,
        "State": {"Name": "running" if n % 10 else "stopped"},
        "Tags": [
            {"Key": "Name", "Value": f"app-tier-instance-{n + 1}"},
            {"Key": "elastic-face:id", "Value": "local"},
        ],
        "BlockDeviceMappings": [{"Ebs": {"AttachTime": at}}],
    }


def main() -> int:
    """Prints the ticks' times under both policies."""
    logs.configure("bench", "critical")
    for goal in Goal:
        clock = FakeClock()
        queue = FakeQueue(20_000)
        queue.in_flight = 9_000
        config = Config(INSTANCES, 300, 300, 86_400, goal)
        metrics = Metrics(CollectorRegistry(), clock)
        fleet = Ec2Fleet(Answers(clock, INSTANCES), "local", "local-worker")
        memory = Memory(estimates=Estimates(1000.0, 1000.0, (25.0,)))
        controller = Controller(queue, fleet, config, metrics, clock, cost=RunningCost(0.1), memory=memory)
        times_ms = [_tick_ms(controller, queue, clock) for _ in tqdm(range(TICKS), leave=False, disable=None)]
        print(
            f"{goal}: a tick with {INSTANCES} instances takes {statistics.median(times_ms):.0f} ms of our own time",
            end="",
        )
        print(f" (median of {TICKS}; longest {max(times_ms):.0f} ms)")
    return 0


def _tick_ms(controller: Controller, queue: FakeQueue, clock: FakeClock) -> float:
    clock.now += 1
    queue.demand -= 300
    began = time.process_time()
    controller.tick()
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
