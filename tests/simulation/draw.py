"""Draws the queue, the instances and the waits of all runs over time."""

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
_ROWS = ("requests in the queue", "instances that boot or run", "wait in s, by arrival")


def draw(runs: dict[str, dict[str, World]], target: Path) -> None:
    """Writes a PNG with a column for each trace and a line for each policy."""
    figure, axes = plt.subplots(len(_ROWS), len(runs), figsize=(4.2 * len(runs), 8), squeeze=False)
    drawn = ((name, worlds) for name, worlds in runs.items() if worlds)
    for column, (name, worlds) in enumerate(drawn):
        for policy, world in worlds.items():
            _column(axes[:, column], policy, world)
        # A run that hangs, as a boot can, is not drawn to its end.
        end = max(float(np.nanmax(world.replied_at)) for world in worlds.values()) + _AFTER_S
        for axis in axes[:2, column]:
            axis.set_xlim(0, end)
        axes[0, column].set_title(name)
        axes[-1, column].set_xlabel("s")
    for row, label in enumerate(_ROWS):
        axes[row, 0].set_ylabel(label)
    handles = [plt.Line2D([], [], color=colour, label=policy) for policy, colour in _COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(target, dpi=75)
    plt.close(figure)


def _column(axes: np.ndarray, policy: str, world: World) -> None:
    colour, series = _COLOURS[policy], world.series
    axes[0].plot(series.at, series.queue, color=colour, lw=1, alpha=0.8)
    axes[1].step(series.at, series.instances, color=colour, lw=1, where="post")
    arrivals, waits = world.trace.arrivals, world.replied_at - world.trace.arrivals
    # A hundred stretches of time at most, each with its longest wait.
    edges = np.linspace(arrivals[0], arrivals[-1] + 1e-6, 101)
    place = np.digitize(arrivals, edges)
    points = [(edges[n - 1], np.nanmax(waits[place == n], initial=0.0)) for n in np.unique(place)]
    axes[2].plot(*zip(*points, strict=True), color=colour, lw=1, marker="o" if len(points) < 5 else None)
