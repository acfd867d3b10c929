"""A worker among fakes: its queues, buckets and clock, and a recogniser that reads the name from the image."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from facecore.errors import BadImageError, NoFaceError
from facecore.messages import Reply, Request
from faceworker.metrics import Metrics
from faceworker.recogniser import Recogniser, Recognition
from faceworker.settings import WorkerSettings
from faceworker.worker import Worker
from prometheus_client import CollectorRegistry

from support.fakes.aws import FakeBucket, FakeQueue, Journal
from support.fakes.clock import Clock

SETTINGS = WorkerSettings(id="test", model="noop", instance_id="i-1", max_upload_bytes=1024)
CALL_S = 0.1
PAUSES_UNTIL_GIVING_UP = [0.5, 1, 2, 4, 8, 10, 10]


class ReadingRecogniser:
    """Reads the subject from the image."""

    model = "reading"

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self._look = look

    def recognise(self, image: bytes) -> Recognition:
        self._look()
        match image:
            case b"NOISE":
                raise BadImageError("not an image")
            case b"WALL":
                raise NoFaceError("no face was found")
            case b"STRANGER":
                return Recognition(None, 1.3, {"detect": 0.25})
            case b"BUG":
                raise RuntimeError("a bug in a library")
        return Recognition(image.decode(), 0.5, {"detect": 0.123456})

    def with_gallery(self, _gallery: object) -> Recogniser:
        return self


class NotedHeartbeat:
    """Notes when it beats."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @contextmanager
    def during(self, _receipt: str) -> Iterator[None]:
        self._journal.steps.append("beat")
        try:
            yield
        finally:
            self._journal.steps.append("rest")


class NotedStop(threading.Event):
    """A stop whose waits pass at once, and are noted."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return self.is_set()


class World:
    """What a worker sees of AWS, all in memory."""

    def __init__(self) -> None:
        self.clock, self.stopping = Clock(), NotedStop()
        self.journal = Journal(self.clock, CALL_S)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.dead = FakeQueue("test-dead-queue", self.clock)
        self.requests = FakeQueue("test-req-queue", self.clock, self.journal, self.dead)
        self.reply_queues: dict[str, FakeQueue] = {}
        self.images = FakeBucket("test-in-bucket", self.journal)
        self.results = FakeBucket("test-out-bucket", self.journal)

    def replies(self, name: str = "test-resp-queue") -> FakeQueue:
        return self.reply_queues.setdefault(name, FakeQueue(name, self.clock, self.journal))

    def ask(
        self, image: bytes, key: str = "face.jpg", reply_to: str = "test-resp-queue", ahead_s: float = 0
    ) -> Request:
        """Stores the image and sends its request, as the web tier does."""
        version = self.images.put(key, image)
        request = Request(str(uuid.uuid4()), key, version, reply_to, sent_at=self.clock.now_s + ahead_s)
        self.requests.send(request.encode())
        self.journal.steps.clear()
        return request

    def work(self, recogniser: Recogniser | None = None, current: Callable[[], Recogniser] | None = None) -> int:
        """Runs a new worker to its end, with one recogniser or with the one that is current."""
        known = recogniser or ReadingRecogniser()
        worker = Worker(
            SETTINGS,
            requests=self.requests,
            replies=self.replies,
            images=self.images,
            results=self.results,
            recognisers=SimpleNamespace(current=current or (lambda: known)),
            heartbeat=NotedHeartbeat(self.journal),
            stopping=self.stopping,
            metrics=self.metrics,
            wall_s=self.clock,
            steady_s=self.clock,
        )
        return worker.run()

    def answered(self, name: str = "test-resp-queue") -> list[Reply]:
        """All replies on a reply queue."""
        received = []
        while messages := self.replies(name).receive(max_messages=10):
            received += messages
        return [Reply.decode(message.body) for message in received]

    def counted(self, counter: str) -> dict[str, float]:
        """The counter `elastic_face_worker_<counter>`, by its label."""
        samples = (sample for metric in self.registry.collect() for sample in metric.samples)
        name = f"elastic_face_worker_{counter}_total"
        return {label: sample.value for sample in samples if sample.name == name for label in sample.labels.values()}

    def stored(self, key: str = "face.jpg") -> str:
        return self.results.get(key, max_bytes=10_000).content.decode()
