"""What a test needs of the machine that it runs on: without it the test is skipped, and in CI it fails."""

import functools
import os
import shutil
import subprocess
from typing import NoReturn

import pytest


def require_engine() -> None:
    """The test needs a Docker engine with Compose."""
    if not _engine_answers():
        _miss("no Docker engine with Compose answers")


def require_program(name: str) -> str:
    """The path of a program that the test needs."""
    return shutil.which(name) or _miss(f"{name} is not installed")


@functools.cache
def _engine_answers() -> bool:
    commands = (["docker", "info"], ["docker", "compose", "version"])
    try:
        return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    except FileNotFoundError:
        return False


def _miss(reason: str) -> NoReturn:
    # A skipped test in CI would be a check that is believed to run.
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
