"""`up`, `down` and what a user does wrong with them."""

import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from support.stacks.embedded import embedded, free_ports, started

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


def test_starting_twice_says_so(tmp_path: Path) -> None:
    with started(tmp_path, **VARIABLES) as stack:
        port, aws_port = stack.web_url.rpartition(":")[2], stack.aws_url.rpartition(":")[2]
        again = embedded("up", {"RUN_DIR": str(tmp_path), "WEB_PORT": port, "AWS_PORT": aws_port, **VARIABLES})
        assert again.returncode == 0
        assert "up already" in again.stdout


@pytest.mark.parametrize("variable", ["WEB_PORT", "AWS_PORT"])
def test_a_taken_port_is_named(tmp_path: Path, variable: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = dict(zip(("WEB_PORT", "AWS_PORT"), map(str, free_ports(2)), strict=True)) | {variable: str(port)}
        up = embedded("up", {"RUN_DIR": str(tmp_path), **ports, **VARIABLES})
    assert up.returncode == 1
    assert f"port {port} is taken" in up.stderr
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


def test_an_empty_gallery_stops_up_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "nobody").mkdir()
    ports = dict(zip(("WEB_PORT", "AWS_PORT"), map(str, free_ports(2)), strict=True))
    up = embedded("up", {"RUN_DIR": str(tmp_path / "run"), "GALLERY": str(tmp_path / "nobody"), **ports})
    assert up.returncode == 1
    assert "could be enrolled" in up.stderr


def test_status_shows_programs_instances_and_queues(tmp_path: Path) -> None:
    with started(tmp_path, **VARIABLES) as stack:
        aws_port = stack.aws_url.rpartition(":")[2]
        status = embedded("status", {"RUN_DIR": str(tmp_path), "AWS_PORT": aws_port})
    assert all(word in status.stdout for word in ("controller", "RUNNING", "web-instance", "local-dead-queue"))


def test_an_unknown_command_is_explained() -> None:
    command = [sys.executable, "-m", "facelocal.stack", "sideways"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "usage" in answer.stderr
