"""Keeps pauses of the event loop short while many uploads are handed to AWS."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from faceweb.pending import Waiters

GIL_SWITCH_INTERVAL_S = 0.001
"""A fifth of CPython's default: each time the event loop wakes up, it may have to wait this long for every thread."""
GC_THRESHOLDS = (2_000, 10, 100)
"""Each collection but a full one walks 20,000 objects at most. A request in hand holds about 700."""
IDLE_CHECK_S = 10.0


def favour_event_loop() -> None:
    """Sets the interpreter up for a process whose event loop must not wait.

    By default the garbage collector walks boto3's whole object graph during a burst, 0.5 s at a time: what exists now
    is set aside. Walking what 500 requests in hand hold takes 80 ms, whichever thread does it: see `collected_idle`.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(GIL_SWITCH_INTERVAL_S)


@asynccontextmanager
async def collected_idle(waiters: Waiters, check_s: float = IDLE_CHECK_S) -> AsyncIterator[None]:
    """Makes full collections while no request is in hand, for as long as the context lasts."""
    task = asyncio.create_task(_collect(waiters, check_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _collect(waiters: Waiters, check_s: float) -> None:
    while True:
        await asyncio.sleep(check_s)
        _, middle, old = gc.get_count()
        if not waiters.in_hand and middle + old:
            gc.collect()
