"""The web tier among fakes: its app, a bucket, both queues, and a worker that answers what a test tells it to."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import IO, Any, TypeVar

import httpx
from facecore.messages import Reply, Request, ResultError
from facecore.queues import Depth, Message
from faceweb.app import create_app
from faceweb.concurrency import DaemonThreads
from faceweb.metrics import Metrics
from faceweb.pages import Pages
from faceweb.pending import Pending
from faceweb.readiness import Readiness
from faceweb.recognise import Recognition
from faceweb.replies import Replies
from faceweb.settings import WebSettings
from faceweb.workers import Workers
from prometheus_client import CollectorRegistry

from support.fakes.aws import FakeBucket, FakeQueue, Journal
from support.fakes.clock import Clock

T = TypeVar("T")
Worker = Callable[[Request], list[str]]
THREADS = DaemonThreads(4, "test")
BOUNDARY = "frontier"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def reply(request_id: str, subject: str | None = "Anna", error: ResultError | None = None) -> Reply:
    """A worker's reply."""
    return Reply(id=request_id, subject=subject, error=error, distance=0.4, instance="i-1", timings={"embed": 0.1})


def form(disposition: str = 'name="inputFile"; filename="face.jpg"', content: bytes = b"pixels") -> bytes:
    """The body of a form with one part."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


class SharedBucket(FakeBucket):
    """The fake bucket for several threads, which takes a file as well as bytes."""

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self._lock = threading.Lock()

    def put(
        self,
        key: str,
        content: bytes | IO[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        data = content if isinstance(content, bytes) else content.read()
        with self._lock:
            return super().put(key, data, content_type=content_type, metadata=metadata)


class SharedQueue(FakeQueue):
    """The fake queue for several threads."""

    def __init__(self, name: str, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        super().__init__(name, Clock(), self.journal)
        self._lock = threading.Lock()
        self.waits_s: list[int] = []
        """The `wait_s` of each poll."""

    def send(self, body: str) -> None:
        with self._lock:
            super().send(body)

    def receive(self, *, max_messages: int = 1, wait_s: int = 0, visibility_s: int | None = None) -> list[Message]:
        self.waits_s.append(wait_s)
        with self._lock:
            found = super().receive(max_messages=max_messages, wait_s=wait_s, visibility_s=visibility_s)
        if not found:
            # The fake's clock has jumped over the long poll; the thread that polls must not spin.
            time.sleep(0.01)
        return found

    def delete(self, receipts: Sequence[str]) -> None:
        with self._lock:
            super().delete(receipts)

    def depth(self) -> Depth:
        with self._lock:
            return super().depth()


class AnsweredQueue(SharedQueue):
    """The request queue, with a worker behind it that answers at once on `replies`."""

    def __init__(self, worker: Worker, replies: FakeQueue, journal: Journal) -> None:
        super().__init__("requests", journal)
        self._worker = worker
        self._replies = replies
        self.sent: list[Request] = []

    def send(self, body: str) -> None:
        super().send(body)
        self.sent.append(Request.decode(body))
        for answer in self._worker(self.sent[-1]):
            self._replies.send(answer)


class World:
    """One web process, without a server: requests go through its ASGI app."""

    def __init__(self, worker: Worker = lambda request: [reply(request.id).encode()], **settings: Any) -> None:
        self.settings = WebSettings(id="test", **settings)
        self.journal = Journal()
        """Of what the process does with images and requests."""
        self.images = SharedBucket(self.settings.in_bucket, self.journal)
        self.reply_queue = SharedQueue(self.settings.reply_to)
        self.request_queue = AnsweredQueue(worker, self.reply_queue, self.journal)
        self.pending = Pending(self.settings.max_waiting)
        self.registry = CollectorRegistry()
        self.checks: dict[str, Callable[[], object]] = {"the request queue": lambda: None}
        metrics = Metrics(self.registry, self.pending)
        self.replies = Replies(self.reply_queue, self.pending, metrics)
        workers = Workers(
            images=self.images,
            requests=self.request_queue,
            reply_to=self.settings.reply_to,
            pending=self.pending,
            threads=THREADS,
            result_timeout_s=self.settings.result_timeout_s,
        )
        self.app = create_app(
            Recognition(self.settings, self.pending, workers, metrics).router(),
            Readiness(self.checks, THREADS, timeout_s=0.2).router(),
            metrics.router(),
            Pages().router(),
            lifespan=self.replies.receiving,
        )

    def run(self, use: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        """Runs `use` with a client, while replies are received."""

        async def running() -> T:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with (
                self.replies.receiving(),
                httpx.AsyncClient(transport=transport, base_url="http://web") as client,
            ):
                return await use(client)

        try:
            return asyncio.run(running())
        finally:
            # It could take a reply that is meant for the next run.
            until(lambda: all(thread.name != "dispatcher" for thread in threading.enumerate()))

    def request(self, method: str = "POST", path: str = "/", **options: Any) -> httpx.Response:
        """The response to one request."""
        return self.run(lambda client: client.request(method, path, **options))

    def post(self, name: str = "face.jpg", content: bytes = b"pixels") -> httpx.Response:
        """The response to an upload."""
        return self.request(files={"inputFile": (name, content)})

    def count(self, name: str, **labels: str) -> float:
        """A figure of the metrics; 0 if it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0


def until(reached: Callable[[], bool], timeout_s: float = 10) -> None:
    """Waits for what another thread does."""
    waited = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if reached():
            return
        waited.wait(0.01)
    raise AssertionError("it never happened")


async def reached(condition: Callable[[], bool]) -> None:
    """Waits for what another task does."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is awaited sets no event
            await asyncio.sleep(0.005)


def soon(result: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, which must come."""
    return asyncio.run(asyncio.wait_for(result, 20))
