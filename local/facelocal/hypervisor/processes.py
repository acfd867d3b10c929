"""Workers as processes: forked from one process that has the worker's modules loaded."""

import contextlib
import importlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import cast

import psutil

from facelocal.hypervisor.machines import WorkerState

_STATUS_TIMEOUT_S = 2.0


class ProcessDriver:
    """Runs each worker as a process of its own, with a log file of its own.

    A file per worker tells a later driver its process.
    """

    def __init__(self, run_dir: Path, worker: str, preload: tuple[str, ...], stop_grace_s: float) -> None:
        self._worker = worker
        self._stop_grace_s = stop_grace_s
        self._state_dir = run_dir / "workers"
        self._log_dir = run_dir / "logs"
        for folder in (self._state_dir, self._log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        # Forked from one server, fifteen workers share the modules (torch's half a gigabyte), and do not spend half a
        # minute of a laptop's cores on importing them.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["facelocal.hypervisor.preloaded", worker.partition(":")[0], *preload])
        self._own: dict[str, ForkServerProcess] = {}
        self._kill_at: dict[str, float] = {}

    def workers(self) -> dict[str, WorkerState]:
        """See Driver."""
        found = {}
        for instance_id in [path.stem for path in self._state_dir.glob("*.json")]:
            running = self._process(instance_id) is not None
            exit_status = None
            if not running and (own := self._own.get(instance_id)):
                # The fork server reports the status a moment after the process is gone.
                own.join(_STATUS_TIMEOUT_S)
                exit_status = own.exitcode
            found[instance_id] = WorkerState(running, exit_status)
        return found

    def start(self, instance_id: str, environment: Mapping[str, str]) -> None:
        """See Driver. The worker runs when this returns."""
        log_file = self._log_dir / f"worker-{instance_id}.log"
        process = self._context.Process(target=_run, args=(self._worker, dict(environment), str(log_file)), daemon=True)
        process.start()
        self._own[instance_id] = process
        self._kill_at.pop(instance_id, None)
        pid = cast(int, process.pid)
        try:
            # It tells the process from a later one that got the same number.
            created_at = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            created_at = None  # it has ended already
        identity = {"pid": pid, "created_at": created_at}
        temporary = self._state_dir / f"{instance_id}.new"
        temporary.write_text(json.dumps(identity), encoding="utf-8")
        temporary.replace(self._state_dir / f"{instance_id}.json")

    def stop(self, instance_id: str) -> None:
        """See Driver."""
        process = self._process(instance_id)
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            if instance_id not in self._kill_at:
                self._kill_at[instance_id] = time.monotonic() + self._stop_grace_s
                process.terminate()
            elif time.monotonic() >= self._kill_at[instance_id]:
                process.kill()

    def remove(self, instance_id: str) -> None:
        """See Driver. The worker is gone when this returns."""
        self._own.pop(instance_id, None)
        self._kill_at.pop(instance_id, None)
        (self._state_dir / f"{instance_id}.json").unlink(missing_ok=True)

    def close(self) -> None:
        """See Driver. Nothing is in progress between two calls."""

    def _process(self, instance_id: str) -> psutil.Process | None:
        """The worker's process while it runs."""
        own = self._own.get(instance_id)
        if own is not None and own.exitcode is not None:
            return None
        identity = json.loads((self._state_dir / f"{instance_id}.json").read_text(encoding="utf-8"))
        try:
            process = psutil.Process(identity["pid"])
            alive = process.create_time() == identity["created_at"] and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


def _run(worker: str, environment: dict[str, str], log_file: str) -> None:
    """The life of a worker's process, from the fork to its exit status."""
    with Path(log_file).open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    module, _, function = worker.partition(":")
    sys.exit(getattr(importlib.import_module(module), function)(environment))
