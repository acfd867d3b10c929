"""Readiness."""

import asyncio
import threading

from faceweb.concurrency import DaemonThreads
from faceweb.readiness import Readiness
from support.fakes.web import World, soon


class Part:
    """Counts its checks, and fails when told to."""

    def __init__(self) -> None:
        self.checks = 0
        self.failing = False

    def check(self) -> None:
        self.checks += 1
        if self.failing:
            raise RuntimeError("down")


def test_parts_that_do_not_answer_are_named() -> None:
    good, bad = Part(), Part()
    bad.failing = True
    readiness = Readiness({"good": good.check, "bad": bad.check}, DaemonThreads(2, "health"))
    assert soon(readiness.missing()) == ["bad"]


def test_a_verdict_is_kept_for_a_while_and_shared() -> None:
    now_s, part = [0.0], Part()
    readiness = Readiness({"part": part.check}, DaemonThreads(1, "health"), clock=lambda: now_s[0], cache_s=2)

    async def scenario() -> None:
        await asyncio.gather(*(readiness.missing() for _ in range(20)))
        assert part.checks == 1
        now_s[0] = 3
        part.failing = True
        assert await readiness.missing() == ["part"]
        assert part.checks == 2

    soon(scenario())


def test_a_part_that_hangs_does_not_answer() -> None:
    release = threading.Event()
    readiness = Readiness({"slow": lambda: release.wait(10)}, DaemonThreads(1, "health"), timeout_s=0.05)
    assert soon(readiness.missing()) == ["slow"]
    release.set()


def test_health_is_about_the_process_alone() -> None:
    world = World()
    world.checks["broken"] = lambda: 1 / 0
    assert world.request("GET", "/healthz").text == "ok"
    assert world.request("HEAD", "/healthz").status_code == 200


def test_readiness_names_what_does_not_answer() -> None:
    world = World()
    assert (world.request("GET", "/readyz").status_code, world.request("GET", "/readyz").text) == (200, "ready")
    world = World()
    world.checks["the reply queue"] = lambda: 1 / 0
    response = world.request("GET", "/readyz")
    assert (response.status_code, response.text.split(":")[0]) == (503, "not_ready")
    assert "the reply queue" in response.text
    assert "retry-after" in response.headers
