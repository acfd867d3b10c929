"""The worker program: reads its settings, wires the worker together, and ends with its exit status.

Exit status 0: idle, or told to stop. 1: start or work failed, another start may help. 2: the settings are wrong.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from facecore.aws import READ_TIMEOUT_S, Aws
from facecore.errors import FaceError, SettingsError
from facecore.logs import configure, get_logger
from facecore.metrics import new_registry, serve
from facecore.objects import S3Bucket
from facecore.queues import SqsQueue
from facecore.settings import Model, load

from faceworker import build
from faceworker.gallery_source import FixedRecogniser, GalleryRecogniser, GallerySource
from faceworker.heartbeat import Heartbeat
from faceworker.metrics import Metrics
from faceworker.recogniser import Recogniser
from faceworker.settings import WorkerSettings
from faceworker.worker import FAILED, RecogniserSource, Worker

# numpy and torch are imported by the workers that use them: starting has to be quick.
if TYPE_CHECKING:
    from faceworker.recogniser.gallery import Gallery

_log = get_logger(__name__)

MISCONFIGURED = 2
"""Exit status: the settings are wrong."""
# Reply queues whose URLs are remembered: one a web host.
MAX_REPLY_QUEUES = 64
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

MakeRecogniser = Callable[[WorkerSettings, "Gallery | None"], Recogniser]


def build_recogniser(settings: WorkerSettings, gallery: "Gallery | None") -> Recogniser:
    """The recogniser that the settings ask for; raises GalleryError, WeightsError and SettingsError."""
    return build.recogniser(settings.model, gallery, settings.options)


def main(environ: Mapping[str, str], make_recogniser: MakeRecogniser = build_recogniser) -> int:
    """Runs a worker until it is idle or told to stop, and returns its exit status.

    Call it from the main thread: it takes SIGTERM and SIGINT while it runs. `make_recogniser` is for tests.
    """
    try:
        settings = load(WorkerSettings, environ)
    except SettingsError as error:
        sys.stderr.write(f"faceworker: {error}\n")
        return MISCONFIGURED
    configure("worker", settings.log_level, instance_id=settings.instance_id)
    _log.info("settings", **settings.shown())
    stopping = threading.Event()
    try:
        with _stopped_by_signals(stopping):
            return wired(settings, make_recogniser, stopping).run()
    except FaceError as error:
        _log.error("failed", error=str(error), error_type=type(error).__name__)
        return FAILED


@contextmanager
def _stopped_by_signals(stopping: threading.Event) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wired(settings: WorkerSettings, make_recogniser: MakeRecogniser, stopping: threading.Event) -> Worker:
    """The worker with its AWS clients, its recogniser loaded and its metrics served."""
    aws = Aws(settings)
    sqs = aws.client("sqs", read_timeout_s=settings.idle_s + READ_TIMEOUT_S)
    s3 = aws.client("s3")
    requests = SqsQueue(sqs, settings.request_queue)
    recognisers: RecogniserSource
    if settings.model is Model.NOOP:
        recognisers = FixedRecogniser(make_recogniser(settings, None))
    else:
        from faceworker.recogniser import gallery

        bucket, limit_bytes = S3Bucket(s3, settings.gallery_bucket), gallery.MAX_GALLERY_BYTES
        source = GallerySource(bucket, gallery.read, refresh_s=settings.gallery_refresh_s, max_bytes=limit_bytes)
        recognisers = GalleryRecogniser(source, functools.partial(make_recogniser, settings))
    registry = new_registry("worker", settings.id)
    metrics = Metrics(registry)
    # Not before the recogniser is loaded: a container counts as healthy from then on.
    if settings.metrics_port:
        serve(registry, settings.metrics_host, settings.metrics_port)
    _log.info("started", model=recognisers.current().model)
    return Worker(
        settings,
        requests=requests,
        replies=functools.lru_cache(MAX_REPLY_QUEUES)(functools.partial(SqsQueue, sqs)),
        images=S3Bucket(s3, settings.in_bucket),
        results=S3Bucket(s3, settings.out_bucket),
        recognisers=recognisers,
        heartbeat=Heartbeat(
            requests,
            visibility_s=settings.visibility_s,
            limit_s=settings.request_limit_s,
            give_up=functools.partial(os._exit, FAILED),
        ),
        stopping=stopping,
        metrics=metrics,
    )
