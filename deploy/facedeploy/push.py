"""Builds the container images and pushes them to the account's registry."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facecore.aws import translated
from facecore.errors import AwsError

from facedeploy import builds
from facedeploy.errors import DeployError

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.settings import DeploySettings

ROOT = Path(__file__).parents[2]
DOCKERFILES = {
    "web": "images/web/Dockerfile",
    "worker": "images/worker/Dockerfile",
    "controller": "controller/Dockerfile",
}
_PASSED = ("PYTHON_IMAGE", "TORCH_INDEX", "EFACE_WEIGHTS_URL", "EFACE_WEIGHTS_SHA256")
"""Build arguments that are passed on from the environment."""


def push(account: Account, settings: DeploySettings) -> Path:
    """Makes the repositories, builds the images, pushes them, and returns the file that names their digests.

    An image of this commit that the registry has already is left as it is. Raises DeployError, and the AWS errors of
    `facecore.errors`.
    """
    account.stacks.apply(settings.registry_stack, "registry.yaml", {"Id": settings.id})
    revision = _revision()
    with logged_in(account):
        images = {tier: _pushed(account, settings, tier, revision) for tier in DOCKERFILES}
    return builds.write_images(settings, images)


@contextmanager
def logged_in(account: Account) -> Iterator[None]:
    """The Docker engine may push and pull while the block runs. Raises as `push` does."""
    registry = _log_in(account)
    try:
        yield
    finally:
        _run("log out of the registry", ["docker", "logout", registry])


def _pushed(account: Account, settings: DeploySettings, tier: str, revision: str) -> str:
    name = f"{settings.id}/{tier}"
    with translated(f"look up the repository {name}"):
        uri = account.ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryUri"]
    tag = f"{revision}-{settings.model}" if tier == "worker" else revision
    if digest := _digest(account, name, tag):
        account.say(f"{tier}: {tag} is in the registry already")
        return f"{uri}@{digest}"
    account.say(f"{tier}: building {tag}")
    _run(f"build the {tier} image", ["docker", "build", "--quiet", "--platform", "linux/amd64",
         "--tag", f"{uri}:{tag}", "--file", DOCKERFILES[tier], *_arguments(settings, tier, revision), "."])  # fmt: skip
    account.say(f"{tier}: pushing")
    _run(f"push the {tier} image", ["docker", "push", "--quiet", f"{uri}:{tag}"])
    digests = _run(
        f"look at the {tier} image",
        ["docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", f"{uri}:{tag}"],
    ).split()
    found = [digest for digest in digests if digest.startswith(f"{uri}@sha256:")]
    if not found:
        raise DeployError(f"the engine knows no digest of {uri}:{tag} after the push; push again")
    return found[-1]


def _arguments(settings: DeploySettings, tier: str, revision: str) -> list[str]:
    values = {name: os.environ[name] for name in _PASSED if os.environ.get(name)} | {"REVISION": revision}
    if tier != "worker":
        values = {name: value for name, value in values.items() if name in ("PYTHON_IMAGE", "REVISION")}
        return [word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")]
    values["EFACE_MODEL"] = settings.model
    return [
        "--target",
        "onnx",
        *(word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")),
    ]


def _digest(account: Account, repository: str, tag: str) -> str | None:
    try:
        with translated(f"look for {tag} in {repository}"):
            found = account.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except AwsError as error:
        if error.aws_code == "ImageNotFoundException":
            return None
        raise
    return found["imageDetails"][0]["imageDigest"]


def _log_in(account: Account) -> str:
    """Gives the Docker engine the registry's password, which holds for twelve hours; returns the registry's name."""
    with translated("get the registry's password"):
        token = account.ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    registry = token["proxyEndpoint"].partition("://")[2]
    _run("log in to the registry", ["docker", "login", "--username", user, "--password-stdin", registry], password)
    return registry


def _revision() -> str:
    """The commit, told apart from other builds where the work tree differs from it: tags cannot be used twice."""
    commit = _run("ask git for the commit", ["git", "rev-parse", "--short=12", "HEAD"]).strip()
    changed = _run("ask git for changes", ["git", "status", "--porcelain"]).strip()
    return f"{commit}-changed-{int(time.time())}" if changed else commit


def _run(doing: str, command: list[str], given: str | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise DeployError(f"cannot {doing}: there is no {command[0]} on this machine; install it") from error
    if done.returncode:
        raise DeployError(f"cannot {doing}:\n{done.stderr.strip()[-3000:]}")
    return done.stdout
