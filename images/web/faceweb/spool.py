"""Where an upload lies until it is stored: in memory while it is small, else in a temporary file."""

import asyncio
from tempfile import SpooledTemporaryFile
from typing import IO

from facecore.settings import MIB

# An upload over this goes to disk.
MAX_IN_MEMORY_BYTES = MIB
# All uploads together hold this much in memory; beyond it even small ones go to disk.
MEMORY_BUDGET_BYTES = 64 * MIB


class MemoryBudget:
    """Counts the bytes that all spools of a process hold in memory. For the event loop only."""

    def __init__(self, limit_bytes: int = MEMORY_BUDGET_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self.taken_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Takes `size_bytes` if that many are left."""
        if self.taken_bytes + size_bytes > self._limit_bytes:
            return False
        self.taken_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Returns what was taken."""
        self.taken_bytes -= size_bytes


class Spool:
    """The bytes of one upload. Writing to disk happens in a thread, so the event loop never waits for a disk."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._taken_bytes = 0
        # Size 0 means that the file never moves to disk by itself.
        self._file = SpooledTemporaryFile(max_size=0)  # noqa: SIM115
        self._on_disk = False
        self.size_bytes = 0

    @property
    def content(self) -> IO[bytes]:
        """The whole upload, from its first byte."""
        self._file.seek(0)
        return self._file

    async def write(self, data: bytes) -> None:
        """Appends `data`."""
        self.size_bytes += len(data)
        if not self._on_disk:
            if self.size_bytes <= MAX_IN_MEMORY_BYTES and self._budget.take(len(data)):
                self._taken_bytes += len(data)
                self._file.write(data)
                return
            self._on_disk = True
            await asyncio.to_thread(self._file.rollover)
            self._free_memory()
        await asyncio.to_thread(self._file.write, data)

    def close(self) -> None:
        """Forgets the bytes; harmless when repeated."""
        self._file.close()
        self._free_memory()

    def _free_memory(self) -> None:
        self._budget.give_back(self._taken_bytes)
        self._taken_bytes = 0
