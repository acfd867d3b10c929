"""SQS and S3 in memory, with a clock of their own; tests/integration checks them against an emulator."""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from facecore.errors import NotFoundError, RefusedError, TooLargeError
from facecore.objects import StoredObject
from facecore.queues import Depth, Message

MAX_MESSAGE_BYTES = 1024
MAX_RECEIVES = 3


class Crashed(BaseException):
    """The process is gone: nothing in it may handle this."""


@dataclass
class Clock:
    """Seconds that pass only when they are told to."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


@dataclass
class Journal:
    """What was done, in order; makes calls fail, and the process crash after a step."""

    steps: list[str] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    crash_after: int | None = None
    before: Callable[[str], object] = lambda _step: None
    """Called before each step, and may raise."""

    def begin(self, step: str) -> None:
        """Raises what is planned for this step, before it has any effect."""
        self.before(step)
        if planned := self.failures.get(step):
            raise planned.pop(0)

    def end(self, step: str) -> None:
        """Notes a step that had its effect."""
        self.steps.append(step)
        if len(self.steps) == self.crash_after:
            raise Crashed(step)


@dataclass
class _Stored:
    body: str
    visible_s: float
    receives: int = 0
    receipt: str = ""


class FakeQueue:
    """A standard queue with visibility timeouts, long polls and a dead queue, as `facecore.queues.Queue`."""

    def __init__(
        self, name: str, clock: Clock, journal: Journal | None = None, dead: "FakeQueue | None" = None
    ) -> None:
        self.name = name
        self._clock = clock
        self._journal = journal or Journal()
        self._dead = dead
        self._messages: list[_Stored] = []
        self._receipts = itertools.count(1)

    def send(self, body: str) -> None:
        self._journal.begin("send")
        if len(body.encode()) > MAX_MESSAGE_BYTES:
            raise RefusedError(f"over {MAX_MESSAGE_BYTES} bytes", aws_code="InvalidParameterValue")
        self._messages.append(_Stored(body, self._clock.now_s))
        self._journal.end("send")

    def receive(self, *, max_messages: int = 1, wait_s: int = 0, visibility_s: int | None = None) -> list[Message]:
        self._journal.begin("receive")
        hidden_s = 30 if visibility_s is None else visibility_s
        received = self._take(max_messages, hidden_s)
        if not received and wait_s:
            until_s = self._clock.now_s + wait_s
            self._clock.now_s = min([until_s, *(message.visible_s for message in self._messages)])
            received = self._take(max_messages, hidden_s)
            if not received:
                self._clock.now_s = until_s
        if received:
            self._journal.end("receive")
        return received

    def _take(self, max_messages: int, hidden_s: int) -> list[Message]:
        received = []
        for message in [message for message in self._messages if message.visible_s <= self._clock.now_s]:
            if self._dead is not None and message.receives >= MAX_RECEIVES:
                self._messages.remove(message)
                self._dead.send(message.body)
            elif len(received) < max_messages:
                message.receives += 1
                message.visible_s = self._clock.now_s + hidden_s
                message.receipt = f"receipt-{next(self._receipts)}"
                received.append(Message(message.body, message.receipt, message.receives))
        return received

    def delete(self, receipts: Sequence[str]) -> None:
        self._journal.begin("delete")
        self._messages = [message for message in self._messages if message.receipt not in set(receipts)]
        self._journal.end("delete")

    def extend(self, receipt: str, visibility_s: int) -> None:
        self._journal.begin("extend")
        for message in self._messages:
            if message.receipt == receipt:
                message.visible_s = self._clock.now_s + visibility_s

    def depth(self) -> Depth:
        visible = sum(message.visible_s <= self._clock.now_s for message in self._messages)
        return Depth(visible=visible, in_flight=len(self._messages) - visible, delayed=0)


class FakeBucket:
    """A versioned bucket, as `facecore.objects.Bucket`."""

    def __init__(self, name: str, journal: Journal | None = None) -> None:
        self.name = name
        self._journal = journal or Journal()
        self._versions: dict[str, dict[str, StoredObject]] = {}
        self.metadata: dict[str, dict[str, str]] = {}

    def put(
        self,
        key: str,
        content: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        self._journal.begin("put")
        versions = self._versions.setdefault(key, {})
        version = f"v{len(versions) + 1}"
        versions[version] = StoredObject(content, f'"{hashlib.sha256(content).hexdigest()}"')
        self.metadata[key] = {"content-type": content_type, **(metadata or {})}
        self._journal.end("put")
        return version

    def get(self, key: str, *, max_bytes: int, version: str | None = None) -> StoredObject:
        self._journal.begin("get")
        stored = self._stored(key, version)
        if len(stored.content) > max_bytes:
            raise TooLargeError(f"{key!r} in the bucket {self.name} is over {max_bytes} bytes")
        self._journal.end("get")
        return stored

    def download(self, key: str, target: IO[bytes], *, max_bytes: int) -> str:
        stored = self.get(key, max_bytes=max_bytes)
        target.write(stored.content)
        return stored.etag

    def etag(self, key: str) -> str:
        self._journal.begin("etag")
        return self._stored(key, None).etag

    def _stored(self, key: str, version: str | None) -> StoredObject:
        versions = self._versions.get(key, {})
        try:
            return versions[version] if version else list(versions.values())[-1]
        except (KeyError, IndexError):
            raise NotFoundError(f"no {key!r} in the bucket {self.name}", aws_code="NoSuchKey") from None
