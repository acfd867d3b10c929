"""Writes docs/settings.md and the lists in compose.yaml from the settings classes: `python tools/settings_table.py`."""

import sys
from pathlib import Path

from facecontroller.settings import Settings
from facecore import variables
from facecore.settings import AwsSettings, variable
from facedeploy.settings import DeploySettings
from facelocal.settings import EmulatorSettings, HypervisorSettings, StackSettings
from faceweb.settings import WebSettings
from faceworker.settings import WorkerSettings
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/settings.md"
COMPOSE = ROOT / "compose.yaml"
BEGIN, END = "# begin: written by tools/settings_table.py\n", "# end\n"
INTRODUCTION = """# Settings

Each program reads its settings from the environment once, when it starts, and logs them (event `settings`). A value
that is missing or out of bounds ends the program with a line that names the variable, and so does an `EFACE_*` variable
that no program reads. An empty variable counts as unset. `.venv/bin/python tools/settings_table.py` writes the tables,
and a test fails if they differ from the settings classes.

## Where to set them

| | web tier and controller | workers |
| --- | --- | --- |
| `make up` | variables, as in `make up EFACE_POLICY=frugal`; with Docker Compose `.env` too | the same |
| `make deploy` | `EFACE_WEB_ENVIRONMENT`: `NAME=value` lines | `EFACE_WORKER_ENVIRONMENT`: `NAME=value` lines |

A local stack sets `EFACE_ID`, `AWS_ENDPOINT_URL`, `EFACE_INSTANCE_ID` and, by `WEB_PORT`, `EFACE_PORT` itself. In a
container the image sets `EFACE_HOST`, `EFACE_PORT`, `EFACE_CACHE_DIR` and `EFACE_HEARTBEAT_FILE`. `make up` gives
`EFACE_METRICS_PORT` and `EFACE_METRICS_HOST` to the controller; those of the workers stand in
`EFACE_WORKER_ENVIRONMENT`, which every stack takes, and whose lines go before the variables.
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
PASSED_ON = {
    "web-settings": variables.WEB_CONTAINER,
    "controller-settings": variables.CONTROLLER_CONTAINER,
    "worker-settings": variables.WORKER_CONTAINER & variables.LOCAL_WORKERS,
}
"""What compose.yaml passes on to each program."""


def texts() -> dict[Path, str]:
    """The files' texts as they have to be."""
    page = INTRODUCTION + "".join(f"\n## {title}\n\n{_table(cls)}" for title, cls in PROGRAMS.items())
    lists = "".join(
        f"x-{anchor}: &{anchor}\n" + "".join(f"  {name}:\n" for name in sorted(names - variables.EVERY_PROGRAM))
        for anchor, names in PASSED_ON.items()
    )
    before, _, rest = COMPOSE.read_text(encoding="utf-8").partition(BEGIN)
    return {PAGE: page, COMPOSE: before + BEGIN + lists + END + rest.partition(END)[2]}


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
    for file, text in texts().items():
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {file.name}\n")
