"""The way to the workers and back, where the client leaves at the wrong moment."""

import asyncio
import uuid

import pytest
from facecore.errors import UnavailableError
from facecore.messages import Reply
from faceweb.concurrency import DaemonThreads
from faceweb.pending import Pending
from faceweb.spool import MemoryBudget, Spool
from faceweb.upload import Upload
from faceweb.workers import ClientGoneError, Workers
from support.fakes.aws import Journal
from support.fakes.web import SharedBucket, SharedQueue, reached, soon

ID = str(uuid.uuid4())


class Bench:
    """The workers' side among fakes, with one upload."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.pending = Pending(10)
        self.budget = MemoryBudget()
        self.workers = Workers(
            images=SharedBucket("images", self.journal),
            requests=SharedQueue("requests", self.journal),
            reply_to="replies",
            pending=self.pending,
            threads=DaemonThreads(1, "aws"),
            result_timeout_s=10,
        )

    async def ask(self, gone: "asyncio.Future[None]") -> Reply:
        spool = Spool(self.budget)
        await spool.write(b"pixels")
        return await self.workers.ask(ID, Upload("face.jpg", spool), gone)


def test_nothing_is_sent_for_a_client_that_left_while_its_image_was_stored() -> None:
    async def scenario() -> None:
        bench = Bench()
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.set_result(None)
        with pytest.raises(ClientGoneError):
            await bench.ask(gone)
        assert bench.journal.steps == ["put"]

    soon(scenario())


def test_no_bytes_of_the_image_are_held_while_it_waits() -> None:
    async def scenario() -> None:
        bench = Bench()
        asking = asyncio.create_task(bench.ask(asyncio.get_running_loop().create_future()))
        await reached(lambda: bench.pending.waiting == 1)
        assert bench.budget.taken_bytes == 0
        asking.cancel()

    soon(scenario())


def test_a_request_that_waits_when_the_program_stops_ends_with_its_error() -> None:
    async def scenario() -> None:
        bench = Bench()
        asking = asyncio.create_task(bench.ask(asyncio.get_running_loop().create_future()))
        await reached(lambda: bench.journal.steps == ["put", "send"])
        bench.pending.close(UnavailableError("the program stops"))
        with pytest.raises(UnavailableError):
            await asking

    soon(scenario())


def test_a_request_awaits_its_reply_before_its_message_is_sent() -> None:
    async def scenario() -> list[tuple[str, int]]:
        bench, seen = Bench(), list[tuple[str, int]]()
        bench.journal.before = lambda step: seen.append((step, bench.pending.waiting))
        asking = asyncio.create_task(bench.ask(asyncio.get_running_loop().create_future()))
        await reached(lambda: len(seen) == 2)
        asking.cancel()
        return seen

    assert soon(scenario()) == [("put", 0), ("send", 1)]
