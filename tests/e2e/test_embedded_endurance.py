"""What only shows over many requests: workers that live on, memory that stays, requests that are all held."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from support.bad_images import strange_files
from support.ground import until
from support.stacks.embedded import EmbeddedStack
from support.uploads import Upload

pytestmark = pytest.mark.alone

HELD = 500
MIB = 1024 * 1024
GROWTH_LIMIT_BYTES = 50 * MIB
WEB_LIMIT_BYTES = 250 * MIB


@dataclass
class Seen:
    """What a watcher saw of the web tier, at each look."""

    rss_bytes: list[int] = field(default_factory=list)
    health: list[int] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)


@contextmanager
def _watched(stack: EmbeddedStack) -> Iterator[Seen]:
    seen, stop, web = Seen(), threading.Event(), stack.process("web")

    def watch() -> None:
        while not stop.wait(0.2):
            seen.rss_bytes.append(web.memory_info().rss)
            seen.health.append(httpx.get(f"{stack.web_url}/healthz", timeout=10).status_code)
            lines = httpx.get(f"{stack.web_url}/metrics", timeout=10).text.splitlines()
            seen.waiting += [float(line.split()[1]) for line in lines if line.startswith("elastic_face_web_waiting ")]

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_200_strange_files_in_a_row_get_their_statuses_and_leave_no_mark(embedded_stack: EmbeddedStack) -> None:
    stack = embedded_stack
    stack.wait_until_idle()
    # Made before: the worker whose memory is measured ends where it waits 5 s for the next one.
    warm_up, row = list(strange_files(32, seed=1)), list(strange_files(200, seed=2))
    for upload, _ in warm_up:
        stack.send(upload.name, upload.content)
    web, (worker,) = stack.process("web"), stack.workers().values()
    before = [process.memory_info().rss for process in (web, worker)]
    for upload, status in row:
        answer = stack.send(upload.name, upload.content)
        assert (upload.name, answer.status) == (upload.name, status), answer.text
    after = [process.memory_info().rss for process in (web, worker)]
    assert all(new - old < GROWTH_LIMIT_BYTES for old, new in zip(before, after, strict=True)), (before, after)
    assert stack.depth(stack.settings.dead_queue) == 0


def test_500_requests_held_at_once_are_all_answered(fragile: EmbeddedStack) -> None:
    fragile.wait_until_idle()
    uploads = [Upload(f"held-{i:03}.jpg", b"any bytes will do") for i in range(HELD)]
    with _watched(fragile) as seen, ThreadPoolExecutor(1) as pool, _no_machine_boots(fragile):
        pending = pool.submit(fragile.burst, uploads)
        until(lambda: max(seen.waiting, default=0) == HELD, failure=lambda: f"held at most {max(seen.waiting)}")
    assert [answer.text for answer in pending.result()] == [f"{upload.name}:unknown" for upload in uploads]
    assert max(seen.rss_bytes) < WEB_LIMIT_BYTES
    assert set(seen.health) == {200}


@contextmanager
def _no_machine_boots(stack: EmbeddedStack) -> Iterator[None]:
    hypervisor = stack.process("hypervisor")
    hypervisor.suspend()
    try:
        yield
    finally:
        hypervisor.resume()
