"""Enrols a folder of people into a deployment; the worker's image makes the gallery on this machine."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import boto3
from facecore.aws import translated

from facedeploy import DeployError
from facedeploy.images import logged_in, read_images

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.settings import DeploySettings


def enrol(account: Account, settings: DeploySettings) -> None:
    """Enrols `settings.gallery` with the caller's credentials, which need s3:PutObject on the gallery bucket.

    The photographs stay on this machine. Raises DeployError and the AWS errors of `facecore.errors`.
    """
    folder = settings.gallery
    if not folder.is_dir():
        raise DeployError(f"there is no folder {folder}: give GALLERY=folder with a sub-folder of photographs a person")
    with translated("find AWS credentials"):
        found = boto3.Session().get_credentials()
        if found is None:
            raise DeployError("there are no AWS credentials: run `aws configure`, or set AWS_PROFILE")
        credentials = found.get_frozen_credentials()
    values = {
        "EFACE_ID": settings.id,
        "EFACE_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": credentials.access_key or "",
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key or "",
        "AWS_SESSION_TOKEN": credentials.token or "",
        "AWS_ENDPOINT_URL": settings.endpoint_url or "",
    }
    environment = {name: value for name, value in values.items() if value}
    # Only the names are in the command, where other users of the machine could read it.
    passed = [word for name in environment for word in ("--env", name)]
    image = read_images(settings).worker
    command = ["docker", "run", "--rm", "--volume", f"{folder}:/gallery:ro", *passed]
    # An emulator is on this machine.
    command += ["--network", "host", image] if settings.endpoint_url else [image]
    command += ["faceworker.enrol", "/gallery", "--upload", "--model", settings.model]
    # If another machine pushed it, the image is pulled.
    with logged_in(account):
        status = subprocess.run(command, env=os.environ | environment, check=False).returncode  # noqa: S603
    if status:
        raise DeployError(f"no picture was enrolled: the enroller ended with status {status}; see above")
