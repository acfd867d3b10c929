"""The user data of machines, and what of it stays from one deployment to the next."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from facecore import user_data
from facecore.errors import SettingsError
from facecore.settings import load
from facedeploy.deployment import former_user_data, web_environment, worker_environment
from facedeploy.images import Images
from facedeploy.settings import DeploySettings

IMAGES = Images(web="r/web@sha256:1", worker="r/worker@sha256:2", controller="r/controller@sha256:3")
WEB, WORKER = "EFACE_WEB_ENVIRONMENT", "EFACE_WORKER_ENVIRONMENT"


def _settings(**variables: str) -> DeploySettings:
    return load(DeploySettings, {"EFACE_ID": "demo", **variables})


def test_a_worker_keeps_what_it_was_told_but_its_image_is_the_new_one() -> None:
    before = {"EFACE_MODEL": "dlib-resnet-v1", "EFACE_IDLE_S": "9", "EFACE_WORKER_IMAGE": "old"}
    told = worker_environment(_settings(), IMAGES, before)
    assert (told["EFACE_MODEL"], told["EFACE_IDLE_S"]) == ("dlib-resnet-v1", "9")
    assert told["EFACE_WORKER_IMAGE"] == IMAGES.worker
    told = worker_environment(_settings(EFACE_MODEL="facenet-vggface2", **{WORKER: "EFACE_IDLE_S=1"}), IMAGES, before)
    assert (told["EFACE_MODEL"], told["EFACE_IDLE_S"]) == ("facenet-vggface2", "1")


def test_the_web_host_runs_both_programs() -> None:
    told = web_environment(_settings(), IMAGES, {}, "subnet-1,subnet-2")
    assert told == {
        "EFACE_ROLE": "web",
        "EFACE_ID": "demo",
        "EFACE_REGION": "us-east-1",
        "EFACE_WEB_IMAGE": IMAGES.web,
        "EFACE_CONTROLLER_IMAGE": IMAGES.controller,
        "EFACE_LOG_GROUP": "demo/web",
        "EFACE_SUBNETS": "subnet-1,subnet-2",
        "EFACE_MAX_INSTANCES": "15",
        "EFACE_INSTANCE_TYPES": "m7i.large",
    }


def test_the_web_hosts_choices_stay_until_others_are_made() -> None:
    before = {"EFACE_MAX_INSTANCES": "3", "EFACE_INSTANCE_TYPES": "c7i.large", "EFACE_POLICY": "frugal"}
    told = web_environment(_settings(EFACE_MAX_INSTANCES="4"), IMAGES, before, "subnet-1")
    assert (told["EFACE_MAX_INSTANCES"], told["EFACE_INSTANCE_TYPES"]) == ("4", "c7i.large")
    assert told["EFACE_POLICY"] == "frugal"
    told = web_environment(_settings(**{WEB: "EFACE_POLICY=demand"}), IMAGES, before, "subnet-1")
    assert told["EFACE_POLICY"] == "demand"


def test_an_empty_value_takes_a_former_line_back() -> None:
    before = {"EFACE_POLICY": "frugal"}
    assert "EFACE_POLICY" not in web_environment(_settings(**{WEB: "EFACE_POLICY="}), IMAGES, before, "subnet-1")
    before = {"EFACE_IDLE_S": "9"}
    assert "EFACE_IDLE_S" not in worker_environment(_settings(**{WORKER: "EFACE_IDLE_S="}), IMAGES, before)


@pytest.mark.parametrize(
    ("variable", "lines", "complaint"),
    [
        (WEB, "EFACE_POLCY=frugal", "EFACE_POLCY: no program reads it; did you mean EFACE_POLICY?"),
        (WORKER, "EFACE_IDEL_S=1", "EFACE_IDEL_S: no program reads it; did you mean EFACE_IDLE_S?"),
        (WEB, "EFACE_IDLE_S=1", "EFACE_IDLE_S: no program of the web host reads it"),
        (WORKER, "EFACE_POLICY=frugal", "EFACE_POLICY: no program of the workers reads it"),
        (WEB, "EFACE_ID=other", "EFACE_ID: .*the deployment sets it"),
        (WEB, "EFACE_MAX_INSTANCES=3", "EFACE_MAX_INSTANCES: .*the deployment sets it"),
        (WORKER, "EFACE_WORKER_IMAGE=x", "EFACE_WORKER_IMAGE: .*the deployment sets it"),
        (WEB, "PATH=/bin", "line 1"),
        (WORKER, "EFACE_IDLE_S=1\nEFACE_IDLE_S=2", "set twice"),
    ],
)
def test_lines_that_would_not_arrive_are_refused(variable: str, lines: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: .*{complaint}"):
        _settings(**{variable: lines})


def test_a_value_of_a_refused_line_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        _settings(**{WEB: "PASSWORD=sesame"})
    assert "sesame" not in str(caught.value)


@dataclass
class FakeAccount:
    """An account whose only stack was made by another version."""

    former: str
    said: list[str] = field(default_factory=list)

    @property
    def stacks(self) -> "FakeAccount":
        return self

    def parameters(self, _name: str) -> dict[str, str]:
        return {"WebUserData": self.former} if self.former else {}

    def say(self, line: str) -> None:
        self.said.append(line)


def test_a_former_line_that_no_program_reads_any_more_is_dropped_and_named() -> None:
    known = {"EFACE_ID": "demo", "AWS_ENDPOINT_URL": "http://host"}
    account: Any = FakeAccount(user_data.encode(known | {"EFACE_FORMER": "1"}))
    assert former_user_data(account, "demo", "WebUserData") == known
    assert account.said == ["demo: no program reads EFACE_FORMER any more; removed from the user data"]
    first: Any = FakeAccount("")
    assert (former_user_data(first, "demo", "WebUserData"), first.said) == ({}, [])
