"""For each setting of a program a value that is not its default, so that a test sees whether it arrives."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from facecore.settings import AwsSettings, load, variable
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

# What no rule can guess: texts that a stack must be able to work with.
TEXTS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "EFACE_CACHE_DIR": "/var/cache/elastic-face",
    "EFACE_HEARTBEAT_FILE": "/run/elastic-face/heartbeat",
    "EFACE_HOST": "localhost",
    "EFACE_ID": "local",
    "EFACE_INSTANCE_ID": "i-0123456789abcdef0",
    "EFACE_INSTANCE_TYPES": "c7i.large,m7i.large",
    "EFACE_LAUNCH_TEMPLATE": "local-worker",
    "EFACE_LOG_LEVEL": "debug",
    "EFACE_METRICS_HOST": "localhost",
    # It needs neither a gallery nor networks.
    "EFACE_MODEL": "noop",
    "EFACE_REGION": "eu-west-1",
    # A queue that is there, and that no worker answers on.
    "EFACE_REPLY_QUEUE": "local-dead-queue",
    "EFACE_SUBNETS": "subnet-1,subnet-2",
    "EFACE_WEIGHTS_SHA256": "a" * 64,
    "EFACE_WEIGHTS_URL": "https://example.org/weights.pt",
}


def variables(*programs: type[AwsSettings], without: frozenset[str] = frozenset()) -> dict[str, str]:
    """Every variable of these programs, but for some, with another value than the default of any of them.

    int8 needs the engine onnx, so either EFACE_PRECISION or EFACE_ENGINE is to be left out.
    """
    chosen: dict[str, str] = {}
    for program in programs:
        for name, field in program.model_fields.items():
            key = variable(name, field)
            if key not in without:
                chosen[key] = TEXTS.get(key) or next(_others(key, field))
    return chosen


def expected(program: type[AwsSettings], chosen: dict[str, str]) -> dict[str, Any]:
    """What a program logs of the variables that were chosen for it, none of which is its default."""
    defaults = load(program, {"EFACE_ID": "default"}).shown()
    shown = load(program, {"EFACE_ID": "default"} | chosen).shown()
    found = {name: value for name, value in shown.items() if name in chosen}
    assert [name for name, value in found.items() if value == defaults[name]] == []
    return found


def _others(key: str, field: FieldInfo) -> Iterator[str]:
    adapter: TypeAdapter[Any] = TypeAdapter(
        Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    )
    default = field.default
    if get_origin(field.annotation) is Literal:
        candidates = list(get_args(field.annotation))
    elif isinstance(field.annotation, type) and issubclass(field.annotation, enum.Enum):
        candidates = [member.value for member in field.annotation]
    elif isinstance(default, int | float) or default is None:
        candidates = [(default or 0) + 7, (default or 0) - 1]
    else:
        raise AssertionError(f"{key} has a text of its own: add a value to {__name__}.TEXTS")
    for candidate in candidates:
        try:
            if adapter.validate_python(candidate) != default:
                yield str(candidate)
        except ValidationError:
            continue
    raise AssertionError(f"no other value of {key} was found: add one to {__name__}.TEXTS")
