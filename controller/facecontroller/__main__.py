"""The command `python -m facecontroller`."""

import argparse
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from types import FrameType

from facecore.aws import Aws
from facecore.errors import AwsError, SettingsError
from facecore.logs import configure, get_logger
from facecore.metrics import new_registry, serve
from facecore.queues import SqsQueue
from facecore.settings import load

from facecontroller.cost import RunningCost
from facecontroller.dry_run import DryRunFleet, explain
from facecontroller.fleet import Ec2Fleet, Fleet
from facecontroller.lease import Lease, NoLease, S3Lease
from facecontroller.loop import Controller, Heartbeat, run
from facecontroller.metrics import Metrics
from facecontroller.settings import Settings

EXIT_SETTINGS = 2

log = get_logger(__name__)


class StoppedError(BaseException):
    """Not an error: it must pass through everything that handles errors."""


class StopSignal:
    """SIGTERM or SIGINT ends the program at once, in the middle of a tick too: no state in memory is worth keeping."""

    def __init__(self) -> None:
        self._came = False

    def __call__(self, _signum: int, _frame: FrameType | None) -> None:
        if not self._came:
            self._came = True
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Sleeps, unless the signal came while Python drops exceptions, as in a finaliser."""
        if self._came:
            raise StoppedError
        time.sleep(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the controller until SIGTERM; returns the exit status: 0, or 2 if the settings are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m facecontroller", description="Starts as many instances as there are requests."
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, once a second, and do nothing")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("explain", help="print the decision on one observation, given as JSON, and its reason")
    one.add_argument("file", nargs="?", default="-", help="file with the JSON; standard input by default")
    options = parser.parse_args(arguments)
    if options.command == "explain":
        return explain(options.file)
    stop = StopSignal()
    try:
        settings = load(Settings, os.environ)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        configure("controller", settings.log_level)
        log.info("settings", **settings.shown())
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
    # A path or a port that cannot be used ends the program at its start, not in its first tick.
    try:
        heartbeat.beat()
    except OSError as error:
        raise SettingsError(f"EFACE_HEARTBEAT_FILE: cannot be written: {error}") from error
    if settings.metrics_port:
        serve(registry, settings.metrics_host, settings.metrics_port)
    aws = Aws(settings)
    queue = SqsQueue(aws.client("sqs"), settings.request_queue)
    fleet: Fleet = Ec2Fleet(aws.client("ec2"), settings.id, settings.worker_template)
    lease: Lease = NoLease()
    # A dry run needs no lease: it changes nothing, and may run beside the controller that acts.
    if dry_run:
        fleet = DryRunFleet(fleet)
    else:
        # A controller that was restarted is another owner: it does not know what its predecessor asked for.
        owner = f"{socket.gethostname()}/{uuid.uuid4()}"
        lease = S3Lease(aws.client("s3"), settings.gallery_bucket, owner)
    cost = RunningCost(settings.price_usd_h)
    controller = Controller(queue, fleet, settings.config(), metrics, lease=lease, cost=cost)
    log.info("started", id=settings.id, max_instances=settings.max_instances, dry_run=dry_run)
    try:
        run(controller, metrics, settings.tick_s, heartbeat, sleep=stop.sleep)
    except StoppedError:
        # Without this the next controller would wait until the lease is over.
        try:
            controller.release()
        except AwsError as error:
            log.warning("lease_not_released", error=str(error))
        raise


if __name__ == "__main__":
    sys.exit(main())
