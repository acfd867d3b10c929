"""What a run was worth, and the oracle that it is measured against."""

import heapq
from dataclasses import dataclass

import numpy as np

from simulation.ec2 import USD_PER_HOUR
from simulation.traces import Trace
from simulation.world import World


@dataclass(frozen=True)
class Score:
    """One row of the table. Waits in seconds from a request's arrival to its reply, running time in seconds."""

    p50_wait_s: float
    p99_wait_s: float
    instance_s: float
    starts: int
    flaps: int
    cost_usd: float


def of(world: World) -> Score:
    """A run's score; requests in the dead queue have no wait."""
    waits = world.replied_at - world.trace.arrivals
    waits = waits[~np.isnan(waits)]
    bill = world.ec2.bill
    return Score(
        round(float(np.percentile(waits, 50)), 2),
        round(float(np.percentile(waits, 99)), 2),
        round(bill.running_s, 1),
        bill.starts,
        bill.flaps,
        round(bill.billed_s * USD_PER_HOUR / 3600, 4),
    )


def oracle(trace: Trace) -> tuple[Score, np.ndarray]:
    """The best possible score, and when each request is answered. The oracle knows all arrivals in advance.

    Up to the maximum of instances serve in order of arrival. Each is ready just in time, and does not boot, wait for
    work or get billed a minute at least.
    """
    free = [0.0] * min(trace.max_instances, len(trace.arrivals))
    replied = np.empty(len(trace.arrivals))
    for n, (at, service_s) in enumerate(zip(trace.arrivals.tolist(), trace.service_s.tolist(), strict=True)):
        done = max(at, free[0]) + service_s
        heapq.heapreplace(free, done)
        replied[n] = done
    waits = replied - trace.arrivals
    busy_s = float(trace.service_s.sum())
    starts = int(sum(1 for at in free if at > 0))
    p50, p99 = (round(float(np.percentile(waits, q)), 2) for q in (50, 99))
    return Score(p50, p99, round(busy_s, 1), starts, 0, round(busy_s * USD_PER_HOUR / 3600, 4)), replied
