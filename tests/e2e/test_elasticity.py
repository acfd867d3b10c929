"""Instances from zero to fifteen and back, as EC2's own API shows them."""

import time

from support.stacks.stack import Stack, photographs

MAX_INSTANCES = 15
IDLE_AGAIN_S = 12.0
NAMED_AFTER_S = 60.0


def _burst_of_100(stack: Stack, prefix: str) -> tuple[list[int], set[str]]:
    uploads, expected = zip(*photographs(100, prefix), strict=True)
    with stack.watched() as fleet:
        answers = stack.burst(uploads)
        last_answer = time.monotonic()
        stack.wait_until_idle(30)
        idle_after_s = time.monotonic() - last_answer
    assert [answer.text for answer in answers] == list(expected)
    assert idle_after_s < IDLE_AGAIN_S
    return fleet.running, fleet.existing


def test_a_burst_of_100_takes_15_instances_and_returns_to_none_twice(stack: Stack) -> None:
    stack.wait_until_idle(30)
    assert [i["State"]["Name"] for i in stack.instances("web-instance")] == ["running"]
    first_running, first_existing = _burst_of_100(stack, "first")
    assert max(first_running) == MAX_INSTANCES
    second_running, second_existing = _burst_of_100(stack, "second")
    assert max(second_running) == MAX_INSTANCES
    assert len(first_existing | second_existing) == MAX_INSTANCES
    for bucket in (stack.settings.in_bucket, stack.settings.out_bucket):
        assert len(stack.keys(bucket, "first-")) == len(stack.keys(bucket, "second-")) == 100
    for queue in (stack.settings.request_queue, stack.settings.response_queue, stack.settings.dead_queue):
        assert stack.depth(queue) == 0


def _names(stack: Stack) -> list[str]:
    return sorted(tag["Value"] for i in stack.instances() for tag in i["Tags"] if tag["Key"] == "Name")


def test_names_are_numbered_from_1_to_15(stack: Stack) -> None:
    uploads, _ = zip(*photographs(30, "names"), strict=True)
    stack.burst(uploads)
    stack.wait_until_idle(30)
    # They are launched in one call, under one name, and numbered one a second while there is nothing else to do.
    deadline = time.monotonic() + NAMED_AFTER_S
    while len(names := _names(stack)) != len(set(names)):
        assert time.monotonic() < deadline, f"names are not unique: {names}"
        time.sleep(0.5)
    assert set(names) <= {f"app-tier-instance-{n}" for n in range(1, MAX_INSTANCES + 1)}
