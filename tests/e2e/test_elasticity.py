"""Instances from zero to fifteen and back, as EC2's own API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from support.ground import until
from support.stacks.stack import Fleet, Stack
from support.uploads import photographs

pytestmark = pytest.mark.alone

MAX_INSTANCES = 15
IDLE_S = 5.0
# Patience with the machine that emulates all instances: after the last answer a worker may still be starting, which
# takes seconds where fifteen share two processors, then comes its poll, and then the hypervisor's next pass, which
# stops the instances by a call each.
IDLE_AGAIN_S = 30.0
NAMED_AFTER_S = 60.0


def _burst_of_100(stack: Stack, prefix: str) -> Fleet:
    uploads, expected = zip(*photographs(100, prefix), strict=True)
    with stack.watched() as fleet:
        answers = stack.burst(uploads)
        stack.wait_until_idle(IDLE_AGAIN_S)
    assert [answer.text for answer in answers] == list(expected)
    return fleet


def test_a_burst_of_100_takes_15_instances_and_returns_to_none_twice(stack: Stack) -> None:
    stack.wait_until_idle(IDLE_AGAIN_S)
    assert [i["State"]["Name"] for i in stack.instances("web-instance")] == ["running"]
    first, second = (_burst_of_100(stack, prefix) for prefix in ("first", "second"))
    assert max(first.running) == max(second.running) == len(first.existing | second.existing) == MAX_INSTANCES
    for bucket in (stack.settings.in_bucket, stack.settings.out_bucket):
        assert len(stack.keys(bucket, "first-")) == len(stack.keys(bucket, "second-")) == 100
    for queue in (stack.settings.request_queue, stack.settings.response_queue, stack.settings.dead_queue):
        assert stack.depth(queue) == 0


def test_each_worker_ends_with_its_first_empty_poll(stack: Stack) -> None:
    stack.burst([upload for upload, _ in photographs(MAX_INSTANCES, "poll")])
    stack.wait_until_idle(IDLE_AGAIN_S)
    if not (logs := stack.worker_logs()):
        pytest.skip("the machines of a stack that is named cannot be reached")
    waits_s = [wait_s for log in logs for wait_s in _waits_s(log)]
    # By the worker's own clock, so that what starts and stops machines does not count. One poll takes IDLE_S; a second
    # one would make it twice that, and what lies between is for a machine that is loaded.
    assert waits_s
    assert max(waits_s) < 2 * IDLE_S


def _waits_s(log: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds from a worker's last answer, or its start, to its end, for each of its lives."""
    waits_s, since = [], datetime.min
    for line in log:
        now = datetime.fromisoformat(line["timestamp"])
        if line["event"] == "idle":
            waits_s.append((now - since).total_seconds())
        elif line["event"] in ("started", "answered"):
            since = now
    return waits_s


def _names(stack: Stack) -> list[str]:
    return sorted(tag["Value"] for i in stack.instances() for tag in i["Tags"] if tag["Key"] == "Name")


def test_names_are_numbered_from_1_to_15(stack: Stack) -> None:
    stack.burst([upload for upload, _ in photographs(30, "names")])
    stack.wait_until_idle(IDLE_AGAIN_S)
    # They are launched in one call, under one name, and numbered one a second while there is nothing else to do.
    until(lambda: len(set(_names(stack))) == len(_names(stack)), NAMED_AFTER_S, lambda: f"not unique: {_names(stack)}")
    assert set(_names(stack)) <= {f"app-tier-instance-{n}" for n in range(1, MAX_INSTANCES + 1)}
