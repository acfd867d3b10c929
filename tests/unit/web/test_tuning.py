"""The garbage collector runs while nobody waits."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from faceweb.pending import Waiters
from faceweb.tuning import collected_idle


@pytest.fixture(autouse=True)
def automatic_collection_off() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def _full_collections() -> int:
    return gc.get_stats()[2]["collections"]


async def _collections_while(waiters: Waiters) -> int:
    gc.collect()
    before = _full_collections()
    async with collected_idle(waiters, check_s=0.01):
        gc.collect(0)  # Leaves a count behind, as work does.
        await asyncio.sleep(0.1)
    return _full_collections() - before


def test_collects_once_after_work_when_no_request_is_in_hand() -> None:
    assert asyncio.run(_collections_while(Waiters(10))) == 1


def test_leaves_requests_in_hand_alone() -> None:
    waiters = Waiters(10)
    with ExitStack() as held:
        held.enter_context(waiters.place())
        assert asyncio.run(_collections_while(waiters)) == 0
