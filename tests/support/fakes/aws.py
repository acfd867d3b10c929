"""SQS and S3 in memory, on a virtual clock; tests/integration checks them against an emulator."""

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import IO

from facecore.errors import NotFoundError, RefusedError, TooLargeError, UnavailableError
from facecore.objects import StoredObject
from facecore.queues import MAX_BATCH, Depth, Message

from support.fakes.clock import Clock

MAX_MESSAGE_BYTES = 1024
# Both as deploy/resources.yaml has them.
MAX_RECEIVES = 3
DEFAULT_VISIBILITY_S = 30
DEPTHS_KEPT = 2000


class Crashed(BaseException):
    """The process is gone: nothing in it may handle this."""


@dataclass
class Journal:
    """The calls to fakes, in order. It makes them take time and fail, and the process crash after one of them."""

    clock: Clock | None = None
    call_s: float = 0.0
    """What a call takes on the clock. It comes before its effect."""
    steps: list[str] = field(default_factory=list)
    """The calls that had their effect."""
    calls: Counter[str] = field(default_factory=Counter)
    """All calls."""
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    crash_after: int | None = None
    before: Callable[[str], object] = lambda _step: None
    """Called before each step, and may raise."""

    def begin(self, step: str) -> None:
        """Lets the call's time pass, and raises what is planned for this step before it has any effect."""
        self.calls[step] += 1
        self.before(step)
        if self.clock is not None and self.call_s:
            self.clock.sleep(self.call_s)
        if planned := self.failures.get(step):
            raise planned.pop(0)

    def end(self, step: str) -> None:
        """Notes a step that had its effect."""
        self.steps.append(step)
        if len(self.steps) == self.crash_after:
            raise Crashed(step)


@dataclass(eq=False, slots=True)
class _Stored:
    body: str
    receives: int = 0
    receipt: str = ""
    hidden_until: float = 0.0


class FakeQueue:
    """A standard queue with visibility timeouts, long polls and a dead queue, as `facecore.queues.Queue`.

    `failures`, `false_zeros` and `lag_s` make the readings of its depth wrong. Sending, receiving and deleting take no
    longer in a longer queue, since the simulator sends a million messages.
    """

    def __init__(
        self, name: str, clock: Clock, journal: Journal | None = None, dead: "FakeQueue | None" = None
    ) -> None:
        self.name = name
        self._clock = clock
        self._journal = journal or Journal()
        self.dead = dead
        self._visible: deque[_Stored] = deque()
        self._hidden: dict[str, _Stored] = {}
        """By receipt."""
        self._timeouts: list[tuple[float, str]] = []
        """A heap of (when a message is visible again, its receipt); void for one that was deleted or extended."""
        self._receipts = 0
        self._past: deque[tuple[float, Depth]] = deque(maxlen=DEPTHS_KEPT)
        self.failures = 0
        """Next readings of the depth that fail."""
        self.false_zeros = 0
        """Next readings of the depth that find the queue empty."""
        self.lag_s = 0.0
        """How old the readings of the depth are; they give the last one noted or read before that."""

    @property
    def visible(self) -> int:
        """The true number of visible messages."""
        self._unhide()
        return len(self._visible)

    @property
    def in_flight(self) -> int:
        """The true number of messages in flight."""
        self._unhide()
        return len(self._hidden)

    def bodies(self) -> list[str]:
        """The bodies of all messages, visible or in flight."""
        return [message.body for message in (*self._visible, *self._hidden.values())]

    def fill(self, visible: int, in_flight: int = 0) -> None:
        """Replaces all messages. Those in flight stay so for ever."""
        self._hidden.clear()
        self._visible = deque(_Stored(f"request {n}") for n in range(visible + in_flight))
        for _ in range(in_flight):
            self._take(inf)

    def send(self, body: str) -> None:
        self._journal.begin("send")
        if len(body.encode()) > MAX_MESSAGE_BYTES:
            raise RefusedError(f"over {MAX_MESSAGE_BYTES} bytes", aws_code="InvalidParameterValue")
        self._visible.append(_Stored(body))
        self._journal.end("send")

    def receive(self, *, max_messages: int = 1, wait_s: int = 0, visibility_s: float | None = None) -> list[Message]:
        self._journal.begin("receive")
        if not 1 <= max_messages <= MAX_BATCH:
            raise RefusedError(f"not 1 to {MAX_BATCH} messages", aws_code="InvalidParameterValue")
        hidden_s = DEFAULT_VISIBILITY_S if visibility_s is None else visibility_s
        until_s = self._clock.now_s + wait_s
        while not self.visible and self._clock.now_s < until_s:
            # A message can come by an event of the clock, or back from a timeout.
            next_at = min(self._clock.next_at, self._timeouts[0][0] if self._timeouts else inf, until_s)
            self._clock.sleep(max(0.0, next_at - self._clock.now_s))
        received: list[Message] = []
        while len(received) < max_messages and self._visible:
            if (message := self._take(hidden_s)) is not None:
                received.append(message)
        if received:
            self._journal.end("receive")
        return received

    def delete(self, receipts: Sequence[str]) -> None:
        self._journal.begin("delete")
        late = [receipt for receipt in receipts if self._hidden.pop(receipt, None) is None]
        if unknown := [receipt for receipt in late if not self._is_ours(receipt)]:
            raise UnavailableError(f"{len(unknown)} messages stay in the queue {self.name}")
        if late:
            # Their timeout is over, so that they may be visible again.
            self._visible = deque(message for message in self._visible if message.receipt not in late)
        self._journal.end("delete")

    def extend(self, receipt: str, visibility_s: float) -> None:
        self._journal.begin("extend")
        self._unhide()
        if receipt not in self._hidden:
            code = "MessageNotInflight" if self._is_ours(receipt) else "ReceiptHandleIsInvalid"
            raise RefusedError(f"extend a message of the queue {self.name}: {code}", aws_code=code)
        self._hide(self._hidden[receipt], visibility_s)

    def note(self) -> None:
        """Notes the true depth, for a reading that is late to give."""
        self._past.append((self._clock.now_s, Depth(visible=self.visible, in_flight=self.in_flight, delayed=0)))

    def depth(self) -> Depth:
        self._journal.begin("depth")
        self.note()
        if self.failures:
            self.failures -= 1
            raise UnavailableError("no answer", aws_code="ServiceUnavailable")
        if self.false_zeros:
            self.false_zeros -= 1
            return Depth(0, 0, 0)
        then_s = self._clock.now_s - self.lag_s
        return next((depth for at, depth in reversed(self._past) if at <= then_s), self._past[0][1])

    def _take(self, hidden_s: float) -> Message | None:
        """The next visible message, hidden from now on; None if it was received too often, and is dead."""
        stored = self._visible.popleft()
        if self.dead is not None and stored.receives >= MAX_RECEIVES:
            self.dead.send(stored.body)
            return None
        self._receipts += 1
        stored.receives += 1
        stored.receipt = f"{self.name}/{self._receipts}"
        self._hidden[stored.receipt] = stored
        self._hide(stored, hidden_s)
        return Message(stored.body, stored.receipt, stored.receives)

    def _hide(self, stored: _Stored, hidden_s: float) -> None:
        stored.hidden_until = self._clock.now_s + hidden_s
        if hidden_s < inf:
            heapq.heappush(self._timeouts, (stored.hidden_until, stored.receipt))

    def _unhide(self) -> None:
        """Makes those visible whose timeout is over."""
        while self._timeouts and self._timeouts[0][0] <= self._clock.now_s:
            at, receipt = heapq.heappop(self._timeouts)
            if (stored := self._hidden.get(receipt)) is not None and stored.hidden_until <= at:
                del self._hidden[receipt]
                self._visible.append(stored)

    def _is_ours(self, receipt: str) -> bool:
        name, _, number = receipt.rpartition("/")
        return name == self.name and number.isdecimal() and int(number) <= self._receipts


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
        content: bytes | IO[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        self._journal.begin("put")
        versions = self._versions.setdefault(key, {})
        version = f"v{len(versions) + 1}"
        data = content if isinstance(content, bytes) else content.read()
        versions[version] = StoredObject(data, f'"{hashlib.sha256(data).hexdigest()}"')
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

    def check(self) -> None:
        self._journal.begin("check")

    def _stored(self, key: str, version: str | None) -> StoredObject:
        versions = self._versions.get(key, {})
        try:
            return versions[version] if version else list(versions.values())[-1]
        except (KeyError, IndexError):
            raise NotFoundError(f"no {key!r} in the bucket {self.name}", aws_code="NoSuchKey") from None
