"""Threads for blocking calls, a fixed number of them, that never hold up the end of the process."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """An executor of `count` daemon threads.

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
            self._drop_queued()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _drop_queued(self) -> None:
        with suppress(Empty):
            while call := self._calls.get_nowait():
                call[0].cancel()

    def _work(self) -> None:
        while call := self._calls.get():
            _carry_out(*call)


def _carry_out(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # It belongs to whoever waits for the result.
        future.set_exception(error)
