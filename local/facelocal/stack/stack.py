"""Starts, stops and shows the whole system as supervised processes on one machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import psutil
from facecore.errors import AwsError, FaceError, UnavailableError

from facelocal.stack import view
from facelocal.stack.programs import TIERS, config_file, environment, socket_file, write_config
from facelocal.stack.settings import StackSettings

_POLL_S = 0.2
_DOWN_TIMEOUT_S = 60


class StackError(FaceError):
    """The stack cannot be started or stopped; the message says why and what to do."""


def is_up(settings: StackSettings) -> bool:
    """Whether the stack's supervisor answers."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(socket_file(settings)))
    except OSError:
        return False
    return True


def up(settings: StackSettings, environ: Mapping[str, str]) -> None:
    """Enrols the gallery, starts all programs and returns when the web tier is ready.

    Raises StackError where a port is taken, nobody can be enrolled, or the web tier is not ready in time.
    """
    check_ports(settings)
    sweep(settings)
    for folder in (settings.run_dir / "logs", settings.run_dir / "workers"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    gallery_file = _new_gallery(settings, environ)
    write_config(settings)
    subprocess.run(  # noqa: S603  our own interpreter and configuration
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(config_file(settings))],
        env=environment(settings, environ, gallery_file),
        check=True,
    )
    try:
        _wait(settings, "the AWS emulator", lambda: _web_host_runs(settings))
        _supervisorctl(settings, "start", *TIERS)
        _wait(settings, "the web tier", lambda: _web_is_ready(settings))
    except StackError as error:
        states = status(settings)
        down(settings)
        raise StackError(
            f"{error}; the stack is stopped, its logs are in {settings.run_dir / 'logs'}\n{states}"
        ) from error


def down(settings: StackSettings) -> bool:
    """Stops everything the stack started, nothing left behind; returns whether there was anything to stop."""
    was_up = is_up(settings)
    if was_up:
        _supervisorctl(settings, "shutdown")
        deadline = time.monotonic() + _DOWN_TIMEOUT_S
        while is_up(settings) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    swept = sweep(settings)
    socket_file(settings).unlink(missing_ok=True)
    shutil.rmtree(settings.run_dir / "workers", ignore_errors=True)
    return was_up or swept > 0


def status(settings: StackSettings) -> str:
    """The programs and their states, a line each."""
    return _supervisorctl(settings, "status")


def logs(settings: StackSettings) -> list[Path]:
    """The log files."""
    return sorted((settings.run_dir / "logs").glob("*.log"))


def model_in_use(settings: StackSettings) -> str:
    """The model that the gallery was made with, or the one that needs no gallery."""
    if settings.model == "noop":
        return settings.model
    with np.load(_gallery_file(settings), allow_pickle=False) as gallery:
        return str(gallery["model"])


def check_ports(settings: StackSettings) -> None:
    """Raises StackError that names the port which another program has."""
    for variable, port in (("WEB_PORT", settings.web_port), ("AWS_PORT", settings.aws_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise StackError(
                    f"port {port} is taken by another program ({error.strerror}): end that one, or choose "
                    f"another port, as in `make up {variable}={port + 1000}`"
                ) from error


def sweep(settings: StackSettings) -> int:
    """Ends processes of this stack that a crash left behind, and returns how many there were.

    All of them carry the run folder in the environment they were started with.
    """
    left = [process for process in psutil.process_iter() if _is_ours(process, settings.run_dir)]
    for process in left:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(left, timeout=10)
    return len(left)


def _is_ours(process: psutil.Process, run_dir: Path) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        return process.environ().get("EFACE_RUN_DIR") == str(run_dir)
    except (psutil.Error, OSError):
        return False  # another user's process, or one that ended meanwhile


def enrol(settings: StackSettings, environ: Mapping[str, str], *options: str) -> int:
    """Makes the run folder's gallery from the folder of people, and returns the enroller's exit status."""
    command = [sys.executable, "-m", "faceworker.enrol", str(settings.gallery)]
    command += ["--output", str(_gallery_file(settings)), "--model", settings.model, *options]
    return subprocess.run(command, env=dict(environ), check=False).returncode  # noqa: S603  our own program


def _gallery_file(settings: StackSettings) -> Path:
    return settings.run_dir / "gallery.npz"


def _new_gallery(settings: StackSettings, environ: Mapping[str, str]) -> Path | None:
    if settings.model == "noop":
        return None
    # The networks that enrolment and the workers run; where they are there already, this takes a second.
    if subprocess.run([sys.executable, "-m", "faceworker.export"], env=dict(environ), check=False).returncode:
        raise StackError("the networks could not be exported; see above")
    if enrol(settings, environ):
        raise StackError(f"nobody could be enrolled from {settings.gallery}; see above, or name another GALLERY=folder")
    return _gallery_file(settings)


def _wait(settings: StackSettings, what: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + settings.ready_timeout_s
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except (OSError, AwsError) as error:
            last = error
        time.sleep(_POLL_S)
    raise StackError(f"{what} was not ready after {settings.ready_timeout_s:g} s ({last or 'no answer'})")


def _web_host_runs(settings: StackSettings) -> bool:
    """Whether the emulator has all resources: its web host comes last."""
    return "web-instance" in view.machines(settings.aws_url)


def _web_is_ready(settings: StackSettings) -> bool:
    try:
        with urllib.request.urlopen(f"{settings.web_url}/readyz", timeout=5):  # noqa: S310  our own address
            return True
    except urllib.error.HTTPError as error:
        raise UnavailableError(error.read().decode(errors="replace").strip()) from error


def _supervisorctl(settings: StackSettings, *command: str) -> str:
    return subprocess.run(  # noqa: S603  our own interpreter and configuration
        [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(config_file(settings)), *command],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
