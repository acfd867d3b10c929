"""Every variable that compose.yaml reads is in .env.example, with the default that compose.yaml gives it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
_READ = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_SHOWN = re.compile(r"^#(\w+)=(.*)$", re.MULTILINE)
_COMPOSE_OWN = {"COMPOSE_PROJECT_NAME"}


def test_the_example_shows_what_compose_reads() -> None:
    read = dict(_READ.findall((ROOT / "compose.yaml").read_text()))
    shown = dict(_SHOWN.findall((ROOT / ".env.example").read_text()))
    assert shown == {name: default for name, default in read.items() if name not in _COMPOSE_OWN}
