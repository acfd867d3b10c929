"""Where an upload lies: in memory within limits, else on disk."""

import asyncio

from faceweb.spool import MAX_IN_MEMORY_BYTES, MemoryBudget, Spool
from hypothesis import given
from hypothesis import strategies as st


def filled(spool: Spool, *pieces: bytes) -> Spool:
    async def fill() -> None:
        for piece in pieces:
            await spool.write(piece)

    asyncio.run(fill())
    return spool


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(0, 200))
def test_what_is_read_is_what_was_written_wherever_it_lies(pieces: list[bytes], limit_bytes: int) -> None:
    budget = MemoryBudget(limit_bytes)
    spool = filled(Spool(budget), *pieces)
    assert spool.content.read() == spool.content.read() == b"".join(pieces)
    assert spool.size_bytes == len(b"".join(pieces))
    assert 0 <= budget.taken_bytes <= limit_bytes
    spool.close()
    assert budget.taken_bytes == 0


def test_a_small_upload_counts_against_the_budget_until_it_is_closed() -> None:
    budget = MemoryBudget()
    spool = filled(Spool(budget), b"x" * 1000)
    assert budget.taken_bytes == 1000
    spool.close()
    spool.close()
    assert budget.taken_bytes == 0


def test_an_upload_over_the_threshold_leaves_the_memory() -> None:
    budget = MemoryBudget()
    spool = filled(Spool(budget), b"x" * MAX_IN_MEMORY_BYTES, b"y", b"z")
    assert budget.taken_bytes == 0
    assert spool.content.read()[-3:] == b"xyz"


def test_a_small_upload_goes_to_disk_when_the_budget_is_spent() -> None:
    budget = MemoryBudget(limit_bytes=10)
    first = filled(Spool(budget), b"x" * 10)
    second = filled(Spool(budget), b"y" * 10)
    assert budget.taken_bytes == 10
    assert (first.content.read(), second.content.read()) == (b"x" * 10, b"y" * 10)
