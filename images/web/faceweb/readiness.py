"""`/healthz` and `/readyz`: whether the process lives, and whether all parts that a request needs answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from facecore.logs import get_logger
from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from faceweb import answers
from faceweb.answers import described

log = get_logger(__name__)

# A busy prober costs AWS one round of calls in this time.
CACHE_S = 2.0
CHECK_TIMEOUT_S = 3.0


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

    def router(self) -> APIRouter:
        """The two routes."""
        router = APIRouter(default_response_class=PlainTextResponse)

        @router.get("/healthz", summary="Does the process live?")
        async def healthz() -> str:
            return "ok"

        @router.get(
            "/readyz",
            summary="Do the queues and buckets answer?",
            responses={
                200: described("Everything that a request needs answers", "ready"),
                503: described("Something does not answer", "not_ready: the request queue does not answer", retry=True),
            },
        )
        async def readyz() -> Response:
            missing = await self.missing()
            return answers.not_ready(missing).as_text() if missing else PlainTextResponse("ready")

        return router

    async def missing(self) -> list[str]:
        """Names of the parts that do not answer, as of at most `cache_s` ago; concurrent callers share one round."""
        # Probes that come while a round is under way wait for it rather than start another.
        async with self._lock:
            if self._checked_at is None or self._clock() - self._checked_at > self._cache_s:
                answered = await asyncio.gather(*(self._answers(name) for name in self._checks))
                self._missing = [name for name, yes in zip(self._checks, answered, strict=True) if not yes]
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
