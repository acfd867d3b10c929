""".env.example shows what compose.yaml reads, with the default that it has there or in the program."""

import re

import yaml
from facecore.settings import variable
from settings_table import PROGRAMS
from support.ground import ROOT

_INTERPOLATED = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_SHOWN = re.compile(r"^#(\w+)=(.*)$", re.MULTILINE)
_COMPOSE_OWN = {"COMPOSE_PROJECT_NAME"}
COMPOSE = (ROOT / "compose.yaml").read_text()
SHOWN = dict(_SHOWN.findall((ROOT / ".env.example").read_text()))


def _passed_on() -> set[str]:
    services = yaml.safe_load(COMPOSE)["services"].values()
    return {name for service in services for name, value in service.get("environment", {}).items() if value is None}


def test_what_compose_has_a_default_for_is_shown_with_it() -> None:
    defaults = {name: default for name, default in _INTERPOLATED.findall(COMPOSE) if name not in _COMPOSE_OWN}
    assert defaults.items() <= SHOWN.items()


def test_what_else_is_shown_is_passed_on_and_has_the_default_of_its_program() -> None:
    others = SHOWN.keys() - {name for name, _ in _INTERPOLATED.findall(COMPOSE)}
    assert others <= _passed_on()
    defaults = {
        variable(name, field): "" if field.default is None else str(field.default)
        for cls in PROGRAMS.values()
        for name, field in cls.model_fields.items()
    }
    assert {name: SHOWN[name] for name in others} == {name: defaults[name] for name in others}
