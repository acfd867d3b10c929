"""Starts embedded stacks for tests, each on free ports and in a folder of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from support.ground import ROOT, free_ports, unmeasured
from support.stacks.stack import Stack, log_lines


@dataclass
class EmbeddedStack(Stack):
    """A stack whose processes can be found, measured and killed."""

    run_dir: Path = Path()

    def process(self, program: str) -> psutil.Process:
        """The process of `aws`, `web`, `controller` or `hypervisor`, as the supervisor knows it."""
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.run_dir / "supervisord.conf")]
        answer = subprocess.run([*command, "pid", program], capture_output=True, text=True, check=True)
        return psutil.Process(int(answer.stdout))

    def workers(self) -> dict[str, psutil.Process]:
        """The workers' processes by instance id."""
        identities = {path.stem: json.loads(path.read_text()) for path in (self.run_dir / "workers").glob("*.json")}
        return {
            instance_id: psutil.Process(identity["pid"])
            for instance_id, identity in identities.items()
            if psutil.pid_exists(identity["pid"])
        }

    def worker_logs(self) -> list[list[dict[str, Any]]]:
        files = (self.run_dir / "logs").glob("worker-*.log")
        return [log_lines(path.read_text()) for path in files]


def embedded(command: str, variables: Mapping[str, str], *, measured: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of the embedded stack as `make` does, from the project's root; coverage measures its programs."""
    environment = dict(os.environ) if measured else unmeasured(os.environ)
    return subprocess.run(
        [sys.executable, "-m", "facelocal.stack", command],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@contextmanager
def started(run_dir: Path, *, measured: bool = True, **variables: str) -> Iterator[EmbeddedStack]:
    """A stack that is up while the block runs."""
    web_port, aws_port = free_ports(2)
    given = {"RUN_DIR": str(run_dir), "WEB_PORT": str(web_port), "AWS_PORT": str(aws_port), **variables}
    up = embedded("up", given, measured=measured)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield EmbeddedStack(f"http://127.0.0.1:{web_port}", f"http://127.0.0.1:{aws_port}", run_dir)
    finally:
        down = embedded("down", given, measured=measured)
        assert down.returncode == 0, down.stdout + down.stderr
