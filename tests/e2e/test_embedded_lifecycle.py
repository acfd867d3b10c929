"""`up`, `down` and what a user does wrong with them."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest
from support.ground import free_ports
from support.stacks.embedded import EmbeddedStack, embedded, started

VARIABLES = {"EFACE_MODEL": "noop"}


def _processes_of(run_dir: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EFACE_RUN_DIR") == str(run_dir):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_up_serves_on_the_named_ports_and_down_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(tmp_path, **VARIABLES) as stack:
        assert httpx.get(f"{stack.web_url}/readyz").status_code == 200
        assert len(_processes_of(tmp_path)) >= 5
        stack.send("one.jpg", b"any bytes")
        assert stack.running() == 1
    assert _processes_of(tmp_path) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{stack.web_url}/healthz")


@pytest.fixture(scope="module")
def up(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """A stack that is up, and stays up."""
    with started(tmp_path_factory.mktemp("up"), **VARIABLES) as stack:
        yield stack


def _given(run_dir: Path, ports: Sequence[object]) -> dict[str, str]:
    """The variables of a command for a stack of that folder with these ports."""
    web_port, aws_port = ports
    return {"RUN_DIR": str(run_dir), "WEB_PORT": str(web_port), "AWS_PORT": str(aws_port), **VARIABLES}


def _ports(stack: EmbeddedStack) -> list[str]:
    return [url.rpartition(":")[2] for url in (stack.web_url, stack.aws_url)]


def test_starting_twice_says_so(up: EmbeddedStack) -> None:
    again = embedded("up", _given(up.run_dir, _ports(up)))
    assert again.returncode == 0
    assert "up already" in again.stdout


def test_status_shows_programs_instances_and_queues(up: EmbeddedStack) -> None:
    status = embedded("status", _given(up.run_dir, _ports(up)))
    assert all(word in status.stdout for word in ("controller", "RUNNING", "web-instance", "local-dead-queue"))


@pytest.mark.parametrize(("place", "variable"), [(0, "WEB_PORT"), (1, "AWS_PORT")])
def test_a_taken_port_is_named(tmp_path: Path, place: int, variable: str) -> None:
    ports = free_ports(2)
    with socket.create_server(("127.0.0.1", ports[place])):
        up = embedded("up", _given(tmp_path, ports))
    assert up.returncode == 1
    assert f"port {ports[place]} is taken" in up.stderr
    assert variable in up.stderr
    assert _processes_of(tmp_path) == []


def test_down_without_up_says_so(tmp_path: Path) -> None:
    down = embedded("down", {"RUN_DIR": str(tmp_path)})
    assert (down.returncode, down.stdout) == (0, "Elastic Face was not up\n")


def test_down_ends_what_a_killed_supervisor_left(tmp_path: Path) -> None:
    with started(tmp_path, **VARIABLES):
        supervisor = psutil.Process(int((tmp_path / "supervisord.pid").read_text()))
        supervisor.kill()
        supervisor.wait(10)
        assert _processes_of(tmp_path)
    assert _processes_of(tmp_path) == []


def test_a_gallery_without_people_stops_up_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    gallery = {"GALLERY": str(tmp_path / "people"), "EFACE_MODEL": "auto"}
    up = embedded("up", _given(tmp_path / "run", free_ports(2)) | gallery)
    assert up.returncode == 1
    assert "could be enrolled" in up.stderr


def test_an_unknown_command_is_explained() -> None:
    command = [sys.executable, "-m", "facelocal.stack", "sideways"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "usage" in answer.stderr
