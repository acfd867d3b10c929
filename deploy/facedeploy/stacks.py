"""CloudFormation stacks: created and updated by change sets that are shown first, watched, and removed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecore.aws import translated
from facecore.errors import AwsError, RefusedError

from facedeploy import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

TEMPLATES = Path(__file__).parents[1]
# What CloudFormation says of a change set, and of an update, without changes.
_NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed")
_LOST = "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"
"""States of a stack that was never complete: it can only be removed."""
_TIMEOUT_S = 1800.0

Say = Callable[[str], None]


class Stacks:
    """The stacks of one account and region. Every method raises the AWS errors of `facecore.errors`."""

    def __init__(self, client: CloudFormationClient, say: Say, poll_s: float = 2.0) -> None:
        self._client = client
        self._say = say
        self._poll_s = poll_s

    def apply(self, name: str, template: str, parameters: Mapping[str, str | None], *, protect: bool = False) -> bool:
        """Makes the stack as the file `template` in deploy/ says; returns whether anything changed.

        A parameter that is None keeps its value, or has the template's default in a new stack. `protect` keeps the
        stack from being deleted by accident. Raises DeployError if CloudFormation gave up, with its reasons.
        """
        self._clear(name)
        change_set = self._propose(name, (TEMPLATES / template).read_text(encoding="utf-8"), parameters)
        if change_set is None:
            self._say(f"{name}: no change")
            return False
        self._say(f"{name}: {len(change_set['Changes'])} changes")
        for change in (one["ResourceChange"] for one in change_set["Changes"]):
            replaced = ", replaced" if change.get("Replacement") == "True" else ""
            self._say(f"  {change['Action']:8}{change['LogicalResourceId']} ({change['ResourceType']}{replaced})")
        stack_id = change_set["StackId"]
        known = self._event_ids(stack_id)
        with translated(f"change the stack {name}"):
            self._client.execute_change_set(StackName=name, ChangeSetName=change_set["ChangeSetId"])
        status = self._watched(stack_id, known)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise DeployError(f"the stack {name} is {status}: {self._reasons(stack_id, known)}")
        if protect:
            with translated(f"protect the stack {name}"):
                self._client.update_termination_protection(StackName=name, EnableTerminationProtection=True)
        return True

    def delete(self, name: str) -> bool:
        """Removes the stack and returns whether there was one; raises DeployError if something of it stays."""
        found = self._described(name)
        if found is None:
            return False
        # CloudFormation finds a removed stack by its id alone.
        stack_id = found["StackId"]
        known = self._event_ids(stack_id)
        with translated(f"remove the stack {name}"):
            if found.get("EnableTerminationProtection"):
                self._client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
            self._client.delete_stack(StackName=name)
        status = self._watched(stack_id, known)
        if status is not None:
            raise DeployError(f"the stack {name} is {status}: {self._reasons(stack_id, known)}")
        self._say(f"{name}: removed")
        return True

    def status(self, name: str) -> str | None:
        """The stack's state; None if there is none."""
        found = self._described(name)
        return found["StackStatus"] if found else None

    def outputs(self, name: str) -> dict[str, str]:
        """The stack's outputs; none if there is no stack."""
        found = self._described(name) or {}
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def parameters(self, name: str) -> dict[str, str]:
        """The stack's parameters; none if there is no stack."""
        found = self._described(name) or {}
        return {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}

    def _described(self, name: str) -> dict[str, Any] | None:
        try:
            with translated(f"look at the stack {name}"):
                stacks = self._client.describe_stacks(StackName=name)["Stacks"]
        except AwsError as error:
            if "does not exist" in str(error):
                return None
            raise
        found: Any = stacks[0] if stacks else None
        return None if found is None or found["StackStatus"] == "DELETE_COMPLETE" else found

    def _clear(self, name: str) -> None:
        """Removes what is left of a stack whose creation failed."""
        status = self.status(name)
        if status in _LOST:
            self._say(f"{name}: {status}, so it is removed and made again")
            self.delete(name)
        elif status is not None and status.endswith("_IN_PROGRESS"):
            raise DeployError(
                f"the stack {name} is {status}: wait until CloudFormation is done with it, then try again"
            )

    def _propose(self, name: str, body: str, parameters: Mapping[str, str | None]) -> dict[str, Any] | None:
        """Makes a change set and returns it as CloudFormation describes it; None if there is nothing to change."""
        known = self.parameters(name)
        change_set = f"deploy-{uuid.uuid4().hex[:12]}"
        given: list[Any] = [
            {"ParameterKey": key, "ParameterValue": value}
            if value is not None
            else {"ParameterKey": key, "UsePreviousValue": True}
            for key, value in parameters.items()
            if value is not None or key in known
        ]
        try:
            with translated(f"prepare the stack {name}"):
                self._client.create_change_set(
                    StackName=name,
                    ChangeSetName=change_set,
                    ChangeSetType="UPDATE" if self.status(name) else "CREATE",
                    TemplateBody=body,
                    Parameters=given,
                    # access.yaml names its roles.
                    Capabilities=["CAPABILITY_NAMED_IAM"],
                )
                return self._prepared(name, change_set)
        except RefusedError as error:
            # moto refuses a change set without changes; CloudFormation makes one that fails.
            if any(words in str(error) for words in _NOTHING_TO_DO):
                return None
            raise

    def _prepared(self, name: str, change_set: str) -> dict[str, Any] | None:
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            pages = self._client.get_paginator("describe_change_set").paginate(StackName=name, ChangeSetName=change_set)
            described: list[Any] = list(pages)
            status, reason = described[0]["Status"], described[0].get("StatusReason", "")
            changes = [change for page in described for change in page.get("Changes", [])]
            if status == "CREATE_COMPLETE" and changes:
                return {**described[0], "Changes": changes}
            if status == "CREATE_COMPLETE" or (status == "FAILED" and any(words in reason for words in _NOTHING_TO_DO)):
                # A change set that failed is not removed by itself.
                self._client.delete_change_set(StackName=name, ChangeSetName=change_set)
                return None
            if status == "FAILED":
                raise DeployError(f"CloudFormation refuses to change the stack {name}: {reason}")
            time.sleep(self._poll_s)
        raise DeployError(f"CloudFormation did not prepare the stack {name} in {_TIMEOUT_S:g} s; try again")

    def _event_ids(self, stack_id: str) -> frozenset[str]:
        return frozenset(event["EventId"] for event in self._events(stack_id))

    def _events(self, stack_id: str) -> list[Any]:
        with translated(f"read the events of the stack {stack_id}"):
            pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
            return [event for page in pages for event in page["StackEvents"]]

    def _watched(self, stack_id: str, known: frozenset[str]) -> str | None:
        """The state that the stack comes to rest in, None if it is gone; reports on its resources until then.

        `known` are the events from before the change: the stack's state alone may still be the former one.
        """
        reported = set(known)
        ended = False
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            status = self.status(stack_id)
            for event in reversed(self._events(stack_id)):
                if event["EventId"] in reported:
                    continue
                reported.add(event["EventId"])
                state, reason = event["ResourceStatus"], event.get("ResourceStatusReason")
                if state.endswith(("_COMPLETE", "_FAILED")):
                    self._say(f"  {event['LogicalResourceId']} {state}{f': {reason}' if reason else ''}")
                if event["ResourceType"] == "AWS::CloudFormation::Stack" and not state.endswith("_IN_PROGRESS"):
                    ended = True
            if status is None or (ended and not status.endswith("_IN_PROGRESS")):
                return status
            time.sleep(self._poll_s)
        raise DeployError(f"the stack {stack_id} still changes after {_TIMEOUT_S:g} s; look at it in the console")

    def _reasons(self, stack_id: str, known: frozenset[str]) -> str:
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
            for event in reversed(self._events(stack_id))
            if event["ResourceStatus"].endswith("_FAILED") and event["EventId"] not in known
        ]
        return "; ".join(reasons) or "it gives no reason; look at its events in the console"
