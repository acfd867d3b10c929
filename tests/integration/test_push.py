"""`push` builds the images, and a registry that asks for a password has them afterwards."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import docker
import httpx
import numpy as np
import pytest
from docker.types import Mount
from facedeploy import DeployError, images
from facedeploy.account import Account
from facedeploy.destroy import destroy
from facedeploy.enrol import enrol
from facedeploy.settings import DeploySettings
from support.aws import moto_account
from support.aws.moto_account import PASSWORD, MotoAccount
from support.ground import ROOT, free_ports
from support.requirements import require_engine
from support.stacks import images as container_images

REVISION = "0123456789ab"
USERS = "/etc/elastic-face/users"


@pytest.fixture(scope="module")
def registry(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry whose user is ECR's."""
    require_engine()
    engine = docker.from_env()
    image = container_images.registry(engine)
    users = tmp_path_factory.mktemp("registry") / "users"
    users.write_bytes(engine.containers.run(image, ["htpasswd", "-Bbn", "AWS", PASSWORD], remove=True))
    [port] = free_ports(1)
    container = engine.containers.run(
        image,
        detach=True,
        remove=True,
        ports={"5000/tcp": ("127.0.0.1", port)},
        mounts=[Mount(USERS, str(users), type="bind", read_only=True)],
        environment={
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "tests",
            "REGISTRY_AUTH_HTPASSWD_PATH": USERS,
        },
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        container.kill()
        for image in engine.images.list(filters={"reference": f"127.0.0.1:{port}/*/*"}):
            engine.images.remove(image.id, force=True)


@pytest.fixture
def account(registry: str) -> Iterator[MotoAccount]:
    with moto_account.started(registry) as account:
        yield account


@pytest.mark.timeout(900)
def test_pushed_images_can_be_pulled_and_enrol_people(account: MotoAccount, registry: str, tmp_path: Path) -> None:
    lines: list[str] = []
    settings = DeploySettings(id="pushed", endpoint_url=account.url, build_dir=tmp_path, model="auto")
    written = images.push(Account(settings, lines.append), settings, images.revision())
    pushed = json.loads(written.read_text())
    assert list(pushed) == ["web", "worker", "controller"]
    for tier, image in pushed.items():
        repository, _, digest = image.partition("@")
        assert repository == f"{registry}/pushed/{tier}"
        url = f"http://{registry}/v2/pushed/{tier}/manifests/{digest}"
        accept = {
            "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        }
        assert httpx.get(url, headers=accept, auth=("AWS", PASSWORD)).status_code == httpx.codes.OK
        assert httpx.get(url, headers=accept).status_code == httpx.codes.UNAUTHORIZED
    assert images.read_images(settings) == images.Images(**pushed)
    described = Account(settings, lines.append).ecr.describe_repositories()["repositories"]
    assert {one["repositoryName"]: one["imageTagMutability"] for one in described} == {
        f"pushed/{tier}": "IMMUTABLE" for tier in pushed
    }
    _enrols(account, settings)


def _enrols(account: MotoAccount, settings: DeploySettings) -> None:
    caller = Account(settings, lambda _: None)
    s3 = caller.s3
    s3.create_bucket(Bucket=settings.gallery_bucket)
    s3.put_bucket_versioning(Bucket=settings.gallery_bucket, VersioningConfiguration={"Status": "Enabled"})
    faces = ROOT / "tests/faces/gallery"
    # As on a machine that did not push it.
    docker.from_env().images.remove(images.read_images(settings).worker, force=True)
    enrol(caller, settings.model_copy(update={"gallery": faces}))
    with np.load(io.BytesIO(s3.get_object(Bucket=settings.gallery_bucket, Key="gallery.npz")["Body"].read())) as made:
        assert set(made["names"]) == {"Barack Obama", "Joe Biden"}
    with pytest.raises(DeployError, match="no folder"):
        enrol(caller, settings.model_copy(update={"gallery": faces / "missing"}))
    with pytest.raises(DeployError, match="no picture was enrolled"):
        enrol(caller, settings.model_copy(update={"gallery": ROOT / "tests/registry"}))


def test_an_image_of_this_commit_is_not_pushed_again(account: MotoAccount, tmp_path: Path) -> None:
    lines: list[str] = []
    settings = DeploySettings(id="again", endpoint_url=account.url, build_dir=tmp_path, model="auto")
    caller = Account(settings, lines.append)
    caller.stacks.apply(settings.registry_stack, "registry.yaml", {"Id": "again"})
    digests = {}
    for tier, tag in (("web", "0123456789ab"), ("worker", "0123456789ab-auto"), ("controller", "0123456789ab")):
        manifest = moto_account.manifest(tier)
        answer = caller.ecr.put_image(repositoryName=f"again/{tier}", imageManifest=manifest, imageTag=tag)
        digests[tier] = answer["image"]["imageId"]["imageDigest"]
    pushed = json.loads(images.push(caller, settings, REVISION).read_text())
    assert {tier: image.partition("@")[2] for tier, image in pushed.items()} == digests
    assert [line for line in lines if line.endswith("building")] == []


def test_a_failed_build_says_what_docker_said(account: MotoAccount, tmp_path: Path) -> None:
    settings = DeploySettings(id="failed", endpoint_url=account.url, build_dir=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "DOCKERFILES", {"web": "images/web/No-such-file"})
        with pytest.raises(DeployError, match=r"build the web image.*\n.*No-such-file"):
            images.push(Account(settings, lambda _: None), settings, REVISION)
    assert not (tmp_path / "images.json").exists()


def test_without_docker_it_says_so(account: MotoAccount, tmp_path: Path) -> None:
    settings = DeploySettings(id="nodocker", endpoint_url=account.url, build_dir=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(DeployError, match="no docker on this machine"):
            images.push(Account(settings, lambda _: None), settings, REVISION)


def test_removal_of_everything_empties_the_registry(account: MotoAccount, tmp_path: Path) -> None:
    settings = DeploySettings(id="emptied", endpoint_url=account.url, build_dir=tmp_path, KEEP_DATA="no")
    caller = Account(settings, lambda _: None, poll_s=0.1)
    caller.stacks.apply(settings.registry_stack, "registry.yaml", {"Id": "emptied"})
    for tier in images.TIERS:
        manifest = moto_account.manifest(tier)
        caller.ecr.put_image(repositoryName=f"emptied/{tier}", imageManifest=manifest, imageTag="one")
    destroy(caller, settings.model_copy(update={"keep_data": "yes"}))
    assert len(caller.ecr.list_images(repositoryName="emptied/web")["imageIds"]) == 1
    destroy(caller, settings)
    assert caller.ecr.describe_repositories()["repositories"] == []
    assert caller.stacks.status(settings.registry_stack) is None
