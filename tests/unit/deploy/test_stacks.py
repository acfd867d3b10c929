"""Stacks are watched by their events: the state alone may still be that of the former change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from facedeploy import DeployError
from facedeploy.stacks import Stacks

STACK = "AWS::CloudFormation::Stack"


class FakeCloudFormation:
    """A stack that takes a few looks to begin its update."""

    def __init__(self, states: list[str], events: list[list[tuple[str, str]]], changes: int = 1) -> None:
        self._states, self._rounds, self._changes = iter(states), iter(events), changes
        self._events = [{"EventId": "old", "ResourceType": STACK, "ResourceStatus": "UPDATE_COMPLETE"}]
        self.executed = False
        self.calls: list[str] = []

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803  CloudFormation's names
        state = next(self._states) if self.executed else "UPDATE_COMPLETE"
        return {"Stacks": [{"StackName": StackName, "StackId": "id", "StackStatus": state}]}

    def create_change_set(self, **_: Any) -> None:
        self.calls.append("create_change_set")

    def execute_change_set(self, **_: Any) -> None:
        self.executed = True

    def delete_change_set(self, **_: Any) -> None:
        self.calls.append("delete_change_set")

    def get_paginator(self, name: str) -> FakeCloudFormation:
        self._page = name
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        if self._page == "describe_change_set":
            change = {"ResourceChange": {"Action": "Modify", "LogicalResourceId": "Host", "ResourceType": "T"}}
            yield {
                "Status": "CREATE_COMPLETE" if self._changes else "FAILED",
                "StatusReason": "The submitted information didn't contain changes.",
                "StackId": "id",
                "ChangeSetId": "set",
                "Changes": [change] * self._changes,
            }
            return
        for kind, status in next(self._rounds, []) if self.executed else []:
            event = {"EventId": f"{len(self._events)}", "ResourceType": kind, "ResourceStatus": status}
            self._events.insert(0, event | {"LogicalResourceId": "Host", "ResourceStatusReason": "no room"})
        yield {"StackEvents": list(self._events)}


def _apply(fake: FakeCloudFormation) -> tuple[bool, list[str]]:
    lines: list[str] = []
    client: Any = fake
    return Stacks(client, lines.append, poll_s=0).apply("demo", "stack.yaml", {}), lines


def test_the_former_state_is_not_taken_for_the_end() -> None:
    states = ["UPDATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    events = [[], [(STACK, "UPDATE_IN_PROGRESS")], [("T", "UPDATE_COMPLETE")], [(STACK, "UPDATE_COMPLETE")]]
    fake = FakeCloudFormation(states, events)
    changed, lines = _apply(fake)
    assert changed
    assert next(fake._states, None) is None
    assert lines[0] == "demo: 1 changes"


def test_a_failed_update_is_told_with_the_reason_of_its_first_failure() -> None:
    states = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]
    events = [[("T", "UPDATE_FAILED")], [(STACK, "UPDATE_ROLLBACK_COMPLETE")]]
    with pytest.raises(DeployError, match=r"demo is UPDATE_ROLLBACK_COMPLETE: Host: no room"):
        _apply(FakeCloudFormation(states, events))


def test_nothing_to_change_leaves_no_change_set_behind() -> None:
    fake = FakeCloudFormation([], [], changes=0)
    assert _apply(fake) == (False, ["demo: no change"])
    assert fake.calls == ["create_change_set", "delete_change_set"]
    assert not fake.executed
