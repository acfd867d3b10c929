"""The garbage collector runs while no request is in hand."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from faceweb.concurrency import background
from faceweb.pending import Pending
from faceweb.tuning import collect_while_idle


@pytest.fixture(autouse=True)
def automatic_collection_off() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def _full_collections() -> int:
    return gc.get_stats()[2]["collections"]


async def _collections_while(pending: Pending) -> int:
    gc.collect()
    before = _full_collections()
    async with background(collect_while_idle(pending, check_s=0.01)):
        gc.collect(0)  # Leaves a count behind, as work does.
        await asyncio.sleep(0.1)
    return _full_collections() - before


def test_collects_once_after_work_when_no_request_is_in_hand() -> None:
    assert asyncio.run(_collections_while(Pending(10))) == 1


def test_does_not_collect_while_a_request_is_in_hand() -> None:
    pending = Pending(10)
    with ExitStack() as held:
        held.enter_context(pending.place())
        assert asyncio.run(_collections_while(pending)) == 0
