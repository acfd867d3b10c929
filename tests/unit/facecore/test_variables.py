"""The list of variables is what the settings classes and the scripts read, and each setting has one pair of bounds."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from facecore import variables
from facecore.settings import AwsSettings, variable
from pydantic import BaseModel
from settings_table import PROGRAMS
from support.ground import ROOT

_NAME = re.compile(r"\bEFACE_[A-Z0-9_]*[A-Z0-9]\b")
LISTS = {
    "All programs": variables.EVERY_PROGRAM,
    "Web tier": variables.WEB,
    "Worker": variables.WORKER,
    "Controller": variables.CONTROLLER,
    "Deployment": variables.DEPLOYMENT,
}


def _read_by(cls: type[BaseModel]) -> set[str]:
    """The EFACE_* variables of a settings class, without those that every program has."""
    inherited = set() if cls is AwsSettings else set(AwsSettings.model_fields)
    names = {variable(name, field) for name, field in cls.model_fields.items() if name not in inherited}
    return {name for name in names if name.startswith("EFACE_")}


def _named_in(*files: Path) -> set[str]:
    return {name for file in files for name in _NAME.findall(file.read_text())}


@pytest.mark.parametrize(("title", "names"), LISTS.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_programs_list_is_what_its_class_reads(title: str, names: frozenset[str]) -> None:
    assert names == _read_by(PROGRAMS[title])


def test_the_local_list_is_what_the_other_classes_read() -> None:
    others = [cls for title, cls in PROGRAMS.items() if title not in LISTS]
    assert set().union(*map(_read_by, others)) - variables.EVERY_PROGRAM == variables.LOCAL


def test_the_machines_list_is_what_its_scripts_read_and_keep_from_the_programs() -> None:
    scripts = sorted((ROOT / "packer/files/bin").iterdir())
    named = _named_in(*scripts) - variables.EVERY_PROGRAM - {"EFACE_INSTANCE_ID", "EFACE_NAME"}
    # run-container makes the names of the images from those of the programs.
    assert "EFACE_${program^^}_IMAGE" in (ROOT / "packer/files/bin/run-container").read_text()
    images = {f"EFACE_{program}_IMAGE" for program in ("WEB", "WORKER", "CONTROLLER")}
    assert (named | images) == variables.MACHINE


def test_stacks_images_and_commands_name_no_other_variable() -> None:
    files = [ROOT / "compose.yaml", ROOT / ".env.example", ROOT / "Makefile", ROOT / "local/compose"]
    files += [ROOT / name for name in ("images/web/Dockerfile", "images/worker/Dockerfile", "controller/Dockerfile")]
    assert _named_in(*files, ROOT / "local/Dockerfile") <= variables.KNOWN


def test_a_setting_that_two_programs_read_has_the_same_bounds_in_both() -> None:
    bounds: dict[str, set[str]] = defaultdict(set)
    for cls in PROGRAMS.values():
        for name, field in cls.model_fields.items():
            bounds[variable(name, field)].add(f"{field.annotation} {field.metadata}")
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_what_is_passed_on_is_read() -> None:
    assert variables.WEB_HOST_LINES <= variables.WEB | variables.CONTROLLER | variables.EVERY_PROGRAM
    assert variables.WORKER_LINES | variables.LOCAL_WORKERS <= variables.WORKER | variables.EVERY_PROGRAM
