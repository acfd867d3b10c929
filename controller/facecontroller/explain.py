"""`python -m facecontroller explain`: the decision on one observation that is given as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from facecontroller.memory import Memory
from facecontroller.model import Config, Observation
from facecontroller.policy import decide

EXIT_INPUT = 2
_CONFIG = {"max_instances": 15, "boot_timeout_s": 300, "reap_after_s": 300, "max_age_s": 86_400}


@dataclass(frozen=True)
class Case:
    """What a decision rests on; `config` has the settings' defaults and `memory` is empty where they are left out."""

    observation: Observation | None
    now: float
    config: Config
    memory: Memory


def main(file: str) -> int:
    """Reads the case from `file`, "-" for standard input, prints its decision and returns the exit status."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        case = read(text)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"facecontroller explain: {error}\n")
        return EXIT_INPUT
    decision = decide(case.observation, case.memory, case.config, case.now)
    sys.stdout.write(TypeAdapter(Any).dump_json(decision, indent=2).decode() + "\n")
    return 0


def read(text: str) -> Case:
    """The case in a JSON text; raises ValueError, which names what is wrong."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or "observation" not in fields:
        raise ValueError("the case is a JSON object with an `observation`, which may be null")
    taken_at = (fields["observation"] or {}).get("taken_at", 0.0)
    whole = {"now": taken_at, "memory": {}, **fields, "config": {**_CONFIG, **fields.get("config", {})}}
    try:
        return TypeAdapter(Case).validate_python(whole)
    except ValidationError as error:
        raise ValueError(str(error)) from error
