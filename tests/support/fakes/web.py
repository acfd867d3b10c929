"""The web tier among fakes: its app, a bucket, both queues, and a worker that answers what a test tells it to."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import IO, Any, TypeVar

import httpx
from facecore.messages import Reply, Request, ResultError
from facecore.queues import Message
from faceweb.app import create_app
from faceweb.concurrency import DaemonThreads
from faceweb.metrics import Metrics
from faceweb.pages import Pages
from faceweb.pending import Waiters
from faceweb.readiness import Readiness
from faceweb.recognise import Intake
from faceweb.replies import Replies
from faceweb.settings import WebSettings
from faceweb.workers import Exchange
from prometheus_client import CollectorRegistry

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


class FakeStore:
    """The bucket of photographs."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, bytes, str, dict[str, str]]] = []
        self.before_put: Callable[[], object] = lambda: None

    def put(
        self,
        key: str,
        content: bytes | IO[bytes],
        *,
        content_type: str = "",
        metadata: dict[str, str] | None = None,
    ) -> str:
        self.before_put()
        data = content if isinstance(content, bytes) else content.read()
        self.stored.append((key, data, content_type, metadata or {}))
        return f"v{len(self.stored)}"


class FakeInbox:
    """The reply queue: `receive` blocks for a moment, as a long poll does for longer."""

    def __init__(self) -> None:
        self._bodies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.deleted: list[str] = []
        self.failures: list[Exception] = []
        self.polls = 0

    def put(self, *bodies: str) -> None:
        for body in bodies:
            self._bodies.put(body)

    def receive(self, *, max_messages: int, wait_s: int, visibility_s: int) -> list[Message]:
        self.polls += 1
        if self.failures:
            raise self.failures.pop(0)
        found: list[Message] = []
        try:
            found.append(_message(self._bodies.get(timeout=0.01)))
            while len(found) < max_messages:
                found.append(_message(self._bodies.get_nowait()))
        except queue.Empty:
            pass
        return found

    def delete(self, receipts: Sequence[str]) -> None:
        self.deleted += receipts


def _message(body: str) -> Message:
    return Message(body=body, receipt=f"receipt of {body}", receive_count=1)


class FakeOutbox:
    """The request queue, with a worker behind it that answers at once on `inbox`."""

    def __init__(self, inbox: FakeInbox, worker: Worker) -> None:
        self._inbox = inbox
        self._worker = worker
        self.sent: list[Request] = []
        self.failure: Exception | None = None

    def send(self, body: str) -> None:
        if self.failure:
            raise self.failure
        self.sent.append(Request.decode(body))
        self._inbox.put(*self._worker(self.sent[-1]))


class World:
    """One web process, without a server: requests go through its ASGI app."""

    def __init__(self, worker: Worker = lambda request: [reply(request.id).encode()], **settings: Any) -> None:
        self.settings = WebSettings(id="test", **settings)
        self.store = FakeStore()
        self.inbox = FakeInbox()
        self.outbox = FakeOutbox(self.inbox, worker)
        self.waiters = Waiters(self.settings.max_waiting)
        self.registry = CollectorRegistry()
        self.checks: dict[str, Callable[[], object]] = {"the request queue": lambda: None}
        metrics = Metrics(self.registry, self.waiters)
        self.replies = Replies(self.inbox, self.waiters, metrics)
        exchange = Exchange(
            store=self.store,
            outbox=self.outbox,
            waiters=self.waiters,
            threads=THREADS,
            reply_to=self.settings.reply_to,
            result_timeout_s=self.settings.result_timeout_s,
        )
        self.app = create_app(
            intake=Intake(self.settings, self.waiters, exchange, metrics),
            readiness=Readiness(self.checks, THREADS, timeout_s=0.2),
            metrics=metrics,
            pages=Pages(),
            lifespan=self.replies.received,
        )

    def run(self, use: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        """Runs `use` with a client, while replies are received."""

        async def running() -> T:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with self.replies.received(), httpx.AsyncClient(transport=transport, base_url="http://web") as client:
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
        """The response to a photograph."""
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
