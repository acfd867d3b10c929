"""The programs of the embedded stack under supervisord: their environment, start, states and end."""

import configparser
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from facecore.settings import Model

from facelocal.settings import StackSettings

EMULATOR = "aws"
TIERS = {"hypervisor": "facelocal.hypervisor", "controller": "facecontroller", "web": "faceweb"}
# In the order of their starts. They stop in the opposite one, so that what waits in the web tier can still be answered.
PROGRAMS = {EMULATOR: "facelocal.emulator serve"} | TIERS
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Without it boto3 may look for an instance's role at an address that is not there, for seconds.
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What emulators take for an account."""
# Above the 5 s that the web tier gives its requests and the 10 s that the hypervisor gives the workers.
_PROGRAM_STOP_S = 40
_DOWN_TIMEOUT_S = 60
_POLL_S = 0.2
# The emulator, and the machines that the hypervisor starts, are elsewhere in the cloud: here they must not keep the
# web tier and the controller from a processor.
_NICENESS = {EMULATOR: 10, "hypervisor": 10}
_DEFAULTS = {
    "EFACE_SHUTDOWN_S": "5",
    # The emulator shares the processors: more threads only keep the web tier's event loop waiting.
    "EFACE_AWS_THREADS": "6",
    # One each, since up to fifteen workers share the processors.
    "EFACE_THREADS": "1",
}


def environment(settings: StackSettings, environ: Mapping[str, str], gallery_file: Path | None) -> dict[str, str]:
    """The environment of all programs: the caller's own `EFACE_*` variables and what ties the programs together."""
    preload = "faceworker.recogniser.mtcnn,faceworker.recogniser.dlib"
    if environ.get("EFACE_ENGINE") == "torch":
        preload = "faceworker.reference.facenet,faceworker.reference.dlib"
    # A user's own settings of AWS, such as a profile, must not reach programs that talk to an emulator.
    passed = {name: value for name, value in environ.items() if value and not name.startswith("AWS_")}
    return (
        _DEFAULTS
        | {"EFACE_PRELOAD": "" if settings.model == Model.NOOP else preload}
        | passed
        | CREDENTIALS
        | {
            "EFACE_ID": settings.deployment.id,
            "EFACE_REGION": settings.region,
            "EFACE_MODEL": settings.model,
            "EFACE_PORT": str(settings.web_port),
            "EFACE_EMULATOR_PORT": str(settings.aws_port),
            "EFACE_RUN_DIR": str(settings.run_dir),
            "EFACE_GALLERY_FILE": str(gallery_file or ""),
            "AWS_ENDPOINT_URL": settings.aws_url,
        }
    )


def configuration(run_dir: Path, socket_file: Path) -> configparser.RawConfigParser:
    """supervisord's configuration: it starts the emulator at once and the tiers on command."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": socket_file, "chmod": "0600"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisorctl": {"serverurl": f"unix://{socket_file}"},
        "supervisord": {
            "logfile": run_dir / "logs/supervisord.log",
            "pidfile": run_dir / "supervisord.pid",
            "childlogdir": run_dir / "logs",
            "directory": Path.cwd(),
            "loglevel": "info",
        },
    }
    for priority, (name, module) in enumerate(PROGRAMS.items(), start=1):
        sections[f"program:{name}"] = {
            "priority": priority,
            "command": f"nice -n {_NICENESS.get(name, 0)} {sys.executable} -m {module}",
            "autostart": str(name == EMULATOR).lower(),
            "autorestart": "true",
            "startsecs": 1,
            "startretries": 20,
            "stopwaitsecs": _PROGRAM_STOP_S,
            # A program that is killed takes its children along: the hypervisor's fork server and the workers.
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": run_dir / f"logs/{name}.log",
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": 1,
        }
    parser = configparser.RawConfigParser()
    for section, values in sections.items():
        # supervisord expands `%(name)s` in its configuration.
        parser[section] = {name: str(value).replace("%", "%%") for name, value in values.items()}
    return parser


class Supervisor:
    """supervisord of one run folder, which holds its configuration and the logs."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._config_file = run_dir / "supervisord.conf"
        # A socket's path is 100 bytes at most, which a run folder's may exceed.
        digest = hashlib.sha256(str(run_dir).encode()).hexdigest()[:16]
        self._socket_file = Path(tempfile.gettempdir()) / f"elastic-face-{os.getuid()}-{digest}.sock"

    def is_up(self) -> bool:
        """Whether supervisord answers."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self._socket_file))
        except OSError:
            return False
        return True

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts supervisord and the emulator; the tiers start when the emulator has their resources."""
        with self._config_file.open("w", encoding="utf-8") as stream:
            configuration(self._run_dir, self._socket_file).write(stream)
        subprocess.run(  # noqa: S603  our own interpreter and configuration
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config_file)], env=environment, check=True
        )

    def start_tiers(self) -> None:
        """Starts web tier, controller and hypervisor."""
        self._control("start", *TIERS)

    def states(self) -> str:
        """The programs and their states, a line each."""
        return self._control("status")

    def stop(self) -> bool:
        """Stops all programs, those included that a crash left behind; returns whether there were any."""
        was_up = self.is_up()
        if was_up:
            self._control("shutdown")
            deadline = time.monotonic() + _DOWN_TIMEOUT_S
            while self.is_up() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        swept = self.sweep()
        self._socket_file.unlink(missing_ok=True)
        # Of workers that are gone; the logs stay.
        shutil.rmtree(self._run_dir / "workers", ignore_errors=True)
        return was_up or swept > 0

    def sweep(self) -> int:
        """Kills processes of this stack that a crash left behind, and returns how many there were."""
        left = []
        for process in psutil.process_iter():
            # Not one of another user, nor one that ended meanwhile.
            with contextlib.suppress(psutil.Error, OSError):
                # All programs and workers carry the run folder in the environment they were started with.
                if process.pid != os.getpid() and process.environ().get("EFACE_RUN_DIR") == str(self._run_dir):
                    left.append(process)
        for process in left:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(left, timeout=10)
        return len(left)

    def _control(self, *command: str) -> str:
        return subprocess.run(  # noqa: S603  our own interpreter and configuration
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self._config_file), *command],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
