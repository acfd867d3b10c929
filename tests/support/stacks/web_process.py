"""The web tier as a process of its own, and a worker of a few lines that answers what it receives."""

import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from facecore.aws import Aws
from facecore.messages import Reply, Request
from facecore.objects import S3Bucket
from facecore.queues import SqsQueue
from facecore.settings import AwsSettings

from support.ground import PATIENCE_S, until

Answering = Callable[[Request], Reply]


def anna(request: Request) -> Reply:
    """Recognises each face as Anna."""
    return Reply(id=request.id, subject="Anna", error=None, distance=0.4, instance="i-1", timings={"embed": 0.1})


@dataclass
class Web:
    """A running web process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def post(self, name: str = "face.jpg", content: bytes = b"pixels") -> httpx.Response:
        """The response to an upload."""
        return httpx.post(self.url, files={"inputFile": (name, content)}, timeout=PATIENCE_S)

    def get(self, path: str) -> httpx.Response:
        """The response to a GET."""
        return httpx.get(self.url + path, timeout=PATIENCE_S)

    def figure(self, name: str) -> float:
        """A figure of /metrics, by its name with its labels; 0 where it is not there yet."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0

    def resident_mib(self) -> float:
        """Memory that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024

    def until(self, name: str, value: float) -> None:
        """Waits for a figure to become `value`."""
        until(lambda: self.figure(name) == value, failure=lambda: f"{name} is {self.figure(name)}, not {value}")


@contextmanager
def running(settings: AwsSettings, log: Path, access_key: str = "test", **variables: object) -> Iterator[Web]:
    """A web process on a free port, which calls AWS with that key; it is gone afterwards."""
    environment = os.environ | {"EFACE_ID": settings.id, "AWS_ENDPOINT_URL": str(settings.endpoint_url)}
    environment |= {"AWS_ACCESS_KEY_ID": access_key, "EFACE_PORT": "0"}
    environment |= {f"EFACE_{name.upper()}": str(value) for name, value in variables.items()}
    with log.open("w") as stream:
        process = subprocess.Popen([sys.executable, "-m", "faceweb"], env=environment, stderr=stream)
    try:
        yield Web(process, _port(process, log), log)
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    def started() -> bool:
        assert process.poll() is None, log.read_text()
        return "startup complete" in log.read_text()

    until(started, failure=lambda: f"the web tier did not start:\n{log.read_text()}")
    return int(re.findall(r'"port": (\d+)', log.read_text())[0])


class Cloud:
    """A deployment's queues and in-bucket, as a worker sees them."""

    def __init__(self, settings: AwsSettings) -> None:
        aws = Aws(settings)
        self._sqs = sqs = aws.client("sqs", read_timeout_s=30)
        self.requests = SqsQueue(sqs, settings.request_queue)
        self.replies = SqsQueue(sqs, settings.response_queue)
        self.images = S3Bucket(aws.client("s3"), settings.in_bucket)

    def create(self, queue: str) -> SqsQueue:
        """A queue that was not there."""
        self._sqs.create_queue(QueueName=queue)
        return SqsQueue(self._sqs, queue)

    def take(self, count: int = 1) -> list[Request]:
        """The next `count` requests, deleted from their queue."""
        taken: list[Request] = []
        while len(taken) < count:
            messages = self.requests.receive(max_messages=10, wait_s=10)
            assert messages, f"only {len(taken)} of {count} requests came"
            self.requests.delete([message.receipt for message in messages])
            taken += [Request.decode(message.body) for message in messages]
        return taken

    @contextmanager
    def answering(self, answer: Answering = anna) -> Iterator[None]:
        """A worker in a thread."""
        stopped = threading.Event()

        def work() -> None:
            while not stopped.is_set():
                for message in self.requests.receive(max_messages=10, wait_s=1):
                    self.replies.send(answer(Request.decode(message.body)).encode())
                    self.requests.delete([message.receipt])

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(PATIENCE_S)


def raw_post(port: int, body: bytes, *, chunked: bool, path: str = "/") -> tuple[int, str]:
    """Status and body, as seen by a client that sends everything before it reads anything."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
    headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
    connection.request("POST", path, pieces if chunked else body, headers, encode_chunked=chunked)
    response = connection.getresponse()
    return response.status, response.read().decode()
