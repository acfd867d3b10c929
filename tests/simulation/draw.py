"""Draws the queue, the instances and the waits of all runs over time."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from simulation.world import World

_COLOURS = {
    "demand": "tab:blue",
    "frugal": "tab:green",
    "visible-cooldown": "tab:orange",
    "backlog-tracking": "tab:red",
    "queued-minus-running": "tab:purple",
}
_AFTER_S = 30.0
STRETCHES = 150
"""Of a run's time, each of which is one point of a line."""
_ROWS = ("requests in the queue", "instances that boot or run", "longest wait in s, by reply")


def draw(runs: dict[str, dict[str, World]], target: Path) -> None:
    """Writes a PNG with a column for each trace and a line for each policy."""
    figure, axes = plt.subplots(len(_ROWS), len(runs), figsize=(4.2 * len(runs), 8), squeeze=False)
    drawn = ((name, worlds) for name, worlds in runs.items() if worlds)
    for column, (name, worlds) in enumerate(drawn):
        # A run that hangs, as a boot can, is not drawn to its end.
        end = max(float(np.nanmax(world.replied_at)) for world in worlds.values()) + _AFTER_S
        for policy, world in worlds.items():
            _column(axes[:, column], policy, world, end)
        for axis in axes[:, column]:
            axis.set_xlim(0, end)
            axis.set_ylim(bottom=0)
        axes[0, column].set_title(name)
        axes[-1, column].set_xlabel("s")
    for row, label in enumerate(_ROWS):
        axes[row, 0].set_ylabel(label)
    handles = [plt.Line2D([], [], color=colour, label=policy) for policy, colour in _COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(target, dpi=90)
    plt.close(figure)


def _column(axes: np.ndarray, policy: str, world: World, end: float) -> None:
    colour, series = _COLOURS[policy], world.series
    at, replied_at = np.array(series.at), world.replied_at
    waits = replied_at - world.trace.arrivals
    answered = ~np.isnan(waits)
    edges = np.linspace(0, end, STRETCHES + 1)
    lines = (
        _stretches(edges, at, np.array(series.queue), np.max),
        _stretches(edges, at, np.array(series.instances), np.mean),
        _stretches(edges, replied_at[answered], waits[answered], np.max),
    )
    for axis, (middles, values) in zip(axes, lines, strict=True):
        axis.plot(middles, values, color=colour, lw=1.2, alpha=0.8)


def _stretches(
    edges: np.ndarray, at: np.ndarray, values: np.ndarray, reduced: Callable[[np.ndarray], float]
) -> tuple[list[float], list[float]]:
    """The middles of those stretches between `edges` in which something was, and what `values` are there."""
    place = np.digitize(at, edges) - 1
    order = np.argsort(place, kind="stable")
    found, first = np.unique(place[order], return_index=True)
    groups = np.split(values[order], first[1:])
    kept = [(n, group) for n, group in zip(found, groups, strict=True) if 0 <= n < STRETCHES]
    return [(edges[n] + edges[n + 1]) / 2 for n, _ in kept], [float(reduced(group)) for _, group in kept]
