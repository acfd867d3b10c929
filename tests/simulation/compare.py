"""Compares the policies with `demand` over several seeds: one run shows what chance did, several show what holds."""

from collections.abc import Callable, Iterable

import numpy as np
from tqdm import tqdm

from simulation.score import Score
from simulation.traces import Trace

REFERENCE = "demand"


def compare(
    traces: Iterable[str],
    policies: Iterable[str],
    seeds: int,
    make: Callable[[str, int], Trace],
    run: Callable[[Trace, str, int], Score],
) -> None:
    """Prints each policy's p99 waits and costs as multiples of those of `demand`, over seeds 1 to `seeds`."""
    others = [policy for policy in policies if policy != REFERENCE]
    print(f"{'seeds 1 to ' + str(seeds):31}   p99 wait / demand's       cost / demand's")
    print(f"{'':31}  least  median    most   least  median    most")
    for name in traces:
        ratios: dict[str, list[tuple[float, float]]] = {policy: [] for policy in others}
        for seed in tqdm(range(1, seeds + 1), desc=name, unit=" seeds", leave=False, disable=None):
            trace = make(name, seed)
            reference = run(trace, REFERENCE, seed)
            for policy in others:
                score = run(trace, policy, seed)
                ratios[policy].append(
                    (score.p99_wait_s / reference.p99_wait_s, score.cost_usd / reference.cost_usd),
                )
        for policy, both in ratios.items():
            low, middle, high = np.min(both, axis=0), np.median(both, axis=0), np.max(both, axis=0)
            wait, cost = (f"{low[n]:7.2f} {middle[n]:7.2f} {high[n]:7.2f}" for n in (0, 1))
            print(f"  {name:8} {policy:20}{wait} {cost}", flush=True)
