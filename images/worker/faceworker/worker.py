"""The worker's loop: one request at a time from the queue, answered, until there is none."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from facecore.errors import (
    AwsError,
    BadImageError,
    DecodeError,
    EncodeError,
    InputError,
    NoFaceError,
    TooLargeError,
)
from facecore.logs import get_logger
from facecore.messages import MAX_ERROR_TEXT_CHARS, Reply, Request, ResultError
from facecore.objects import Bucket
from facecore.queues import Message, Queue
from structlog.contextvars import bound_contextvars

from faceworker.heartbeat import Heartbeat
from faceworker.lifecycle import Event, Lifecycle, Step
from faceworker.metrics import Metrics
from faceworker.recogniser import Recogniser
from faceworker.settings import WorkerSettings

_log = get_logger(__name__)

DONE = 0
"""Exit status: no work is left, or the worker was told to stop."""
FAILED = 1
"""Exit status: AWS stayed away, or a request broke the worker; another start may help."""
TIMING_DIGITS = 4
# UTF-8 bytes of an error's text; with every character escaped it still fits a reply beside all other fields.
MAX_ERROR_TEXT_BYTES = 400


class RecogniserSource(Protocol):
    """Where the recogniser comes from."""

    def current(self) -> Recogniser:
        """The recogniser to use now; raises GalleryError, WeightsError and AWS errors."""


class Worker:
    """Answers requests one by one: fetch, recognise, store, reply, delete, in that order.

    Until its message is deleted a request belongs to the queue: whatever ends this process, the message is
    received again, and answered again. Setting `stopping` ends the loop in order: the request in hand is
    finished, and so is one that the outstanding poll still brings, since it would stay hidden otherwise.

    A failure of AWS leaves the request in the queue and the loop goes on. An unexpected exception, a bug, ends the
    process as a crash would: its state cannot be trusted, and the dead queue bounds the retries.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        requests: Queue,
        replies: Callable[[str], Queue],
        images: Bucket,
        results: Bucket,
        recognisers: RecogniserSource,
        heartbeat: Heartbeat,
        stopping: threading.Event,
        metrics: Metrics,
        wall_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._settings = settings
        self._requests = requests
        self._replies = replies
        self._images = images
        self._results = results
        self._recognisers = recognisers
        self._heartbeat = heartbeat
        self._stopping = stopping
        self._metrics = metrics
        self._wall_s = wall_s
        self._steady_s = steady_s

    def run(self) -> int:
        """Works until a poll comes back empty, `stopping` is set, or nothing helps; returns the exit status.

        Raises GalleryError and WeightsError if a changed gallery cannot be used.
        """
        life = Lifecycle()
        event = Event.READY
        while True:
            match life.after(event, stopping=self._stopping.is_set()):
                case Step.POLL:
                    try:
                        # Before the poll: a gallery that changed would keep a request waiting while it is loaded.
                        recogniser = self._recognisers.current()
                        messages = self._requests.receive(
                            max_messages=1, wait_s=self._settings.idle_s, visibility_s=self._settings.visibility_s
                        )
                        event = Event.RECEIVED if messages else Event.EMPTY
                    except AwsError as error:
                        _log.warning("poll_failed", error=str(error), failures=life.failures + 1)
                        event = Event.POLL_FAILED
                case Step.HANDLE:
                    event = self._handle(messages[0], recogniser)
                case Step.PAUSE:
                    self._stopping.wait(life.pause_s)
                    event = Event.READY
                case Step.END:
                    _log.info("idle" if event is Event.EMPTY else "stopped", idle_s=self._settings.idle_s)
                    return DONE
                case Step.GIVE_UP:
                    _log.error("gave_up", failures=life.failures)
                    return FAILED

    def _handle(self, message: Message, recogniser: Recogniser) -> Event:
        """Answers one message or leaves it in the queue; BROKE if this process cannot be trusted any more."""
        try:
            request = Request.decode(message.body)
            default = self._settings.response_queue
            # Messages are not signed: a reply must not leave this deployment.
            if request.reply_to != default and not request.reply_to.startswith(f"{default}-"):
                raise DecodeError(f"a reply is wanted on {request.reply_to!r}, no reply queue of this deployment")
        except DecodeError as error:
            _log.error("message_refused", error=str(error), receive_count=message.receive_count)
            self._metrics.left(error)
            return Event.HANDLED
        with bound_contextvars(request_id=request.id):
            try:
                self._answer(message, request, recogniser)
            except (AwsError, EncodeError) as error:
                _log.warning(
                    "request_left",
                    error=str(error),
                    error_type=type(error).__name__,
                    receive_count=message.receive_count,
                )
                self._metrics.left(error)
            except Exception as error:
                # A bug, or a library that broke: the next process starts clean, and the dead queue ends the retries.
                _log.exception("request_broke_worker", receive_count=message.receive_count)
                self._metrics.left(error)
                return Event.BROKE
        return Event.HANDLED

    def _answer(self, message: Message, request: Request, recogniser: Recogniser) -> None:
        # The clocks of two hosts differ: a wait below zero is none.
        timings = {"queue": max(0.0, self._wall_s() - request.sent_at)}
        with self._heartbeat.during(message.receipt):
            reply = self._recognised(request, recogniser, timings)
            with self._timed("store", timings):
                self._results.put(
                    request.key,
                    reply.text.encode(),
                    content_type="text/plain; charset=utf-8",
                    metadata={"request-id": request.id},
                )
            timings = {phase: round(duration_s, TIMING_DIGITS) for phase, duration_s in timings.items()}
            self._replies(request.reply_to).send(encoded(replace(reply, timings=timings)))
        self._requests.delete([message.receipt])
        _log.info("answered", kind=reply.kind, receive_count=message.receive_count, timings=timings)
        self._metrics.answered(reply.kind, timings)

    def _recognised(self, request: Request, recogniser: Recogniser, timings: dict[str, float]) -> Reply:
        """The reply to `request`, still without timings; adds the seconds of each phase to `timings`."""
        reply = Reply(id=request.id, subject=None, error=None, distance=None, instance=self._settings.instance_id)
        limit_bytes = self._settings.max_upload_bytes
        try:
            with self._timed("fetch", timings):
                image = self._images.get(request.key, version=request.version, max_bytes=limit_bytes).content
            recognition = recogniser.recognise(image)
        except TooLargeError:
            # The bucket's name in the error is not for clients.
            return replace(reply, error=result_error(TooLargeError(f"the image is over {limit_bytes} bytes")))
        except (BadImageError, NoFaceError) as error:
            return replace(reply, error=result_error(error))
        timings |= recognition.timings
        return replace(reply, subject=recognition.subject, distance=recognition.distance)

    @contextmanager
    def _timed(self, phase: str, timings: dict[str, float]) -> Iterator[None]:
        started_s = self._steady_s()
        yield
        timings[phase] = self._steady_s() - started_s


def result_error(error: InputError) -> ResultError:
    """The error as a client is told it: its code, and its text on one line within a reply's limits."""
    text = "".join(char if char.isprintable() else "?" for char in str(error)[:MAX_ERROR_TEXT_CHARS])
    short = text.encode()[:MAX_ERROR_TEXT_BYTES].decode(errors="ignore")
    return ResultError(code=error.code, text=short or error.code)


def encoded(reply: Reply) -> str:
    """The reply as a message, without its timings if they do not fit; raises EncodeError."""
    try:
        return reply.encode()
    except EncodeError:
        return replace(reply, timings={}).encode()
