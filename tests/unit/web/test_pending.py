"""Requests awaiting a reply, by id."""

import asyncio
import uuid
from contextlib import ExitStack

import pytest
from facecore.errors import OverloadedError, UnavailableError
from faceweb.pending import REMEMBERED, Delivery, Pending
from hypothesis import given
from hypothesis import strategies as st
from support.fakes.web import reply, soon

IDS = [str(uuid.UUID(int=number)) for number in range(6)]


def test_a_reply_reaches_its_request_and_no_other() -> None:
    async def scenario() -> None:
        pending = Pending(10)
        with pending.expect(IDS[0]) as first, pending.expect(IDS[1]) as second:
            assert pending.deliver(reply(IDS[1], "Bob")) is Delivery.DELIVERED
            assert (await second).subject == "Bob"
            assert not first.done()
            assert pending.waiting == 2
        assert pending.waiting == 0

    soon(scenario())


def test_a_second_reply_is_a_duplicate_and_one_that_no_request_awaits_is_late() -> None:
    async def scenario() -> list[Delivery]:
        pending = Pending(10)
        with pending.expect(IDS[0]):
            deliveries = [pending.deliver(reply(IDS[0])) for _ in range(2)]
        return [*deliveries, pending.deliver(reply(IDS[0])), pending.deliver(reply(IDS[1]))]

    assert soon(scenario()) == [Delivery.DELIVERED, Delivery.DUPLICATE, Delivery.DUPLICATE, Delivery.LATE]


@given(st.lists(st.tuples(st.sampled_from(["expect", "leave", "reply"]), st.sampled_from(IDS)), max_size=40))
def test_each_wait_gets_at_most_one_reply_and_its_own(steps: list[tuple[str, str]]) -> None:
    async def scenario() -> None:
        pending, open_waits, answered = Pending(10), {}, set()
        for step, request_id in steps:
            if step == "expect" and request_id not in open_waits and request_id not in answered:
                stack = ExitStack()
                open_waits[request_id] = (stack, stack.enter_context(pending.expect(request_id)))
            elif step == "leave" and request_id in open_waits:
                open_waits.pop(request_id)[0].close()
            elif step == "reply":
                delivered = pending.deliver(reply(request_id)) is Delivery.DELIVERED
                assert delivered == (request_id in open_waits and request_id not in answered)
                answered |= {request_id} if delivered else set()
        assert pending.waiting == len(open_waits)
        assert all(future.done() == (request_id in answered) for request_id, (_, future) in open_waits.items())

    soon(scenario())


@given(st.integers(1, 20), st.integers(0, 40))
def test_never_more_in_hand_than_the_limit(limit: int, asked: int) -> None:
    pending = Pending(limit)
    with ExitStack() as places:
        for _ in range(min(limit, asked)):
            places.enter_context(pending.place())
        assert pending.in_hand == min(limit, asked)
        if asked > limit:
            with pytest.raises(OverloadedError), pending.place():
                pass
    assert pending.in_hand == 0


def test_closing_ends_every_wait_and_those_that_come_later() -> None:
    async def scenario() -> None:
        pending = Pending(10)
        with pending.expect(IDS[0]) as answered, pending.expect(IDS[1]) as waiting:
            pending.deliver(reply(IDS[0]))
            pending.close(UnavailableError("the program stops"))
            assert (await answered).subject == "Anna"
            with pytest.raises(UnavailableError):
                await waiting
        with pytest.raises(UnavailableError), pending.expect(IDS[2]):
            pass

    soon(scenario())


def test_the_memory_of_answered_requests_is_bounded() -> None:
    async def scenario() -> Delivery:
        pending = Pending(10)
        for number in range(REMEMBERED + 1):
            request_id = str(uuid.UUID(int=number))
            with pending.expect(request_id):
                pending.deliver(reply(request_id))
        await asyncio.sleep(0)
        return pending.deliver(reply(IDS[0]))

    assert soon(scenario()) is Delivery.LATE
