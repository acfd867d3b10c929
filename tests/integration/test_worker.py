"""The worker as a process of its own, against the emulator: answers, signals, kills and poison."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from facecore.aws import Aws
from facecore.messages import Reply, Request
from facecore.objects import S3Bucket
from facecore.queues import SqsQueue
from facecore.settings import AwsSettings
from support.fakes.crashing_worker import SLOW_S
from support.ground import PATIENCE_S, TESTS, free_port, until

CRASHING = [str(TESTS / "support/fakes/crashing_worker.py")]


class Site:
    """One deployment, asked as the web tier does and worked on by real workers."""

    def __init__(self, settings: AwsSettings, log_folder: Path) -> None:
        self._settings = settings
        self._log_folder = log_folder
        aws = Aws(settings)
        self.s3, sqs = aws.client("s3"), aws.client("sqs")
        self.requests, self.dead = SqsQueue(sqs, settings.request_queue), SqsQueue(sqs, settings.dead_queue)
        self._replies = SqsQueue(sqs, settings.response_queue)
        self._images, self._results = S3Bucket(self.s3, settings.in_bucket), S3Bucket(self.s3, settings.out_bucket)
        self.processes: list[subprocess.Popen[bytes]] = []

    def ask(self, image: bytes = b"image", key: str = "face.jpg") -> str:
        """Sends a request and returns its id."""
        version = self._images.put(key, image)
        request = Request(str(uuid.uuid4()), key, version, self._settings.response_queue, sent_at=time.time())
        self.requests.send(request.encode())
        return request.id

    def start(self, program: list[str] | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """A worker process; the no-op one unless `program` says otherwise."""
        environment = os.environ | {
            "EFACE_ID": self._settings.id,
            "AWS_ENDPOINT_URL": str(self._settings.endpoint_url),
            "EFACE_MODEL": "noop",
            "EFACE_INSTANCE_ID": "i-1",
            "EFACE_IDLE_S": "1",
            "EFACE_VISIBILITY_S": "2",
            **environ,
        }
        with (self._log_folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *(program or ["-m", "faceworker"])], env=environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def work(self, program: list[str] | None = None, **environ: str) -> int:
        """Runs a worker to its end and returns its exit status."""
        return self.start(program, **environ).wait(PATIENCE_S)

    def logged(self, number: int = 0) -> list[dict[str, object]]:
        """The log lines of the worker that was started as the `number`-th."""
        return [json.loads(line) for line in (self._log_folder / f"{number}.log").read_text().splitlines()]

    def answered(self) -> list[Reply]:
        """All replies that have arrived."""
        received = []
        while messages := self._replies.receive(max_messages=10):
            received += messages
        return [Reply.decode(message.body) for message in received]

    def stored(self, key: str = "face.jpg") -> str:
        return self._results.get(key, max_bytes=1000).content.decode()


@pytest.fixture
def site(deployment: AwsSettings, tmp_path: Path) -> Iterator[Site]:
    """A deployment whose workers end with the test."""
    site = Site(deployment, tmp_path)
    yield site
    for process in site.processes:
        process.kill()
        process.wait()


def test_requests_are_answered_and_the_idle_worker_ends_with_0(site: Site) -> None:
    ids = {site.ask(key=f"face-{number}.jpg") for number in range(5)}
    assert site.work() == 0
    replies = site.answered()
    assert {reply.id for reply in replies} == ids
    assert {(reply.subject, reply.error, reply.instance) for reply in replies} == {(None, None, "i-1")}
    assert site.stored("face-4.jpg") == "unknown"
    assert (site.requests.depth().total, site.dead.depth().total) == (0, 0)


def test_the_stored_prediction_names_its_request(site: Site) -> None:
    request_id = site.ask()
    site.work()
    bucket = site._results.name
    head = site.s3.head_object(Bucket=bucket, Key="face.jpg")
    assert head["Metadata"] == {"request-id": request_id}
    assert head["ContentType"].startswith("text/plain")


def test_the_log_is_json_with_one_line_an_answer(site: Site) -> None:
    request_id = site.ask()
    site.work()
    assert [line["event"] for line in site.logged()] == ["settings", "started", "answered", "idle"]
    answered = site.logged()[2]
    assert (answered["request_id"], answered["kind"], answered["instance_id"]) == (request_id, "unknown", "i-1")


def test_a_stop_finishes_the_request_in_hand(site: Site) -> None:
    request_id = site.ask(b"SLOW")
    worker = site.start(CRASHING)
    until(lambda: site.requests.depth().in_flight)
    site.ask(b"next")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 0
    assert [reply.id for reply in site.answered()] == [request_id]
    assert site.requests.depth().total == 1


@pytest.mark.alone
def test_a_slow_request_is_hidden_as_long_as_it_takes(site: Site) -> None:
    assert SLOW_S > 2
    site.ask(b"SLOW")
    worker = site.start(CRASHING)
    until(lambda: site.requests.depth().in_flight)
    assert site.work(EFACE_IDLE_S="3") == 0
    assert worker.wait(PATIENCE_S) == 0
    assert len(site.answered()) == 1


def test_the_request_of_a_killed_worker_is_answered_by_another(site: Site) -> None:
    request_id = site.ask(b"SLOW")
    worker = site.start(CRASHING)
    until(lambda: site.requests.depth().in_flight)
    worker.kill()
    worker.wait()
    assert site.work(EFACE_IDLE_S="5") == 0
    assert [reply.id for reply in site.answered()] == [request_id]


def test_a_hung_request_ends_its_worker_and_is_answered_by_another(site: Site) -> None:
    request_id = site.ask(b"HANG")
    assert site.work(CRASHING, EFACE_REQUEST_LIMIT_S="1") == 1
    assert site.work(EFACE_IDLE_S="5") == 0
    assert [reply.id for reply in site.answered()] == [request_id]
    assert [line["event"] for line in site.logged()] == ["settings", "started", "request_hung"]


@pytest.mark.parametrize(("image", "status"), [(b"CRASH", -signal.SIGABRT), (b"BUG", 1)])
def test_a_crashing_request_is_dead_after_three_receives_and_others_pass(site: Site, image: bytes, status: int) -> None:
    site.ask(image)
    other = site.ask(b"other")
    statuses: list[int] = []
    while not site.dead.depth().total:
        assert len(statuses) < 10
        statuses.append(site.work(CRASHING, EFACE_IDLE_S="3"))
    assert statuses.count(status) == 3
    assert [reply.id for reply in site.answered()] == [other]


def test_metrics_are_served_where_a_port_is_given(site: Site) -> None:
    port = free_port()
    site.ask(b"image")
    site.start(EFACE_METRICS_PORT=str(port), EFACE_IDLE_S="20")
    until(site.answered)

    def counted() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return b'elastic_face_worker_answered_total{kind="unknown"} 1.0' in answer.read()

    until(counted)


def test_a_message_that_cannot_be_read_is_dead_after_three_receives(site: Site) -> None:
    site.requests.send("no request")
    assert site.work(EFACE_IDLE_S="3") == 0
    assert site.dead.depth().total == 1
    refusals = [line for line in site.logged() if line["event"] == "message_refused"]
    assert [line["receive_count"] for line in refusals] == [1, 2, 3]


def test_without_a_gallery_the_start_fails_in_one_clear_line(site: Site) -> None:
    assert site.work(EFACE_MODEL="auto") == 1
    (_settings, line) = site.logged()
    assert line["error_type"] == "GalleryError"
    assert "gallery.npz" in str(line["error"])
