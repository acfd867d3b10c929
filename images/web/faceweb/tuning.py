"""The interpreter's settings that keep pauses of the event loop short while many uploads are handed to AWS."""

import asyncio
import gc
import sys

from faceweb.pending import Pending

# A fifth of CPython's default: each time the event loop wakes up, it may wait this long for every busy thread.
GIL_SWITCH_INTERVAL_S = 0.001
# Each collection but a full one walks 20,000 objects at most. A request in hand holds about 700.
GC_THRESHOLDS = (2_000, 10, 100)
IDLE_CHECK_S = 10.0


def favour_event_loop() -> None:
    """Sets the interpreter up for a process whose event loop must not wait."""
    gc.collect()
    # Else each full collection walks boto3's object graph, which takes 0.5 s.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(GIL_SWITCH_INTERVAL_S)


async def collect_while_idle(pending: Pending, check_s: float = IDLE_CHECK_S) -> None:
    """Makes full collections while no request is in hand, until it is cancelled."""
    # A full collection walks what requests in hand hold, 80 ms for 500 of them, whichever thread makes it.
    while True:
        await asyncio.sleep(check_s)
        _, middle, old = gc.get_count()
        if not pending.in_hand and middle + old:
            gc.collect()
