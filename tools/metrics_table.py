"""Writes docs/metrics.md from the programs' registries: `python tools/metrics_table.py`."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facecontroller.metrics import Metrics as ControllerMetrics
from facecore.metrics import new_registry
from faceweb.metrics import Metrics as WebMetrics
from faceweb.pending import Pending
from faceworker.metrics import Metrics as WorkerMetrics
from prometheus_client import CollectorRegistry

TARGET = Path(__file__).parents[1] / "docs/metrics.md"
INTRODUCTION = """# Metrics

Each program counts in a Prometheus registry of its own. The web tier serves it as `GET /metrics` on the port that takes
photographs. The worker and the controller serve it on `EFACE_METRICS_PORT` at `EFACE_METRICS_HOST`, and by default not
at all ([settings.md](settings.md)). A worker ends when it is idle, and its figures with it: the time that requests took
in workers is also in the web tier's metrics, from the replies.

The name of a counter ends in `_total`. A histogram has the series `_bucket`, `_sum` and `_count`. Both have `_created`,
the Unix time since which they count. The tables are made from the registries by
`.venv/bin/python tools/metrics_table.py`, and a test fails where they differ.
"""
PROGRAMS: dict[str, Callable[[CollectorRegistry], object]] = {
    "web": lambda registry: WebMetrics(registry, Pending(limit=1)),
    "worker": WorkerMetrics,
    "controller": lambda registry: ControllerMetrics(registry, time.time),
}
"""What registers the metrics of each program, by the program's part of their names."""
_SUFFIXES = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True)
class Row:
    """One metric, by the name under which it is scraped."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def shared_rows() -> list[Row]:
    """The metrics that every program has."""
    return list(_rows(new_registry("web", "local")))


def rows(program: str) -> list[Row]:
    """A program's own metrics."""
    registry = CollectorRegistry()
    PROGRAMS[program](registry)
    return list(_rows(registry))


def text() -> str:
    """The whole page."""
    titles = {"web": "Web tier", "worker": "Worker", "controller": "Controller"}
    tables = {"All programs": shared_rows()} | {titles[program]: rows(program) for program in PROGRAMS}
    return INTRODUCTION + "".join(f"\n## {title}\n\n{_table(found)}" for title, found in tables.items())


def _rows(registry: CollectorRegistry) -> Iterator[Row]:
    # The client has no public way to the collectors, nor to the labels of a metric that has no value yet.
    for collector in registry._collector_to_names:
        for family in collector.collect():
            seen = {label for sample in family.samples for label in sample.labels} - {"le"}
            labels = getattr(collector, "_labelnames", ()) or tuple(sorted(seen))
            yield Row(family.name + _SUFFIXES.get(family.type, ""), family.type, labels, family.documentation)


def _table(found: list[Row]) -> str:
    lines = [
        f"| `{row.name}` | {row.kind} | {', '.join(f'`{label}`' for label in row.labels)} | {row.meaning} |\n"
        for row in sorted(found, key=lambda row: row.name)
    ]
    return "| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n" + "".join(lines)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET.name}\n")
