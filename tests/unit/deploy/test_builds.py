"""What machines are told at boot, and what of it stays from one deployment to the next."""

import pytest
from facedeploy import builds
from facedeploy.builds import Images
from facedeploy.errors import DeployError
from facedeploy.settings import DeploySettings

IMAGES = Images(web="r/web@sha256:1", worker="r/worker@sha256:2", controller="r/controller@sha256:3")


def test_user_data_is_a_line_for_each_variable() -> None:
    encoded = builds.encoded({"EFACE_ID": "demo", "EFACE_MODEL": "noop"})
    assert builds.decoded(encoded) == {"EFACE_ID": "demo", "EFACE_MODEL": "noop"}
    assert builds.encoded({"EFACE_ID": "demo"}) == "RUZBQ0VfSUQ9ZGVtbwo="


@pytest.mark.parametrize("line", ["EFACE_ID", "PATH=/bin", "EFACE_é=1", "EFACE_A=é", "=x", f"EFACE_A={'x' * 1025}"])
def test_lines_that_a_machine_would_refuse(line: str) -> None:
    with pytest.raises(DeployError, match="not EFACE_NAME=value"):
        builds.variables(f"EFACE_OK=1\n{line}")


def test_values_may_hold_equals_signs() -> None:
    assert builds.variables("EFACE_WEIGHTS_URL=https://x/?a=b\n\n") == {"EFACE_WEIGHTS_URL": "https://x/?a=b"}


def test_a_worker_keeps_what_it_was_told_but_its_image_is_the_new_one() -> None:
    before = {"EFACE_MODEL": "dlib-resnet-v1", "EFACE_IDLE_S": "9", "EFACE_WORKER_IMAGE": "old"}
    told = builds.worker_environment(DeploySettings(id="demo"), IMAGES, before)
    assert (told["EFACE_MODEL"], told["EFACE_IDLE_S"]) == ("dlib-resnet-v1", "9")
    assert told["EFACE_WORKER_IMAGE"] == IMAGES.worker
    chosen = DeploySettings(id="demo", model="facenet-vggface2", worker_environment="EFACE_IDLE_S=1")
    told = builds.worker_environment(chosen, IMAGES, before)
    assert (told["EFACE_MODEL"], told["EFACE_IDLE_S"]) == ("facenet-vggface2", "1")


def test_the_web_host_runs_both_programs() -> None:
    told = builds.web_environment(DeploySettings(id="demo"), IMAGES, {}, "subnet-1,subnet-2")
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
    before = {"EFACE_MAX_INSTANCES": "3", "EFACE_INSTANCE_TYPES": "c7i.large"}
    told = builds.web_environment(DeploySettings(id="demo", max_instances=4), IMAGES, before, "subnet-1")
    assert (told["EFACE_MAX_INSTANCES"], told["EFACE_INSTANCE_TYPES"]) == ("4", "c7i.large")
