"""The container images and the AMI of a deployment: pushed to the account's registry, and recorded in build/."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecore.aws import translated
from facecore.errors import AwsError

from facedeploy import DeployError

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.settings import DeploySettings

ROOT = Path(__file__).parents[2]
TIERS = ("web", "worker", "controller")
DOCKERFILES = {
    "web": "images/web/Dockerfile",
    "worker": "images/worker/Dockerfile",
    "controller": "controller/Dockerfile",
}
# Build arguments that are passed on from the environment.
_OF_ALL = ("PYTHON_IMAGE",)
_OF_WORKER = ("TORCH_INDEX", "EFACE_WEIGHTS_URL", "EFACE_WEIGHTS_SHA256")


@dataclass(frozen=True, slots=True)
class Images:
    """The container images of a deployment, each `<registry>/<repository>@sha256:<digest>`."""

    web: str
    worker: str
    controller: str


def read_images(settings: DeploySettings) -> Images:
    """The images that were pushed last; raises DeployError."""
    found = _read(settings.build_dir / "images.json", "make push")
    missing = [tier for tier in TIERS if "@sha256:" not in str(found.get(tier, ""))]
    if missing:
        raise DeployError(
            f"{settings.build_dir / 'images.json'} names no image for {', '.join(missing)}: run `make push`"
        )
    return Images(**{tier: str(found[tier]) for tier in TIERS})


def read_ami(settings: DeploySettings) -> str:
    """The AMI of the deployment; raises DeployError."""
    if settings.ami:
        return settings.ami
    ami = str(_read(settings.build_dir / "ami.json", "make ami").get("ami", ""))
    if not ami.startswith("ami-"):
        raise DeployError(f"{settings.build_dir / 'ami.json'} names no AMI: run `make ami`, or give AMI=ami-…")
    return ami


def write_images(settings: DeploySettings, images: Mapping[str, str]) -> Path:
    """Writes `images.json` and returns its path."""
    settings.build_dir.mkdir(parents=True, exist_ok=True)
    target = settings.build_dir / "images.json"
    target.write_text(json.dumps(dict(images), indent=2) + "\n", encoding="utf-8")
    return target


def _read(path: Path, command: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DeployError(f"there is no {path}: run `{command}` first") from error
    except ValueError as error:
        raise DeployError(f"{path} is not JSON ({error}): run `{command}` again") from error
    if not isinstance(content, dict):
        raise DeployError(f"{path} holds no JSON object: run `{command}` again")
    return content


def revision() -> str:
    """The commit, with the time added if the work tree differs from it."""
    # The repositories' tags are immutable, so each state of the work tree needs its own.
    commit = _run("ask git for the commit", ["git", "rev-parse", "--short=12", "HEAD"]).strip()
    changed = _run("ask git for changes", ["git", "status", "--porcelain"]).strip()
    return f"{commit}-changed-{int(time.time())}" if changed else commit


def push(account: Account, settings: DeploySettings, revision: str) -> Path:
    """Makes the repositories, builds the images, pushes them, and returns the file that names their digests.

    An image of this revision that the registry has already is not built again. Raises DeployError, and the AWS errors
    of `facecore.errors`.
    """
    account.stacks.apply(settings.registry_stack, "registry.yaml", {"Id": settings.id})
    with logged_in(account):
        images = {tier: _push_tier(account, settings, tier, revision) for tier in DOCKERFILES}
    return write_images(settings, images)


@contextmanager
def logged_in(account: Account) -> Iterator[None]:
    """The Docker engine may push and pull while the block runs. Raises as `push` does."""
    with translated("get the registry's password"):
        token = account.ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    registry = token["proxyEndpoint"].partition("://")[2]
    login = ["docker", "login", "--username", user, "--password-stdin", registry]
    _run("log in to the registry", login, given=password)
    try:
        yield
    finally:
        # The password holds for twelve hours; the engine would keep it in a file.
        _run("log out of the registry", ["docker", "logout", registry])


def _push_tier(account: Account, settings: DeploySettings, tier: str, revision: str) -> str:
    """Builds and pushes one image, and returns its name by digest."""
    name = f"{settings.id}/{tier}"
    with translated(f"look up the repository {name}"):
        uri = account.ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryUri"]
    # The worker's image holds the networks of its model.
    tag = f"{revision}-{settings.model}" if tier == "worker" else revision
    try:
        with translated(f"look for {tag} in {name}"):
            found = account.ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])["imageDetails"]
    except AwsError as error:
        if error.aws_code != "ImageNotFoundException":
            raise
    else:
        account.say(f"{tier}: {tag} is in the registry already")
        return f"{uri}@{found[0]['imageDigest']}"
    values = {name: os.environ.get(name, "") for name in _OF_ALL} | {"REVISION": revision}
    target: list[str] = []
    if tier == "worker":
        values |= {name: os.environ.get(name, "") for name in _OF_WORKER} | {"EFACE_MODEL": settings.model}
        target = ["--target", "onnx"]
    arguments = [word for name, value in values.items() if value for word in ("--build-arg", f"{name}={value}")]
    account.say(f"{tier}: building {tag}")
    # The platform is the AMI's; this machine may be of another.
    _run(f"build the {tier} image", ["docker", "build", "--quiet", "--platform", "linux/amd64",
         "--tag", f"{uri}:{tag}", "--file", DOCKERFILES[tier], *target, *arguments, "."])  # fmt: skip
    account.say(f"{tier}: pushing")
    _run(f"push the {tier} image", ["docker", "push", "--quiet", f"{uri}:{tag}"])
    template = "{{range .RepoDigests}}{{println .}}{{end}}"
    digests = _run(
        f"look at the {tier} image", ["docker", "image", "inspect", "--format", template, f"{uri}:{tag}"]
    ).split()
    # The engine knows the same image by the digests of other registries, too.
    pushed = [digest for digest in digests if digest.startswith(f"{uri}@sha256:")]
    if not pushed:
        raise DeployError(f"the engine knows no digest of {uri}:{tag} after the push; push again")
    return pushed[-1]


def _run(doing: str, command: list[str], given: str | None = None) -> str:
    """What the command writes; raises DeployError if it fails or is not installed."""
    try:
        done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise DeployError(f"cannot {doing}: there is no {command[0]} on this machine; install it") from error
    if done.returncode:
        # The end of a build's log says what failed.
        raise DeployError(f"cannot {doing}:\n{done.stderr.strip()[-3000:]}")
    return done.stdout
