"""Fairness on the event loop."""

import asyncio

from faceweb.turns import Turns
from support.fakes.web import soon


def test_other_work_passes_between_the_turns() -> None:
    order: list[str] = []

    async def upload(turns: Turns) -> None:
        await turns.wait()
        order.append("upload")

    async def scenario() -> None:
        turns = Turns(starts_per_turn=2)
        uploads = [asyncio.create_task(upload(turns)) for _ in range(20)]
        while not order:  # noqa: ASYNC110
            await asyncio.sleep(0)
        order.append("health")
        await asyncio.gather(*uploads)

    soon(scenario())
    assert order.count("upload") == 20
    assert order.index("health") <= 4


def test_turns_come_in_order_and_leavers_are_passed_over() -> None:
    order: list[int] = []

    async def upload(turns: Turns, number: int) -> None:
        await turns.wait()
        order.append(number)

    async def scenario() -> None:
        turns = Turns(starts_per_turn=1)
        tasks = [asyncio.create_task(upload(turns, number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    soon(scenario())
    assert order == [0, 1, 3, 4]
