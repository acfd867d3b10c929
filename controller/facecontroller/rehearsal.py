"""The dry run: a fleet that looks at the real one and only says what it would do to it."""

from facecore.logs import get_logger

from facecontroller.fleet import NAME_PREFIX, Fleet, View
from facecontroller.model import Actions, Outcome

log = get_logger(__name__)


class DryRunFleet:
    """Looks at the real fleet, and says what it would do to it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def look(self, now: float) -> View:
        """See Fleet."""
        return self._fleet.look(now)

    def act(self, actions: Actions, now: float) -> Outcome:
        """Does nothing, and answers as if all had succeeded, so that it is not said again at each tick."""
        log.info(
            "would_act",
            start=actions.start,
            launch=[f"{NAME_PREFIX}{number}" for number in actions.launch],
            stop=actions.stop,
            terminate=actions.terminate,
        )
        return Outcome(
            started=actions.start,
            launched=dict.fromkeys(actions.launch),
            stopped=actions.stop,
            terminated=actions.terminate,
        )
