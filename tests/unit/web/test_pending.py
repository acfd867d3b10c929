"""Who waits for which reply."""

import asyncio
import uuid
from contextlib import ExitStack

import pytest
from facecore.errors import OverloadedError, UnavailableError
from faceweb.pending import REMEMBERED, Fate, Waiters
from hypothesis import given
from hypothesis import strategies as st
from support.fakes.web import reply, soon

IDS = [str(uuid.UUID(int=number)) for number in range(6)]


def test_a_reply_reaches_the_one_who_waits_and_nobody_else() -> None:
    async def scenario() -> None:
        waiters = Waiters(10)
        with waiters.expect(IDS[0]) as first, waiters.expect(IDS[1]) as second:
            assert waiters.deliver(reply(IDS[1], "Bob")) is Fate.DELIVERED
            assert (await second).subject == "Bob"
            assert not first.done()
            assert waiters.waiting == 2
        assert waiters.waiting == 0

    soon(scenario())


def test_a_reply_to_an_answered_request_is_a_duplicate_and_one_that_nobody_awaits_is_late() -> None:
    async def scenario() -> list[Fate]:
        waiters = Waiters(10)
        with waiters.expect(IDS[0]):
            fates = [waiters.deliver(reply(IDS[0])) for _ in range(2)]
        return [*fates, waiters.deliver(reply(IDS[0])), waiters.deliver(reply(IDS[1]))]

    assert soon(scenario()) == [Fate.DELIVERED, Fate.DUPLICATE, Fate.DUPLICATE, Fate.LATE]


@given(st.lists(st.tuples(st.sampled_from(["expect", "leave", "reply"]), st.sampled_from(IDS)), max_size=40))
def test_each_wait_gets_at_most_one_reply_and_its_own(steps: list[tuple[str, str]]) -> None:
    async def scenario() -> None:
        waiters, open_waits, answered = Waiters(10), {}, set()
        for step, request_id in steps:
            if step == "expect" and request_id not in open_waits and request_id not in answered:
                stack = ExitStack()
                open_waits[request_id] = (stack, stack.enter_context(waiters.expect(request_id)))
            elif step == "leave" and request_id in open_waits:
                open_waits.pop(request_id)[0].close()
            elif step == "reply":
                delivered = waiters.deliver(reply(request_id)) is Fate.DELIVERED
                assert delivered == (request_id in open_waits and request_id not in answered)
                answered |= {request_id} if delivered else set()
        assert waiters.waiting == len(open_waits)
        assert all(future.done() == (request_id in answered) for request_id, (_, future) in open_waits.items())

    soon(scenario())


@given(st.integers(1, 20), st.integers(0, 40))
def test_never_more_in_hand_than_the_limit(limit: int, asked: int) -> None:
    waiters = Waiters(limit)
    with ExitStack() as places:
        for _ in range(min(limit, asked)):
            places.enter_context(waiters.place())
        assert waiters.in_hand == min(limit, asked)
        if asked > limit:
            with pytest.raises(OverloadedError), waiters.place():
                pass
    assert waiters.in_hand == 0


def test_closing_ends_every_wait_and_those_that_come_later() -> None:
    async def scenario() -> None:
        waiters = Waiters(10)
        with waiters.expect(IDS[0]) as answered, waiters.expect(IDS[1]) as waiting:
            waiters.deliver(reply(IDS[0]))
            waiters.close(UnavailableError("the program stops"))
            assert (await answered).subject == "Anna"
            with pytest.raises(UnavailableError):
                await waiting
        with pytest.raises(UnavailableError), waiters.expect(IDS[2]):
            pass

    soon(scenario())


def test_the_memory_of_answered_requests_is_bounded() -> None:
    async def scenario() -> Fate:
        waiters = Waiters(10)
        for number in range(REMEMBERED + 1):
            request_id = str(uuid.UUID(int=number))
            with waiters.expect(request_id):
                waiters.deliver(reply(request_id))
        await asyncio.sleep(0)
        return waiters.deliver(reply(IDS[0]))

    assert soon(scenario()) is Fate.LATE
