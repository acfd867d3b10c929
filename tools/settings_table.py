"""Writes docs/settings.md from the settings classes: `python tools/settings_table.py`."""

import sys
from pathlib import Path

from facecontroller.settings import Settings
from facecore.settings import AwsSettings, variable
from facedeploy.settings import DeploySettings
from facelocal.emulator.settings import EmulatorSettings
from facelocal.hypervisor.settings import HypervisorSettings
from facelocal.stack.settings import StackSettings
from faceweb.settings import WebSettings
from faceworker.settings import WorkerSettings
from pydantic import BaseModel
from pydantic.fields import FieldInfo

TARGET = Path(__file__).parents[1] / "docs/settings.md"
INTRODUCTION = """# Settings

Each program reads its settings from the environment once, when it starts. A value that is missing or out of bounds ends
the program with a line that names the variable. An empty variable counts as unset. The tables are made from the
settings classes by `.venv/bin/python tools/settings_table.py`, and a test fails where they have fallen behind.
"""
PROGRAMS: dict[str, type[BaseModel]] = {
    "All programs": AwsSettings,
    "Web tier": WebSettings,
    "Worker": WorkerSettings,
    "Controller": Settings,
    "Deployment": DeploySettings,
    "Hypervisor (local only)": HypervisorSettings,
    "Emulator (local only)": EmulatorSettings,
    "`make up` (embedded stack)": StackSettings,
}


def text() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(f"\n## {title}\n\n{_table(cls)}" for title, cls in PROGRAMS.items())


def _table(cls: type[BaseModel]) -> str:
    rows = [
        f"| `{variable(name, field)}` | {_default(field)} | {' '.join((field.description or '').split())} |\n"
        for name, field in cls.model_fields.items()
        if cls is AwsSettings or name not in AwsSettings.model_fields
    ]
    return "| variable | default | meaning |\n| --- | --- | --- |\n" + "".join(rows)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the host's name"
    if field.is_required():
        return "required"
    return "" if field.default in (None, "") else f"`{field.default}`"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET.name}\n")
