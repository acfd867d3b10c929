"""What `preflight` finds in an account, before anything is created."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from facedeploy import images
from facedeploy.account import Account
from facedeploy.preflight import Verdict, preflight
from facedeploy.settings import DeploySettings
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from support.aws import moto_account
from support.aws.moto_account import MotoAccount


@pytest.fixture
def moto(credentials: None) -> Iterator[MotoAccount]:
    with moto_account.started() as account:
        yield account


class Candidate:
    """An account in which everything is ready for a deployment."""

    def __init__(self, moto: MotoAccount, folder: Path) -> None:
        self.moto = moto
        self.settings = DeploySettings(id="ready", endpoint_url=moto.url, build_dir=folder)
        self.account = Account(self.settings, lambda _: None)
        self.account.stacks.apply(self.settings.registry_stack, "registry.yaml", {"Id": "ready"})
        images.write_images(self.settings, {tier: self._pushed(tier) for tier in images.TIERS})
        ami = moto_account.register_image(self.account.ec2, "ready")
        (folder / "ami.json").write_text(json.dumps({"ami": ami}))

    def _pushed(self, tier: str) -> str:
        manifest = moto_account.manifest(tier)
        answer = self.account.ecr.put_image(repositoryName=f"ready/{tier}", imageManifest=manifest, imageTag="one")
        return f"registry/ready/{tier}@{answer['image']['imageId']['imageDigest']}"

    def findings(self, **changes: Any) -> dict[str, tuple[Verdict, str]]:
        settings = DeploySettings.model_validate(
            {name: getattr(self.settings, name) for name in self.settings.model_fields_set} | changes
        )
        return {one.check: (one.verdict, one.text) for one in preflight(Account(settings, lambda _: None), settings)}

    def missing(self, **changes: Any) -> dict[str, str]:
        return {check: text for check, (verdict, text) in self.findings(**changes).items() if verdict != Verdict.FINE}


@pytest.fixture
def ready(moto: MotoAccount, tmp_path: Path) -> Candidate:
    return Candidate(moto, tmp_path)


def test_nothing_is_missing_where_all_is_ready(ready: Candidate) -> None:
    findings = ready.findings()
    assert {verdict for verdict, _ in findings.values()} == {Verdict.FINE}, findings
    assert len(findings) == 10
    assert findings["processors"][1] == "32 of 32 virtual processors at most"


def test_too_few_processors_say_how_many_instances_would_do(ready: Candidate) -> None:
    ready.moto.quotas["L-1216C47A"] = 8.0
    missing = ready.missing()
    assert list(missing) == ["processors"]
    assert "EFACE_MAX_INSTANCES=3" in missing["processors"]
    assert ready.missing(max_instances=3) == {}


def test_no_address_and_no_network_left(ready: Candidate) -> None:
    ready.moto.quotas |= {"L-0263D0A3": 0.0, "L-F678F1CE": 1.0}
    assert list(ready.missing()) == ["addresses", "networks"]


def test_builds_that_were_not_made_are_named_with_their_command(ready: Candidate) -> None:
    (ready.settings.build_dir / "ami.json").unlink()
    (ready.settings.build_dir / "images.json").unlink()
    missing = ready.missing()
    assert list(missing) == ["AMI", "images"]
    assert "make ami" in missing["AMI"]
    assert "make push" in missing["images"]


def test_an_ami_and_an_image_that_are_gone(ready: Candidate) -> None:
    pushed = json.loads((ready.settings.build_dir / "images.json").read_text())
    images.write_images(ready.settings, pushed | {"web": f"registry/ready/web@sha256:{'0' * 64}"})
    missing = ready.missing(ami="ami-0123456789abcdef0")
    assert list(missing) == ["AMI", "images"]
    assert "make ami" in missing["AMI"]
    assert "ready/web" in missing["images"]


def test_an_ami_of_arm_fits_no_image(ready: Candidate) -> None:
    ami = moto_account.register_image(ready.account.ec2, "arm", "arm64")
    assert "amd64" in ready.missing(ami=ami)["AMI"]


def test_a_bucket_of_the_account_that_is_not_the_deployments(ready: Candidate) -> None:
    ready.account.s3.create_bucket(Bucket="ready-out-bucket")
    missing = ready.missing()
    assert list(missing) == ["buckets"]
    assert "ready-out-bucket" in missing["buckets"]


def test_types_that_no_zone_offers(ready: Candidate) -> None:
    missing = ready.missing(instance_types="m7i.large,m99.large")
    assert "instance types" in missing


def test_a_region_that_is_turned_off(ready: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    [here] = [region for region in RegionsAndZonesBackend.regions if region.name == "us-east-1"]
    monkeypatch.setattr(here, "opt_in_status", "not-opted-in")
    missing = ready.missing()
    assert list(missing) == ["region"]
    assert "enable it" in missing["region"]


def _run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facedeploy", command], env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_says_a_line_for_each_check_and_ends_with_1(ready: Candidate) -> None:
    ready.moto.quotas["L-1216C47A"] = 8.0
    environment = os.environ | {
        "EFACE_ID": "ready",
        "AWS_ENDPOINT_URL": ready.moto.url,
        "EFACE_BUILD_DIR": str(ready.settings.build_dir),
    }
    done = _run("preflight", environment)
    assert done.returncode == 1
    assert [line[:8].strip() for line in done.stdout.splitlines()].count("ok") == 9
    assert "MISSING processors" in done.stdout
    assert "nothing was created" in done.stderr
    # And a deployment stops there too.
    deployed = _run("deploy", environment)
    assert deployed.returncode == 1
    assert ready.account.stacks.status("ready-network") is None


def test_without_credentials_nothing_else_is_asked(ready: Candidate, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"EFACE_ID": "ready", "AWS_ENDPOINT_URL": ready.moto.url, "AWS_EC2_METADATA_DISABLED": "true"}
    done = _run("preflight", environment | {"HOME": str(tmp_path)})
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("MISSING credentials")


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    done = _run("deploy", os.environ | {"EFACE_ID": "Not-Valid"})
    assert done.returncode == 2
    assert "EFACE_ID" in done.stderr


def test_removal_wants_the_id_to_be_typed(moto: MotoAccount) -> None:
    environment = os.environ | {"EFACE_ID": "typed", "AWS_ENDPOINT_URL": moto.url}
    command = [sys.executable, "-m", "facedeploy", "destroy"]
    done = subprocess.run(command, env=environment, input="yes\n", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nothing was removed" in done.stderr
    done = subprocess.run(command, env=environment, input="typed\n", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
