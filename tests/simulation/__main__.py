"""`make simulate`: runs the traces under the policies, prints a table, draws the runs and writes a summary."""

import argparse
import gc
import json
import random
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from facecontroller.throttle import Limits
from facecore import logs
from tqdm import tqdm

from simulation.compare import compare
from simulation.draw import draw
from simulation.policies import ORACLE, POLICIES
from simulation.score import Score, of, oracle
from simulation.traces import SERVICE_S, TRACES, Trace, served_in
from simulation.world import World

LONGEST_S = 40_000.0
"""After which a run that never ends is given up."""
SLOW_S = 2.0
"""From which on a run says how long it took."""


def main() -> int:
    """Runs what was asked for; returns the exit status."""
    options = _options()
    logs.configure("simulation", "critical")
    # A million messages are no garbage, and looking through them for some takes a quarter of the time.
    gc.disable()
    traces, policies = options.trace or [*TRACES], options.policy or [ORACLE, *POLICIES]
    if options.seeds:
        compare(
            traces,
            [policy for policy in policies if policy != ORACLE],
            options.seeds,
            lambda name, seed: _trace(name, seed, options),
            lambda trace, policy, seed: of(_run(trace, policy, seed)),
        )
        return 0
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, dict[str, dict[str, float]]] = {}
    runs: dict[str, dict[str, World]] = {}
    for name in traces:
        trace = _trace(name, options.seed, options)
        summary[name], runs[name] = {}, {}
        for policy in policies:
            if policy == ORACLE:
                score = oracle(trace)[0]
            else:
                world = runs[name][policy] = _run(trace, policy, options.seed)
                score = of(world)
            summary[name][policy] = asdict(score)
            _print(name, policy, score, summary[name])
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    draw(runs, out / "simulation.png")
    print(f"wrote {out / 'summary.json'} and {out / 'simulation.png'}")
    return 0


def _trace(name: str, seed: int, options: argparse.Namespace) -> Trace:
    trace = served_in(TRACES[name](np.random.default_rng(seed)), options.service_s)
    return replace(trace, limits=Limits(instances=options.instance_tokens))


def _run(trace: Trace, policy: str, seed: int) -> World:
    began = time.monotonic()
    world = World(trace, POLICIES[policy], random.Random(f"{seed}/{trace.name}").randrange(2**32))
    with tqdm(desc=f"{trace.name} {policy}", unit=" virtual s", delay=2, leave=False, disable=None) as bar:
        world.run(LONGEST_S, lambda now: bar.update(now - bar.n))
    took_s, most = time.monotonic() - began, max(world.series.instances)
    if took_s >= SLOW_S:
        sys.stderr.write(f"{trace.name} {policy}: {took_s:.1f} s to simulate, {most} instances at most\n")
    return world


def _print(trace: str, policy: str, score: Score, rows: dict[str, dict[str, float]]) -> None:
    if len(rows) == 1:
        print(f"\n{trace:8}              p50 wait  p99 wait  instance-s  of oracle   starts  flaps    cost")
    best = rows.get(ORACLE, {}).get("instance_s")
    share = f"{score.instance_s / best:8.2f} x" if best else " " * 10
    print(
        f"  {policy:20}{score.p50_wait_s:8.1f} s{score.p99_wait_s:8.1f} s{score.instance_s:12.0f} {share}"
        f"{score.starts:9}{score.flaps:7}{score.cost_usd:9.4f} $",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=0, help="compare the policies over seeds 1 to this")
    parser.add_argument("--trace", action="append", choices=[*TRACES])
    parser.add_argument("--policy", action="append", choices=[ORACLE, *POLICIES])
    parser.add_argument("--service-s", type=float, default=SERVICE_S, help="mean seconds that a request takes")
    parser.add_argument(
        "--instance-tokens", type=int, default=Limits().instances, help="instances that EC2 lets us launch at once"
    )
    parser.add_argument("--out", default="build/simulation")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
