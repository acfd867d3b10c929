"""Whether everything that a request needs answers."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from facecore.logs import get_logger

log = get_logger(__name__)

CACHE_S = 2.0
"""How long a verdict holds, so that a busy prober costs AWS no calls."""
CHECK_TIMEOUT_S = 3.0
"""A part that takes longer than this to answer does not answer."""


class Readiness:
    """Runs a check per part in threads. A check raises when its part does not answer; names are for clients to read."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], object]],
        threads: Executor,
        *,
        timeout_s: float = CHECK_TIMEOUT_S,
        cache_s: float = CACHE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = checks
        self._threads = threads
        self._timeout_s = timeout_s
        self._cache_s = cache_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._checked_at: float | None = None
        self._missing: list[str] = []

    async def missing(self) -> list[str]:
        """Names of the parts that do not answer, as of at most `cache_s` ago; concurrent callers share one round."""
        async with self._lock:
            if self._checked_at is None or self._clock() - self._checked_at > self._cache_s:
                answers = await asyncio.gather(*(self._answers(name) for name in self._checks))
                self._missing = [name for name, answered in zip(self._checks, answers, strict=True) if not answered]
                self._checked_at = self._clock()
            return self._missing

    async def _answers(self, name: str) -> bool:
        call = asyncio.get_running_loop().run_in_executor(self._threads, self._checks[name])
        try:
            await asyncio.wait_for(call, self._timeout_s)
        except Exception as error:  # Whatever it is, the part cannot be used.
            log.warning("part_not_ready", part=name, reason=str(error) or type(error).__name__)
            return False
        return True
