"""A queue: send, long poll, delete in batches, extend, and its depth. `SqsQueue` is the one on AWS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from facecore.aws import translated
from facecore.errors import DepthUnknownError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_BATCH = 10
"""Messages that one ReceiveMessage or DeleteMessageBatch takes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One received message."""

    body: str
    receipt: str
    receive_count: int
    """How often the message has been received, this time included."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds, as SQS approximates it."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All of them: the demand."""
        return self.visible + self.in_flight + self.delayed


class Queue(Protocol):
    """What the programs use of a queue. Every method raises the AWS errors of `facecore.errors`."""

    name: str

    def send(self, body: str) -> None:
        """Appends a message."""

    def receive(self, *, max_messages: int = 1, wait_s: int = 0, visibility_s: int | None = None) -> list[Message]:
        """Up to `max_messages` (1 to 10), waiting up to `wait_s` (0 to 20) for the first of them.

        They stay hidden for `visibility_s` seconds, or as long as the queue's own setting says.
        """

    def delete(self, receipts: Sequence[str]) -> None:
        """Deletes received messages; raises UnavailableError if some of them stay."""

    def extend(self, receipt: str, visibility_s: int) -> None:
        """Keeps a received message hidden for `visibility_s` seconds from now."""

    def depth(self) -> Depth:
        """The queue's depth; raises DepthUnknownError if a number is missing."""


class SqsQueue:
    """A queue of SQS, by name. See Queue."""

    def __init__(self, client: SQSClient, name: str) -> None:
        self._client = client
        self.name = name

    @cached_property
    def url(self) -> str:
        """The queue's URL, asked for once."""
        with translated(f"look up the queue {self.name}"):
            return self._client.get_queue_url(QueueName=self.name)["QueueUrl"]

    def send(self, body: str) -> None:
        """See Queue."""
        with translated(f"send to the queue {self.name}"):
            self._client.send_message(QueueUrl=self.url, MessageBody=body)

    def receive(self, *, max_messages: int = 1, wait_s: int = 0, visibility_s: int | None = None) -> list[Message]:
        """See Queue."""
        hidden = {} if visibility_s is None else {"VisibilityTimeout": visibility_s}
        with translated(f"receive from the queue {self.name}"):
            answer = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=max_messages,
                WaitTimeSeconds=wait_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                **hidden,  # type: ignore[arg-type]
            )
        return [
            Message(
                body=message["Body"],
                receipt=message["ReceiptHandle"],
                receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
            )
            for message in answer.get("Messages", [])
        ]

    def delete(self, receipts: Sequence[str]) -> None:
        """See Queue. Ten messages to a call."""
        for start in range(0, len(receipts), MAX_BATCH):
            batch = receipts[start : start + MAX_BATCH]
            with translated(f"delete from the queue {self.name}"):
                answer = self._client.delete_message_batch(
                    QueueUrl=self.url,
                    Entries=[{"Id": str(i), "ReceiptHandle": receipt} for i, receipt in enumerate(batch)],
                )
            if failed := answer.get("Failed"):
                # Such a batch is an answer without an error.
                raise UnavailableError(f"{len(failed)} messages stay in the queue {self.name}: {failed}")

    def extend(self, receipt: str, visibility_s: int) -> None:
        """See Queue."""
        with translated(f"extend a message of the queue {self.name}"):
            self._client.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=visibility_s
            )

    def depth(self) -> Depth:
        """See Queue."""
        with translated(f"read the depth of the queue {self.name}"):
            attributes = self._client.get_queue_attributes(
                QueueUrl=self.url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            ).get("Attributes", {})
        try:
            return Depth(
                visible=int(attributes["ApproximateNumberOfMessages"]),
                in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
                delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
            )
        except (KeyError, ValueError) as error:
            raise DepthUnknownError(f"the queue {self.name} did not give its depth: {attributes}") from error
