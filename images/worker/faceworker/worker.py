"""The worker's loop: one request at a time from the queue, answered, until there is none."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from facecore.errors import AwsError, BadImageError, DecodeError, EncodeError, NoFaceError, TooLargeError
from facecore.logs import get_logger
from facecore.messages import Reply, Request
from facecore.objects import StoredObject
from facecore.queues import Message
from structlog.contextvars import bound_contextvars

from faceworker import answers
from faceworker.heartbeat import Heartbeat
from faceworker.lifecycle import Event, Lifecycle, Step
from faceworker.recogniser.interface import Recogniser
from faceworker.settings import WorkerSettings

_log = get_logger(__name__)

DONE = 0
"""Exit status: no work is left, or the worker was told to stop."""
FAILED = 1
"""Exit status: AWS stayed away, or a request broke the worker; another start may help."""
TIMING_DIGITS = 4


class RequestQueue(Protocol):
    """What the worker needs of the queue of requests; all raise AWS errors."""

    def receive(self, *, max_messages: int, wait_s: int, visibility_s: int) -> list[Message]:
        """Up to `max_messages`, waiting up to `wait_s` for the first."""

    def delete(self, receipts: list[str]) -> None:
        """Deletes received messages."""


class ReplyQueue(Protocol):
    """What the worker needs of a queue of replies."""

    def send(self, body: str) -> None:
        """Appends a message; raises AWS errors."""


class ImageBucket(Protocol):
    """What the worker needs of the bucket of images."""

    def get(self, key: str, *, max_bytes: int, version: str) -> StoredObject:
        """The object's content; raises TooLargeError over `max_bytes`, and AWS errors."""


class ResultBucket(Protocol):
    """What the worker needs of the bucket of predictions."""

    def put(self, key: str, content: bytes, *, content_type: str, metadata: Mapping[str, str]) -> str:
        """Stores `content` and returns its version id; raises AWS errors."""


class RecogniserSource(Protocol):
    """Where the recogniser comes from."""

    def current(self) -> Recogniser:
        """The recogniser to use now; raises GalleryError, WeightsError and AWS errors."""


class Record(Protocol):
    """Where the worker's figures go."""

    def answered(self, kind: str, timings: Mapping[str, float]) -> None:
        """One request was answered; `timings` are seconds by phase."""

    def left(self, error: Exception) -> None:
        """One message was left in the queue because of `error`."""


class NoRecord:
    """Keeps no figures."""

    def answered(self, kind: str, timings: Mapping[str, float]) -> None:
        """Nothing."""

    def left(self, error: Exception) -> None:
        """Nothing."""


class Worker:
    """Answers requests one by one: fetch, recognise, store, reply, delete, in that order.

    Until its message is deleted a request belongs to the queue: whatever ends this process, the message is
    received again, and answered again. Setting `stopping` ends the loop in order: the request in hand is
    finished, and so is one that the outstanding poll still brings, since it would stay hidden otherwise.

    A failure of AWS leaves the request in the queue and the loop goes on. An exception that nobody planned, a bug,
    ends the process as a crash would: nobody knows what state it left, and the dead queue bounds the retries.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        requests: RequestQueue,
        replies: Callable[[str], ReplyQueue],
        images: ImageBucket,
        results: ResultBucket,
        recognisers: RecogniserSource,
        heartbeat: Heartbeat,
        stopping: threading.Event,
        record: Record | None = None,
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
        self._record = record or NoRecord()
        self._wall_s = wall_s
        self._steady_s = steady_s
        self._received: tuple[Message, Recogniser]

    def run(self) -> int:
        """Works until a poll comes back empty, `stopping` is set, or nothing helps; returns the exit status.

        Raises GalleryError and WeightsError where a changed gallery cannot be used.
        """
        life = Lifecycle()
        event = Event.READY
        while True:
            match life.after(event, stopping=self._stopping.is_set()):
                case Step.POLL:
                    event = self._polled(life)
                case Step.HANDLE:
                    event = Event.HANDLED if self._handle(*self._received) else Event.BROKE
                case Step.PAUSE:
                    self._stopping.wait(life.pause_s)
                    event = Event.READY
                case Step.END:
                    _log.info("idle" if event is Event.EMPTY else "stopped", idle_s=self._settings.idle_s)
                    return DONE
                case Step.GIVE_UP:
                    _log.error("gave_up", failures=life.failures)
                    return FAILED

    def _polled(self, life: Lifecycle) -> Event:
        try:
            recogniser = self._recognisers.current()
            messages = self._poll()
        except AwsError as error:
            _log.warning("poll_failed", error=str(error), failures=life.failures + 1)
            return Event.POLL_FAILED
        if not messages:
            return Event.EMPTY
        self._received = messages[0], recogniser
        return Event.RECEIVED

    def _poll(self) -> list[Message]:
        return self._requests.receive(
            max_messages=1, wait_s=self._settings.idle_s, visibility_s=self._settings.visibility_s
        )

    def _handle(self, message: Message, recogniser: Recogniser) -> bool:
        """Answers one message, or leaves it in the queue; False where this process is not to be trusted any more."""
        try:
            request = self._request(message)
        except DecodeError as error:
            _log.error("message_refused", error=str(error), receive_count=message.receive_count)
            self._record.left(error)
            return True
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
                self._record.left(error)
            except Exception as error:
                # A bug, or a library that broke: the next process starts clean, and the dead queue ends the retries.
                _log.exception("request_broke_worker", receive_count=message.receive_count)
                self._record.left(error)
                return False
        return True

    def _request(self, message: Message) -> Request:
        """The request in the message; raises DecodeError, also where its reply would leave this deployment."""
        request = Request.decode(message.body)
        default = self._settings.response_queue
        if request.reply_to != default and not request.reply_to.startswith(f"{default}-"):
            raise DecodeError(
                f"a message asks for its reply on {request.reply_to!r}, no reply queue of this deployment"
            )
        return request

    def _answer(self, message: Message, request: Request, recogniser: Recogniser) -> None:
        # The clocks of two hosts differ: a wait below zero is none.
        timings = {"queue": max(0.0, self._wall_s() - request.sent_at)}
        with self._heartbeat.during(message.receipt):
            reply = self._reply(request, recogniser, timings)
            with self._timed("store", timings):
                self._results.put(
                    request.key,
                    answers.prediction(reply).encode(),
                    content_type="text/plain; charset=utf-8",
                    metadata={"request-id": request.id},
                )
            _round(timings)
            self._replies(request.reply_to).send(answers.message(reply))
        self._requests.delete([message.receipt])
        kind = answers.kind(reply)
        _log.info("answered", kind=kind, receive_count=message.receive_count, timings=timings)
        self._record.answered(kind, timings)

    def _reply(self, request: Request, recogniser: Recogniser, timings: dict[str, float]) -> Reply:
        """The answer to `request`; its timings are the table `timings`, which the caller goes on filling."""
        subject, distance, told = None, None, None
        try:
            with self._timed("fetch", timings):
                image = self._image(request)
            recognition = recogniser.recognise(image)
        except (BadImageError, NoFaceError, TooLargeError) as error:
            told = answers.result_error(error)
        else:
            subject, distance = recognition.subject, recognition.distance
            timings.update(recognition.timings)
        return Reply(
            id=request.id,
            subject=subject,
            error=told,
            distance=distance,
            instance=self._settings.instance_id,
            timings=timings,
        )

    def _image(self, request: Request) -> bytes:
        limit_bytes = self._settings.max_upload_bytes
        try:
            return self._images.get(request.key, version=request.version, max_bytes=limit_bytes).content
        except TooLargeError as error:
            # The bucket's name in the error is not for clients.
            raise TooLargeError(f"the image is over {limit_bytes} bytes") from error

    @contextmanager
    def _timed(self, phase: str, timings: dict[str, float]) -> Iterator[None]:
        started_s = self._steady_s()
        yield
        timings[phase] = self._steady_s() - started_s


def _round(timings: dict[str, float]) -> None:
    for phase, duration_s in timings.items():
        timings[phase] = round(duration_s, TIMING_DIGITS)
