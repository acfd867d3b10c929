"""A running stack as its user sees it: a base URL and an AWS endpoint, whatever runs behind them."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
from facecore.aws import Aws
from facecore.queues import SqsQueue
from facecore.settings import AwsSettings

from support.ground import PATIENCE_S, until
from support.uploads import Upload

ANSWER_TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Answer:
    """What came back for an upload."""

    name: str
    status: int
    text: str
    seconds: float


@dataclass
class Fleet:
    """What a watcher saw of the app tier's instances."""

    running: list[int] = field(default_factory=list)
    """Instances pending or running, at each look."""
    existing: set[str] = field(default_factory=set)
    """Ids of all instances that were seen in any state but terminated."""


@dataclass
class Stack:
    """A stack to send photographs to."""

    web_url: str
    aws_url: str

    @cached_property
    def settings(self) -> AwsSettings:
        return AwsSettings(id="local", endpoint_url=self.aws_url)

    def client(self, service: str) -> Any:
        return Aws(self.settings).client(service)

    @cached_property
    def ec2(self) -> Any:
        return self.client("ec2")

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    def send(self, name: str, content: bytes) -> Answer:
        """Sends one photograph and waits for the answer."""
        return self.burst([Upload(name, content)])[0]

    def burst(self, uploads: Sequence[Upload]) -> list[Answer]:
        """Sends all photographs at once, a connection each, and waits for all answers."""
        return asyncio.run(self._burst(uploads))

    async def _burst(self, uploads: Sequence[Upload]) -> list[Answer]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(
            base_url=self.web_url, timeout=ANSWER_TIMEOUT_S, limits=limits, verify=False
        ) as client:
            return await asyncio.gather(*(self._send(client, upload) for upload in uploads))

    async def _send(self, client: httpx.AsyncClient, upload: Upload) -> Answer:
        start = time.monotonic()
        answer = await client.post("/", files={"inputFile": (upload.name, upload.content)})
        return Answer(upload.name, answer.status_code, answer.text, time.monotonic() - start)

    def instances(self, name: str = "app-tier-instance-*") -> list[dict[str, Any]]:
        """The instances of that name in any state but terminated."""
        filters = [
            {"Name": "tag:Name", "Values": [name]},
            {"Name": "tag:elastic-face:id", "Values": [self.settings.id]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=filters)
        return [i for page in pages for reservation in page["Reservations"] for i in reservation["Instances"]]

    def running(self) -> int:
        """How many instances of the app tier are pending or running."""
        return sum(i["State"]["Name"] in ("pending", "running") for i in self.instances())

    def wait_until_idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Waits until no instance of the app tier runs; raises AssertionError after `timeout_s`."""
        until(lambda: self.running() == 0, timeout_s, lambda: f"{self.running()} instances run", pause_s=0.2)

    def worker_logs(self) -> list[list[dict[str, Any]]]:
        """The log lines of each worker, from the first to the last; none where the machines cannot be reached."""
        return []

    @contextmanager
    def watched(self) -> Iterator[Fleet]:
        """Watches the fleet a few times a second while the block runs."""
        fleet, stop = Fleet(), threading.Event()
        ec2_of_watcher = Stack(self.web_url, self.aws_url)

        def watch() -> None:
            while not stop.wait(0.5):
                instances = ec2_of_watcher.instances()
                fleet.running.append(sum(i["State"]["Name"] in ("pending", "running") for i in instances))
                fleet.existing.update(i["InstanceId"] for i in instances)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield fleet
        finally:
            stop.set()
            thread.join()

    def depth(self, queue: str) -> int:
        """Messages in the queue, whatever their state."""
        return SqsQueue(self.client("sqs"), queue).depth().total

    def keys(self, bucket: str, prefix: str) -> set[str]:
        """Keys in the bucket that start with `prefix`."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}


def log_lines(text: str) -> list[dict[str, Any]]:
    """The lines that a program logged, in order; what its libraries printed between them is left out."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
