"""Each tier's policy against what the tier really calls, recorded end to end, and against what it must not call."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from facecore.aws import Aws
from facecore.settings import AwsSettings
from support.aws import forbidden, policies
from support.aws import proxy as aws_proxy
from support.aws.iam_requests import ACCOUNT, FOLDER, REGION, Answer, Request, World, ec2, evaluated, queue, requests_of
from support.stacks import tiers as tiers_run

TIERS = ("web", "worker", "controller")
FORBIDDEN = {"web": forbidden.web, "worker": forbidden.worker, "controller": forbidden.controller}
# What no recorded call uses, since the emulators' machines are none: policy, Sid and action, with the reason.
REASONS = {
    ("LogInToRegistry", "ecr:GetAuthorizationToken"): "the engine's credential helper asks it before a pull",
    ("PullImages", "ecr:BatchGetImage"): "a pull reads the image's manifest",
    ("PullImages", "ecr:GetDownloadUrlForLayer"): "a pull reads the image's layers",
    ("WriteLogs", "logs:CreateLogStream"): "the engine's awslogs driver begins a container's stream",
    ("WriteLogs", "logs:PutLogEvents"): "the engine's awslogs driver writes a container's lines",
    ("OpenSessions", "ssm:UpdateInstanceInformation"): "Session Manager knows the machine; there is no SSH",
    ("OpenSessions", "ssmmessages:CreateControlChannel"): "Session Manager reaches the machine",
    ("OpenSessions", "ssmmessages:CreateDataChannel"): "a session's terminal",
    ("OpenSessions", "ssmmessages:OpenControlChannel"): "Session Manager reaches the machine",
    ("OpenSessions", "ssmmessages:OpenDataChannel"): "a session's terminal",
}


@dataclass(frozen=True)
class Proof:
    """The policies of all roles as CloudFormation made them, and what IAM would be asked in the recorded run."""

    roles: Mapping[str, Mapping[str, Any]]
    requests: Mapping[str, list[Request]]
    world: World

    def policy(self, tier: str) -> dict[str, Any]:
        """The tier's own policy by its name."""
        name = f"{forbidden.OURS}-{tier}"
        return {name: self.roles[policies.ROLES[tier]][name]}


@pytest.fixture(scope="module")
def recorded(aws_endpoint: str, exported_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tiers_run.Run:
    """A run that makes every call that the tiers know."""
    with aws_proxy.started({}, aws_endpoint) as recorder:
        return tiers_run.run(aws_endpoint, recorder, tmp_path_factory.mktemp("tiers"), exported_cache)


@pytest.fixture(scope="module")
def proof(recorded: tiers_run.Run, localstack_url: str) -> Proof:
    """The recorded calls, and the policies made by LocalStack from the template."""
    assert (FOLDER / "node_modules").is_dir(), "there is no evaluator of policies: `make tests/iam/node_modules/.ready`"
    world = _world(recorded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", ACCOUNT)
        settings = AwsSettings(id=forbidden.OURS, endpoint_url=localstack_url)
        roles = policies.deployed(settings, policies.parameters(forbidden.OURS, world, recorded.subnets.split(",")))
    return Proof(roles, {tier: _each_once(requests_of(recorded.recorder.of(tier), world)) for tier in TIERS}, world)


def _each_once(requests: Iterator[Request]) -> list[Request]:
    # Not a set, since a request's context is a dict.
    return list({repr(request): request for request in requests}.values())


def _world(recorded: tiers_run.Run) -> World:
    ec2_client = Aws(recorded.settings).client("ec2")
    name = f"{recorded.settings.id}-worker"
    found = ec2_client.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Default"])
    version = found["LaunchTemplateVersions"][0]
    data = version["LaunchTemplateData"]
    return World(
        launch_template=version["LaunchTemplateId"],
        image=data["ImageId"],
        security_group=data["SecurityGroupIds"][0],
        role=f"arn:aws:iam::{ACCOUNT}:role/{data['IamInstanceProfile']['Name']}",
        instance_type=data["InstanceType"],
        subnet=recorded.subnets.split(",")[0],
    )


def _denied(requests: list[Request], answers: list[Answer]) -> list[str]:
    return [
        f"{r.action} on {r.resource} {dict(r.context)}" for r, a in zip(requests, answers, strict=True) if not a.allowed
    ]


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_may_do_all_that_it_does(proof: Proof, tier: str) -> None:
    requests = proof.requests[tier]
    answers = evaluated(proof.policy(tier), requests)
    assert [answer.error for answer in answers if answer.error] == []
    # A key that AWS does not know for an action would be a condition that is never met.
    assert {key for answer in answers for key in answer.ignored} == set()
    assert _denied(requests, answers) == []


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_may_not_do_anything_else(proof: Proof, tier: str) -> None:
    entries = [*FORBIDDEN[tier](proof.world), *forbidden.host(proof.world)]
    # The worker's host permissions count; web and controller share a role, so each is judged by its own policy there.
    held = proof.roles["worker"] if tier == "worker" else proof.policy(tier) | {"host": proof.roles["web"]["host"]}
    assert _allowed(held, entries) == []


def test_web_and_controller_together_may_not_touch_faces_or_others(proof: Proof) -> None:
    alone = {what for what, _ in forbidden.controller(proof.world)} & {what for what, _ in forbidden.web(proof.world)}
    entries = [e for e in [*forbidden.web(proof.world), *forbidden.controller(proof.world)] if e[0] in alone]
    assert len(entries) >= 4
    assert _allowed(proof.roles["web"], entries) == []


def _allowed(held: Mapping[str, Any], entries: list[tuple[str, list[Request]]]) -> list[str]:
    """Names of the entries all of whose requests are allowed."""
    requests = [request for _, wanted in entries for request in wanted]
    answers = evaluated(held, requests)
    assert [answer.error for answer in answers if answer.error] == []
    granted = iter(answers)
    allowed = [(what, [next(granted).allowed for _ in wanted]) for what, wanted in entries]
    return [what for what, each in allowed if all(each)]


@pytest.mark.parametrize("tier", TIERS)
def test_every_permission_of_a_tier_is_used(proof: Proof, tier: str) -> None:
    [(name, document)] = proof.policy(tier).items()
    used = {
        (sid, request.action)
        for request, answer in zip(proof.requests[tier], evaluated({name: document}, proof.requests[tier]), strict=True)
        for _, sid in answer.by
    }
    assert used == _permissions(document)


@pytest.mark.parametrize("tier", TIERS)
def test_every_resource_of_a_tier_is_used(proof: Proof, tier: str) -> None:
    [(name, document)] = proof.policy(tier).items()
    for number, statement in enumerate(document["Statement"]):
        resources = _list(statement["Resource"])
        for resource in resources if len(resources) > 1 else []:
            without = copy.deepcopy(document)
            without["Statement"][number]["Resource"] = [one for one in resources if one != resource]
            missed = _denied(proof.requests[tier], evaluated({name: without}, proof.requests[tier]))
            # EC2 fills the first subnet as long as it can.
            assert missed or ":subnet/" in resource, f"{statement['Sid']}: {resource} is never used"


@pytest.mark.parametrize("role", ["web", "worker"])
def test_every_permission_of_a_host_has_a_reason(proof: Proof, role: str) -> None:
    assert _permissions(proof.roles[role]["host"]) == set(REASONS)


@pytest.mark.parametrize("tier", TIERS)
def test_every_condition_keeps_something_out(proof: Proof, tier: str) -> None:
    [(name, document)] = proof.policy(tier).items()
    wanted = [request for _, requests in FORBIDDEN[tier](proof.world) for request in requests]
    refused = [
        one for one, answer in zip(wanted, evaluated({name: document}, wanted), strict=True) if not answer.allowed
    ]
    idle = []
    for number, operator, key in _conditions(document):
        statement = document["Statement"][number]
        # A statement decides on no other action.
        asked = [request for request in refused if request.action in _list(statement["Action"])]
        if not any(a.allowed for a in evaluated({name: _without(document, number, operator, key)}, asked)):
            idle.append(f"{statement['Sid']}: {operator} {key}")
    assert idle == []


def test_conditions_are_really_evaluated(proof: Proof) -> None:
    assert len(list(_conditions(next(iter(proof.policy("controller").values()))))) > 20


def _conditions(document: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    for number, statement in enumerate(document["Statement"]):
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                yield number, operator, key


def _without(document: Mapping[str, Any], number: int, operator: str, key: str) -> dict[str, Any]:
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    del changed["Statement"][number]["Condition"][operator][key]
    return changed


def _permissions(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(one["Sid"], action) for one in document["Statement"] for action in _list(one["Action"])}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_hosts_reach_what_they_need(proof: Proof) -> None:
    for role, tiers in (("web", ("web", "controller")), ("worker", ("worker",))):
        repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{forbidden.OURS}"
        stream = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{forbidden.OURS}/{role}:log-stream:i-1"
        requests = [Request("ecr:BatchGetImage", f"{repository}/{tier}") for tier in tiers]
        requests += [Request("ecr:GetDownloadUrlForLayer", f"{repository}/{tier}") for tier in tiers]
        requests += [Request("ecr:GetAuthorizationToken", "*"), Request("logs:PutLogEvents", stream)]
        assert _denied(requests, evaluated({"host": proof.roles[role]["host"]}, requests)) == []


def test_the_evaluator_denies_what_no_statement_allows() -> None:
    statement = {"Sid": "One", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue("one")}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    requests = [Request("sqs:SendMessage", queue(name)) for name in ("one", "two")]
    assert [answer.allowed for answer in evaluated({"p": document}, requests)] == [True, False]
    [wrong] = evaluated({"p": document}, [Request("sqs:SendMail", ec2("instance/i-1"))])
    assert wrong.error
