"""Starts the web tier: reads the settings, wires the parts together, serves until it is told to stop."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from facecore import logs
from facecore.aws import Aws
from facecore.errors import SettingsError
from facecore.logs import get_logger
from facecore.metrics import new_registry
from facecore.objects import S3Bucket
from facecore.queues import SqsQueue
from facecore.settings import load
from starlette.types import ASGIApp

from faceweb import replies
from faceweb.app import create_app
from faceweb.concurrency import DaemonThreads, background
from faceweb.metrics import Metrics
from faceweb.pages import Pages
from faceweb.pending import Pending
from faceweb.readiness import Readiness
from faceweb.recognise import Recognition
from faceweb.replies import Replies
from faceweb.server import Server, allow_open_files, listen
from faceweb.settings import WebSettings
from faceweb.tuning import collect_while_idle, favour_event_loop
from faceweb.workers import Workers

log = get_logger(__name__)

EXIT_PORT = 1
EXIT_SETTINGS = 2
# One for each check.
HEALTH_THREADS = 4
# A connection and a temporary file.
FILES_PER_REQUEST = 2
# Connections to AWS, and those of clients that are being refused.
OTHER_FILES = 256


def main() -> int:
    """Serves until SIGTERM or SIGINT.

    Returns 0 then, 1 where it cannot listen on its address, and 2 for wrong settings.
    """
    try:
        settings = load(WebSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"faceweb: {error}\n")
        return EXIT_SETTINGS
    logs.configure("web", settings.log_level)
    log.info("settings", **settings.shown())
    allow_open_files(settings.max_waiting * FILES_PER_REQUEST + OTHER_FILES)
    try:
        # Before anything is received: a second process on the port must not take the first one's replies.
        listener = listen(settings.host, settings.port)
    except OSError as error:
        sys.stderr.write(f"faceweb: cannot listen on {settings.host} port {settings.port}: {error.strerror}\n")
        return EXIT_PORT
    pending = Pending(settings.max_waiting)
    server = Server(build(settings, pending), pending, settings.shutdown_s, settings.log_level)
    # After all imports and clients: it sets aside what exists now.
    favour_event_loop()
    log.info("serving", host=settings.host, port=listener.getsockname()[1], reply_queue=settings.reply_to)
    server.run(sockets=[listener])
    log.info("stopped")
    return 0


def build(settings: WebSettings, pending: Pending) -> ASGIApp:
    """The app with its collaborators on AWS, or on an emulator of it."""
    aws = Aws(settings)
    connections = settings.aws_threads + HEALTH_THREADS
    s3 = aws.client("s3", max_connections=connections)
    sqs = aws.client("sqs", max_connections=connections)
    # A client of its own: a long poll takes longer than other calls may, and it holds its connection all the time.
    polling = aws.client("sqs", max_connections=1, read_timeout_s=replies.READ_TIMEOUT_S)
    in_bucket, out_bucket = S3Bucket(s3, settings.in_bucket), S3Bucket(s3, settings.out_bucket)
    requests = SqsQueue(sqs, settings.request_queue)
    metrics = Metrics(new_registry("web", settings.id), pending)
    received = Replies(SqsQueue(polling, settings.reply_to), pending, metrics)
    workers = Workers(
        images=in_bucket,
        requests=requests,
        reply_to=settings.reply_to,
        pending=pending,
        threads=DaemonThreads(settings.aws_threads, "aws"),
        result_timeout_s=settings.result_timeout_s,
    )
    checks = {
        "the request queue": requests.depth,
        "the reply queue": received.check,
        "the bucket of photographs": in_bucket.check,
        "the bucket of results": out_bucket.check,
    }

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with received.receiving(), background(collect_while_idle(pending)):
            yield

    return create_app(
        Recognition(settings, pending, workers, metrics).router(),
        # Threads of their own, so that a queue of uploads does not make the service look broken.
        Readiness(checks, DaemonThreads(HEALTH_THREADS, "health")).router(),
        metrics.router(),
        Pages().router(),
        lifespan=running,
    )
