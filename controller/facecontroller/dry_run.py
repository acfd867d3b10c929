"""Decisions without effects: a fleet that only says what it would do, and the decision on one given observation."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facecore.logs import get_logger
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from facecontroller.fleet import Fleet, View
from facecontroller.memory import Memory, recall
from facecontroller.model import Actions, Config, Launch, Observation, Outcome
from facecontroller.policy import decide
from facecontroller.settings import Settings

EXIT_INPUT = 2

log = get_logger(__name__)


class DryRunFleet:
    """Looks at the real fleet and logs what it would do to it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def look(self, now: float, *, refresh: bool = True) -> View:
        """See Fleet."""
        return self._fleet.look(now, refresh=refresh)

    def act(self, actions: Actions, now: float) -> Outcome:
        """Does nothing, and answers as if all had succeeded, so that the next tick does not log it again."""
        log.info("would_act", **actions.fields())
        order = actions.launch
        return Outcome(
            started=actions.start,
            launched=(Launch(now, order.number, order.count),) if order else (),
            stopped=actions.stop,
            terminated=actions.terminate,
            renamed=actions.rename,
        )


@dataclass(frozen=True)
class Case:
    """What a decision rests on."""

    observation: Observation | None
    now: float
    config: Config
    memory: Memory


def explain(file: str) -> int:
    """Reads a case from `file`, "-" for standard input, prints its decision and returns the exit status."""
    try:
        case = read_case(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"facecontroller explain: {error}\n")
        return EXIT_INPUT
    memory = recall(case.memory, case.observation, case.now)
    decision = decide(case.observation, memory, case.config, case.now)
    sys.stdout.write(TypeAdapter(Any).dump_json(decision, indent=2).decode() + "\n")
    return 0


def read_case(text: str) -> Case:
    """The case in a JSON text; raises ValueError, which names what is wrong.

    What is left out of `config` has the settings' defaults; `now` is the time of the observation and `memory` is empty.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict) or "observation" not in fields:
        raise ValueError("the case is a JSON object with an `observation`, which may be null")
    taken_at = (fields["observation"] or {}).get("taken_at", 0.0)
    # No decision depends on the deployment's id.
    config = asdict(Settings(id="explain").config()) | fields.get("config", {})
    try:
        return TypeAdapter(Case).validate_python({"now": taken_at, "memory": {}} | fields | {"config": config})
    except ValidationError as error:
        raise ValueError(str(error)) from error
