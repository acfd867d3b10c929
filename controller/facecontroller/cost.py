"""What the instances cost, as far as observations show it."""

from facecontroller.model import Observation, State

LEAST_BILLED_S = 60.0
"""EC2 bills by the second, a minute at least for each start: https://aws.amazon.com/ec2/pricing/on-demand/"""
MAX_GAP_S = 30.0
"""A longer time between two observations is not counted: what ran in it is unknown."""


class RunningCost:
    """Adds up what runs from observation to observation. `usd_per_hour` is an instance's price."""

    def __init__(self, usd_per_hour: float) -> None:
        self._usd_per_hour = usd_per_hour
        self._running: dict[str, float] = {}
        self._at: float | None = None

    def add(self, observation: Observation) -> tuple[float, float]:
        """Seconds that instances ran since the last observation, summed, and their price in USD."""
        at = observation.taken_at
        passed_s = at - self._at if self._at is not None else 0.0
        running = {i.id: i.started_at for i in observation.instances if i.state is State.RUNNING}
        ran_s = len(running) * passed_s if 0 < passed_s <= MAX_GAP_S else 0.0
        # An instance that was started again in between ended its former run too.
        ended = (at - since for i, since in self._running.items() if running.get(i) != since)
        unused_s = sum(max(0.0, LEAST_BILLED_S - ran) for ran in ended)
        self._running, self._at = running, at
        return ran_s, (ran_s + unused_s) * self._usd_per_hour / 3600
