"""A request's way through AWS, where the client leaves at the wrong moment."""

import asyncio
import uuid

import pytest
from facecore.errors import UnavailableError
from facecore.messages import Reply
from faceweb.concurrency import DaemonThreads
from faceweb.pending import Waiters
from faceweb.spool import MemoryBudget, Spool
from faceweb.upload import Upload
from faceweb.workers import ClientGoneError, Exchange
from support.fakes.web import FakeInbox, FakeOutbox, FakeStore, reached, soon

ID = str(uuid.uuid4())


class Bench:
    """An exchange among fakes, with one photograph."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.outbox = FakeOutbox(FakeInbox(), lambda _request: [])
        self.waiters = Waiters(10)
        self.budget = MemoryBudget()
        self.exchange = Exchange(
            store=self.store,
            outbox=self.outbox,
            waiters=self.waiters,
            threads=DaemonThreads(1, "aws"),
            reply_to="q",
            result_timeout_s=10,
        )

    async def ask(self, gone: "asyncio.Future[None]") -> Reply:
        spool = Spool(self.budget)
        await spool.write(b"pixels")
        return await self.exchange.ask(ID, Upload("face.jpg", spool), gone)


def test_nothing_is_sent_for_a_client_that_left_while_its_photograph_was_stored() -> None:
    async def scenario() -> None:
        bench = Bench()
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.set_result(None)
        with pytest.raises(ClientGoneError):
            await bench.ask(gone)
        assert bench.outbox.sent == []

    soon(scenario())


def test_no_bytes_of_the_photograph_are_held_while_it_waits() -> None:
    async def scenario() -> None:
        bench = Bench()
        asking = asyncio.create_task(bench.ask(asyncio.get_running_loop().create_future()))
        await reached(lambda: bench.waiters.waiting == 1)
        assert bench.budget.taken_bytes == 0
        asking.cancel()

    soon(scenario())


def test_whoever_waits_when_the_program_stops_is_told() -> None:
    async def scenario() -> None:
        bench = Bench()
        asking = asyncio.create_task(bench.ask(asyncio.get_running_loop().create_future()))
        await reached(lambda: len(bench.outbox.sent) == 1)
        bench.waiters.close(UnavailableError("the program stops"))
        with pytest.raises(UnavailableError):
            await asking

    soon(scenario())
