"""The dry run: a fleet that looks at the real one and only says what it would do to it."""

from facecore.logs import get_logger

from facecontroller.fleet import NAME_PREFIX, Fleet, View
from facecontroller.model import Actions, Launch, Outcome

log = get_logger(__name__)


class DryRunFleet:
    """Looks at the real fleet, and says what it would do to it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def look(self, now: float, *, refresh: bool = True) -> View:
        """See Fleet."""
        return self._fleet.look(now, refresh=refresh)

    def act(self, actions: Actions, now: float) -> Outcome:
        """Does nothing, and answers as if all had succeeded, so that it is not said again at each tick."""
        order, rename = actions.launch, actions.rename
        log.info(
            "would_act",
            start=actions.start,
            launch=order.count if order else 0,
            stop=actions.stop,
            terminate=actions.terminate,
            rename=f"{rename.id} to {NAME_PREFIX}{rename.number}" if rename else None,
        )
        return Outcome(
            started=actions.start,
            launched=(Launch(now, order.number, order.count),) if order else (),
            stopped=actions.stop,
            terminated=actions.terminate,
            renamed=rename,
        )
