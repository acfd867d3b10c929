"""Threads for blocking calls, and tasks in the background."""

import asyncio
import threading

import pytest
from faceweb.concurrency import DaemonThreads, background
from support.fakes.web import soon, until


def test_a_call_gives_its_result_or_its_error() -> None:
    threads = DaemonThreads(1, "test")
    assert threads.submit(pow, 2, 5).result(10) == 32
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(10)
    assert threads.submit(len, "still there").result(10) == 11


def test_as_many_calls_run_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(3)
    threads = DaemonThreads(3, "test")
    waits = [threads.submit(together.wait, 10) for _ in range(3)]
    assert sorted(wait.result(10) for wait in waits) == [0, 1, 2]


def test_the_threads_never_hold_up_the_end_of_the_process() -> None:
    daemons = DaemonThreads(1, "test").submit(lambda: threading.current_thread().daemon)
    assert daemons.result(10) is True


def test_shutdown_drops_what_is_queued_and_ends_the_threads() -> None:
    release = threading.Event()
    threads = DaemonThreads(1, "test")
    running = threads.submit(release.wait, 10)
    queued = threads.submit(len, "never")
    until(running.running)
    threads.shutdown(wait=False, cancel_futures=True)
    release.set()
    assert running.result(10)
    assert queued.cancelled()


def test_a_call_that_was_cancelled_while_it_waited_is_never_made() -> None:
    release, made = threading.Event(), threading.Event()
    threads = DaemonThreads(1, "test")
    running = threads.submit(release.wait, 10)
    until(running.running)
    assert threads.submit(made.set).cancel()
    release.set()
    threads.shutdown()
    assert not made.is_set()


def test_a_task_in_the_background_runs_while_the_context_lasts_and_no_longer() -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0)

    async def scenario() -> bool:
        async with background(tick()) as task:
            await asyncio.sleep(0.01)
        return task.cancelled()

    assert soon(scenario())
    assert ticks
