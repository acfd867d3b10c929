"""The programs of the embedded stack, as supervisord runs them."""

import configparser
import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from facelocal.stack.settings import WORKER_VARIABLES, StackSettings

EMULATOR = "aws"
TIERS = {"hypervisor": "facelocal.hypervisor", "controller": "facecontroller", "web": "faceweb"}
PROGRAMS = {EMULATOR: "facelocal.emulator serve"} | TIERS
"""Program by name: the module that `python -m` runs. The tiers start when the emulator has their resources, and
they stop in the opposite order, so that what waits in the web tier can still be answered."""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What emulators take for an account."""
_STOP_S = 40
# The emulator, and the machines that the hypervisor starts, are elsewhere in the cloud: here they must not keep the
# web tier and the controller from a processor.
_NICENESS = {EMULATOR: 10, "hypervisor": 10}
# The emulator shares the processors: more threads only keep the web tier's event loop waiting.
_DEFAULTS = {"EFACE_SHUTDOWN_S": "5", "EFACE_AWS_THREADS": "6"}


def socket_file(settings: StackSettings) -> Path:
    """supervisord's socket. It lies in the folder for temporary files since a socket's path is 100 bytes at most."""
    digest = hashlib.sha256(str(settings.run_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"elastic-face-{os.getuid()}-{digest}.sock"


def config_file(settings: StackSettings) -> Path:
    """supervisord's configuration."""
    return settings.run_dir / "supervisord.conf"


def write_config(settings: StackSettings) -> None:
    """Writes supervisord's configuration into the run folder."""
    parser = configparser.RawConfigParser()
    socket = f"unix://{socket_file(settings)}"
    parser["unix_http_server"] = {"file": str(socket_file(settings)), "chmod": "0600"}
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    parser["supervisorctl"] = {"serverurl": socket}
    parser["supervisord"] = {
        "logfile": _escaped(settings.run_dir / "logs/supervisord.log"),
        "pidfile": _escaped(settings.run_dir / "supervisord.pid"),
        "childlogdir": _escaped(settings.run_dir / "logs"),
        "directory": _escaped(Path.cwd()),
        "loglevel": "info",
    }
    for priority, (name, module) in enumerate(PROGRAMS.items(), start=1):
        parser[f"program:{name}"] = {
            "priority": str(priority),
            "command": f"nice -n {_NICENESS.get(name, 0)} {_escaped(sys.executable)} -m {module}",
            "autostart": str(name == EMULATOR).lower(),
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "20",
            "stopwaitsecs": str(_STOP_S),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _escaped(settings.run_dir / f"logs/{name}.log"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "1",
        }
    with config_file(settings).open("w", encoding="utf-8") as stream:
        parser.write(stream)


def environment(settings: StackSettings, environ: Mapping[str, str], gallery_file: Path | None) -> dict[str, str]:
    """The environment of all programs: the caller's own EFACE_ variables and what ties the programs together."""
    passed = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    worker = {"EFACE_THREADS": "1"} | {name: environ[name] for name in WORKER_VARIABLES if environ.get(name)}
    worker["EFACE_MODEL"] = settings.model
    return (
        passed
        | CREDENTIALS
        | {
            "EFACE_ID": "local",
            "EFACE_PORT": str(settings.web_port),
            "EFACE_EMULATOR_PORT": str(settings.aws_port),
            "EFACE_RUN_DIR": str(settings.run_dir),
            "EFACE_GALLERY_FILE": str(gallery_file or ""),
            "EFACE_WORKER_ENVIRONMENT": "\n".join(f"{name}={value}" for name, value in worker.items()),
            "EFACE_PRELOAD": environ.get("EFACE_PRELOAD") or _preload(settings.model, environ.get("EFACE_ENGINE")),
            "AWS_ENDPOINT_URL": settings.aws_url,
        }
    )


def _preload(model: str, engine: str | None) -> str:
    if model == "noop":
        return ""
    if engine == "torch":
        return "faceworker.reference.facenet,faceworker.reference.dlib"
    return "faceworker.recogniser.mtcnn,faceworker.recogniser.dlib"


def _escaped(value: object) -> str:
    """supervisord expands `%(name)s` in its configuration."""
    return str(value).replace("%", "%%")
