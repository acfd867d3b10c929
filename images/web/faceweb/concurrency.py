"""Work beside the event loop's own: threads for blocking calls, and tasks in the background."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that carries out `work` while the context lasts; at its end the task is cancelled."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class DaemonThreads(Executor):
    """An executor with a fixed number of daemon threads.

    ThreadPoolExecutor joins its threads when the interpreter ends, so that a call to an AWS that hangs would keep
    a stopped process alive for as long as its retries take.
    """

    def __init__(self, count: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queues a call; the future gets its result or its error."""
        future: Future[T] = Future()
        self._calls.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends each thread after the call that it is at; queued calls come first unless `cancel_futures`."""
        if cancel_futures:
            with suppress(Empty):
                while queued := self._calls.get_nowait():
                    queued[0].cancel()
        # Each thread takes one None and ends.
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while queued := self._calls.get():
            future, call = queued
            # A call that was cancelled while it was queued is not made.
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # The caller gets it from the future.
                future.set_exception(error)
