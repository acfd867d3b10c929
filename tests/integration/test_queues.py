"""Queues: one contract, kept by SQS as the emulator has it and by the fake that unit tests and the simulator use."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from facecore.aws import Aws
from facecore.errors import DepthUnknownError, NotFoundError, RefusedError, UnavailableError
from facecore.queues import Depth, SqsQueue
from facecore.settings import AwsSettings
from support.fakes.aws import FakeQueue
from support.fakes.clock import Clock


@dataclass
class Contract:
    """A queue, its dead queue, and how time passes for both."""

    queue: SqsQueue | FakeQueue
    dead: SqsQueue | FakeQueue
    sleep: Callable[[float], None]


@pytest.fixture(params=["sqs", "fake"])
def contract(request: pytest.FixtureRequest) -> Contract:
    """The same contract twice."""
    if request.param == "fake":
        clock = Clock()
        dead = FakeQueue("dead", clock)
        return Contract(FakeQueue("requests", clock, dead=dead), dead, clock.sleep)
    settings: AwsSettings = request.getfixturevalue("deployment")
    sqs = Aws(settings).client("sqs")
    return Contract(SqsQueue(sqs, settings.request_queue), SqsQueue(sqs, settings.dead_queue), time.sleep)


def test_a_message_arrives_once_and_is_deleted(contract: Contract) -> None:
    contract.queue.send("héllo")
    (message,) = contract.queue.receive(wait_s=1)
    assert (message.body, message.receive_count) == ("héllo", 1)
    assert contract.queue.receive() == []
    assert contract.queue.depth() == Depth(visible=0, in_flight=1, delayed=0)
    contract.queue.delete([message.receipt])
    assert contract.queue.depth().total == 0


def test_a_message_that_is_not_deleted_comes_again(contract: Contract) -> None:
    contract.queue.send("work")
    contract.queue.receive(visibility_s=1)
    contract.sleep(1.2)
    (again,) = contract.queue.receive()
    assert (again.body, again.receive_count) == ("work", 2)


def test_an_extended_message_stays_hidden(contract: Contract) -> None:
    contract.queue.send("long work")
    # Two seconds, so that a loaded machine still extends it in time.
    (message,) = contract.queue.receive(visibility_s=2)
    contract.queue.extend(message.receipt, 30)
    contract.sleep(2.2)
    assert contract.queue.receive() == []
    assert contract.queue.depth().in_flight == 1


def test_after_three_receives_a_message_is_dead(contract: Contract) -> None:
    contract.queue.send("poison")
    for count in (1, 2, 3):
        (message,) = contract.queue.receive(visibility_s=1)
        assert message.receive_count == count
        contract.sleep(1.2)
    assert contract.queue.receive() == []
    assert (contract.queue.depth().total, contract.dead.depth().total) == (0, 1)


def test_more_than_a_batch_is_deleted(contract: Contract) -> None:
    for number in range(23):
        contract.queue.send(str(number))
    receipts: dict[str, str] = {}
    while len(receipts) < 23:
        receipts |= {message.body: message.receipt for message in contract.queue.receive(max_messages=10)}
    contract.queue.delete(list(receipts.values()))
    assert contract.queue.depth().total == 0


def test_a_message_over_the_limit_is_refused(contract: Contract) -> None:
    # Of one byte each: the emulator counts characters where SQS counts bytes.
    contract.queue.send("x" * 1024)
    with pytest.raises(RefusedError):
        contract.queue.send("x" * 1025)


def test_an_empty_poll_brings_nothing(contract: Contract) -> None:
    assert contract.queue.receive(max_messages=10, wait_s=1) == []


def test_a_poll_waits_for_a_message_that_comes_back(contract: Contract) -> None:
    contract.queue.send("work")
    contract.queue.receive(visibility_s=1)
    (again,) = contract.queue.receive(wait_s=5)
    assert again.receive_count == 2


def test_a_message_is_deleted_after_its_timeout_too(contract: Contract) -> None:
    contract.queue.send("slow work")
    (message,) = contract.queue.receive(visibility_s=1)
    contract.sleep(1.2)
    contract.queue.delete([message.receipt])
    assert contract.queue.depth().total == 0


@pytest.mark.parametrize("count", [0, 11])
def test_a_poll_takes_one_to_ten_messages(contract: Contract, count: int) -> None:
    with pytest.raises(RefusedError):
        contract.queue.receive(max_messages=count)


def test_a_receipt_that_is_none_is_an_error(contract: Contract) -> None:
    with pytest.raises(RefusedError):
        contract.queue.extend("a receipt", 5)
    with pytest.raises(UnavailableError, match="1 messages stay"):
        contract.queue.delete(["a receipt"])


@pytest.mark.parametrize(
    "contract",
    [pytest.param("sqs", marks=pytest.mark.xfail(strict=True, reason="moto 5.2 hides it again")), "fake"],
    indirect=True,
)
def test_a_message_whose_timeout_is_over_cannot_be_extended(contract: Contract) -> None:
    contract.queue.send("slow work")
    (message,) = contract.queue.receive(visibility_s=1)
    contract.sleep(1.2)
    with pytest.raises(RefusedError):
        contract.queue.extend(message.receipt, 30)


def test_deleting_nothing_makes_no_call(contract: Contract) -> None:
    contract.queue.delete([])
    assert contract.queue.depth().total == 0


def test_a_queue_that_does_not_exist_is_not_found(deployment: AwsSettings) -> None:
    queue = SqsQueue(Aws(deployment).client("sqs"), "no-such-queue")
    for call in (queue.receive, queue.depth, lambda: queue.send("x"), lambda: queue.delete(["x"])):
        with pytest.raises(NotFoundError, match="no-such-queue"):
            call()


def test_a_message_that_cannot_be_deleted_is_an_error(deployment: AwsSettings) -> None:
    queue = SqsQueue(PartialSqs(Aws(deployment).client("sqs")), deployment.request_queue)
    with pytest.raises(UnavailableError, match="1 messages stay"):
        queue.delete(["receipt"])


def test_a_depth_with_a_number_missing_is_unknown(deployment: AwsSettings) -> None:
    queue = SqsQueue(PartialSqs(Aws(deployment).client("sqs")), deployment.request_queue)
    with pytest.raises(DepthUnknownError, match=deployment.request_queue):
        queue.depth()


class PartialSqs:
    """SQS that does part of what it is asked, as the service may: the emulator never does."""

    def __init__(self, sqs: object) -> None:
        self.get_queue_url = sqs.get_queue_url

    def delete_message_batch(self, **_arguments: object) -> dict[str, object]:
        return {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError"}]}

    def get_queue_attributes(self, **_arguments: object) -> dict[str, object]:
        return {"Attributes": {"ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesDelayed": "0"}}
