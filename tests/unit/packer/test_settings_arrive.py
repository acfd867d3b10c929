"""Every setting that can be chosen at `make deploy` is in the program, by way of the machine's own scripts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from facecontroller.settings import Settings
from facecore import user_data
from facecore.settings import AwsSettings, load
from facecore.variables import CONTROLLER, EVERY_PROGRAM, WEB, WEB_HOST_LINES, WORKER, WORKER_LINES
from facedeploy.deployment import web_environment, worker_environment
from facedeploy.images import DOCKERFILES, Images
from facedeploy.settings import DeploySettings
from faceweb.settings import WebSettings
from faceworker.settings import WorkerSettings
from support import chosen
from support.ground import ROOT
from support.stacks.machine_script import INSTANCE_ID, reading

RUN_CONTAINER = ROOT / "packer/files/bin/run-container"
IMAGES = Images(*(f"registry/{program}@sha256:{'0' * 64}" for program in ("web", "worker", "controller")))
PROGRAMS: dict[str, type[AwsSettings]] = {"web": WebSettings, "worker": WorkerSettings, "controller": Settings}
# A machine's engine that has every image, and whose containers print the settings that their program loads.
_ENGINE = """#!{python}
import os, sys
arguments = sys.argv[1:]
if arguments[0] != "run":
    sys.exit(arguments[0] == "container")
given = open(arguments[arguments.index("--env-file") + 1]).read().splitlines()
environment = {image!r} | dict(line.split("=", 1) for line in given)
load = '''{load}'''
os.execve({python!r}, [{python!r}, "-c", load], environment)
"""
_LOAD = """import json, os
from facecore.settings import load
from {module} import {name}
print(json.dumps(load({name}, os.environ).shown()))
"""


def _of_image(program: str) -> dict[str, str]:
    """The variables that the program's image sets."""
    stages = re.split(r"^FROM ", (ROOT / DOCKERFILES[program]).read_text(), flags=re.MULTILINE)
    # `make push` builds the worker's other target.
    shipped = "".join(stage for stage in stages if not stage.startswith("base AS torch"))
    lines = re.findall(r"^ENV (?:.*\\\n)*.*\n", shipped, re.MULTILINE)
    return dict(re.findall(r"\b(EFACE_[A-Z_]+)=([\w./]+)", "".join(lines)))


def _shown(program: str, told: dict[str, str], folder: Path) -> dict[str, Any]:
    """The settings of a program on a machine with this user data."""
    cls = PROGRAMS[program]
    load_and_show = _LOAD.format(module=cls.__module__, name=cls.__name__)
    engine = folder / "bin/docker"
    engine.parent.mkdir()
    engine.write_text(_ENGINE.format(python=sys.executable, image=_of_image(program), load=load_and_show))
    engine.chmod(0o755)
    with reading(folder) as script:
        assert script.run(user_data.lines(told)).returncode == 0
        answer = subprocess.run(
            [RUN_CONTAINER, program],
            env={"PATH": f"{engine.parent}:{os.environ['PATH']}", "ELASTIC_FACE_FOLDER": str(script.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


@pytest.mark.parametrize("program", ["web", "controller"])
def test_what_is_chosen_for_the_web_host_arrives(program: str, tmp_path: Path) -> None:
    wanted = chosen.variables(WebSettings, Settings)
    settings = load(DeploySettings, {
        "EFACE_ID": "local",
        "EFACE_WEB_ENVIRONMENT": user_data.lines({name: wanted[name] for name in WEB_HOST_LINES}),
        **{name: wanted[name] for name in ("EFACE_REGION", "EFACE_MAX_INSTANCES", "EFACE_INSTANCE_TYPES")},
    })  # fmt: skip
    told = web_environment(settings, IMAGES, {}, wanted["EFACE_SUBNETS"])
    shown = _shown(program, told, tmp_path)
    arriving = {name: value for name, value in wanted.items() if name in told}
    expected = chosen.expected(PROGRAMS[program], arriving)
    assert {name: shown[name] for name in expected} == expected
    # The rest is what the image sets, and where AWS is.
    names = {"web": WEB, "controller": CONTROLLER}[program] | EVERY_PROGRAM
    assert names - expected.keys() == _of_image(program).keys() | ({"EFACE_PORT"} & names)


@pytest.mark.parametrize("left_out", ["EFACE_PRECISION", "EFACE_ENGINE"])
def test_what_is_chosen_for_the_workers_arrives(left_out: str, tmp_path: Path) -> None:
    wanted = chosen.variables(WorkerSettings, without=frozenset({left_out}))
    settings = load(DeploySettings, {
        "EFACE_ID": "local",
        "EFACE_REGION": wanted["EFACE_REGION"],
        "EFACE_WORKER_ENVIRONMENT": user_data.lines({name: wanted[name] for name in WORKER_LINES - {left_out}}),
    })  # fmt: skip
    told = worker_environment(settings, IMAGES, {})
    shown = _shown("worker", told, tmp_path)
    expected = chosen.expected(WorkerSettings, {name: value for name, value in wanted.items() if name in told})
    assert {name: shown[name] for name in expected} == expected
    assert shown["EFACE_INSTANCE_ID"] == INSTANCE_ID
    assert (WORKER | EVERY_PROGRAM) - expected.keys() == {"EFACE_CACHE_DIR", "EFACE_INSTANCE_ID", left_out}


def test_a_variable_that_no_program_reads_stops_the_program(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="EFACE_POLCY: no program reads it; did you mean EFACE_POLICY"):
        _shown(
            "controller",
            {"EFACE_ID": "local", "EFACE_CONTROLLER_IMAGE": IMAGES.controller, "EFACE_POLCY": "x"},
            tmp_path,
        )
