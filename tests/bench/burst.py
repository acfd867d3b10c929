"""Bursts from zero instances, as a user feels them: 100 at once on machines that boot as slowly as EC2's, 500 held.

Prints the seconds to the first and the last answer beside the public reference for 100 requests at once from zero
(ELASTICITY: 96 s in all, first result after 47 s), and how quickly /healthz answers while 500 requests are held.
Writes build/bench/burst.json.
"""

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
import psutil
from support.ground import CREDENTIALS, ROOT
from support.stacks.embedded import EmbeddedStack, started
from support.uploads import Upload

BOOT_S = 20
HELD_BOOT_S = 30
REFERENCE = {"first_s": 47.0, "all_s": 96.0}
MIB = 1024 * 1024


def _burst(stack: EmbeddedStack, count: int) -> dict[str, float]:
    answers = stack.burst([Upload(f"burst-{i}.jpg", os.urandom(20_000)) for i in range(count)])
    wrong = [answer for answer in answers if answer.text != f"{answer.name}:unknown"]
    if wrong:
        raise SystemExit(f"{len(wrong)} wrong answers, the first of them {wrong[0]}")
    return {
        "first_s": round(min(answer.seconds for answer in answers), 2),
        "all_s": round(max(answer.seconds for answer in answers), 2),
    }


def _watch(web_url: str, web_pid: int, stop: Event, seen: "Queue[tuple[list[float], list[float]]]") -> None:
    """Asks for the web tier's health from a process of its own: the burst keeps its own process busy."""
    web = psutil.Process(web_pid)
    seconds: list[float] = []
    rss_mib: list[float] = []
    with httpx.Client(base_url=web_url, timeout=10) as client:
        while not stop.wait(0.1):
            start = time.monotonic()
            client.get("/healthz").raise_for_status()
            seconds.append(time.monotonic() - start)
            rss_mib.append(web.memory_info().rss / MIB)
    seen.put((seconds, rss_mib))


def _held(stack: EmbeddedStack) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    stop, seen = context.Event(), context.Queue()
    watcher = context.Process(target=_watch, args=(stack.web_url, stack.process("web").pid, stop, seen))
    watcher.start()
    # A client has a machine of its own; here it must not take the web tier's processor from it.
    os.nice(10)
    figures = _burst(stack, 500)
    stop.set()
    seconds, rss_mib = seen.get(timeout=30)
    watcher.join()
    cuts = statistics.quantiles(seconds, n=100)
    health = {"healthz_p50_ms": cuts[49] * 1e3, "healthz_p99_ms": cuts[98] * 1e3, "healthz_max_ms": max(seconds) * 1e3}
    return figures | {name: round(value, 1) for name, value in health.items()} | {"web_rss_mib": round(max(rss_mib), 1)}


def main() -> None:
    """Runs the benchmark, prints its figures and writes its file."""
    os.environ.update(CREDENTIALS)
    results = {}
    for label, boot_s, run in (("burst", BOOT_S, lambda stack: _burst(stack, 100)), ("held", HELD_BOOT_S, _held)):
        variables = {"EFACE_MODEL": "noop", "EFACE_BOOT_S": str(boot_s)}
        with tempfile.TemporaryDirectory() as folder, started(Path(folder), **variables) as stack:
            results[label] = run(stack)
    burst = results["burst"]
    sys.stdout.write(f"100 requests at once from zero, machines that take {BOOT_S} s to boot, recogniser: none\n")
    for name, reference in REFERENCE.items():
        ratio = burst[name] / reference
        sys.stdout.write(f"  {name:10}{burst[name]:8} s   reference {reference:6} s   ratio {ratio:.2f}\n")
    sys.stdout.write(f"500 requests held at once for {HELD_BOOT_S} s, then answered\n")
    for name, value in results["held"].items():
        sys.stdout.write(f"  {name:16}{value:10}\n")
    target = ROOT / "build/bench/burst.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results | {"reference": REFERENCE}, indent=2) + "\n")


if __name__ == "__main__":
    main()
