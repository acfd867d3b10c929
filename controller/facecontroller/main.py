"""The command `python -m facecontroller`."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

from facecore.aws import Aws
from facecore.errors import SettingsError
from facecore.logs import configure, get_logger
from facecore.metrics import new_registry, serve
from facecore.queues import Queue
from facecore.settings import load
from prometheus_client import CollectorRegistry

from facecontroller.fleet import LAUNCH_THREADS, Ec2Fleet, Fleet
from facecontroller.loop import Controller, Heartbeat, run
from facecontroller.metrics import Metrics
from facecontroller.rehearsal import DryRunFleet
from facecontroller.settings import Settings

EXIT_SETTINGS = 2

log = get_logger(__name__)


class StoppedError(BaseException):
    """Not an error: it must pass through everything that handles errors."""


class StopSignal:
    """SIGTERM or SIGINT ends the program at once, in the middle of a tick too: nothing of worth is in memory."""

    def __init__(self) -> None:
        self._came = False

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        if not self._came:
            self._came = True
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Sleeps, unless the signal came where Python drops exceptions, as in a finaliser."""
        if self._came:
            raise StoppedError
        time.sleep(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the controller until SIGTERM; returns the exit status: 0, or 2 where the settings are wrong."""
    options = _parser().parse_args(arguments)
    stop = StopSignal()
    try:
        settings = load(Settings, os.environ)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        configure("controller", settings.log_level)
        _control(settings, stop, dry_run=options.dry_run)
    except SettingsError as error:
        sys.stderr.write(f"facecontroller: {error}\n")
        return EXIT_SETTINGS
    except StoppedError:
        log.info("stopped")
    return 0


def _control(settings: Settings, stop: StopSignal, *, dry_run: bool) -> None:
    registry = new_registry("controller", settings.id)
    metrics = Metrics(registry, time.time)
    heartbeat = Heartbeat(settings.heartbeat_file)
    _check_surroundings(settings, registry, heartbeat)
    aws = Aws(settings)
    ec2 = aws.client("ec2", max_connections=LAUNCH_THREADS)
    fleet: Fleet = Ec2Fleet(ec2, settings.id, settings.worker_template)
    if dry_run:
        fleet = DryRunFleet(fleet)
    queue = Queue(aws.client("sqs"), settings.request_queue)
    controller = Controller(queue, fleet, settings.config(), metrics)
    log.info("started", id=settings.id, max_instances=settings.max_instances, dry_run=dry_run)
    run(controller, metrics, settings.tick_s, heartbeat, sleep=stop.sleep)


def _check_surroundings(settings: Settings, registry: CollectorRegistry, heartbeat: Heartbeat) -> None:
    try:
        heartbeat.beat()
    except OSError as error:
        raise SettingsError(f"EFACE_HEARTBEAT_FILE: cannot be written: {error}") from error
    if settings.metrics_port:
        serve(registry, settings.metrics_host, settings.metrics_port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facecontroller", description="Starts as many instances as there are requests."
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, once a second, and do nothing")
    return parser
