"""Removes a deployment: what runs and costs money always, what holds data only when told to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from facecore.aws import translated
from facecore.errors import AwsError, NotFoundError

from facedeploy import DeployError
from facedeploy.images import TIERS

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.settings import DeploySettings

_ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
_TERMINATION_TIMEOUT_S = 600.0
_POLL_S = 3.0


def destroy(account: Account, settings: DeploySettings) -> None:
    """Removes the web host, the workers, permissions and the network; with `keep_data` of `no` all the rest too.

    Says what it kept. Raises DeployError and the AWS errors of `facecore.errors`; safe to run again then.
    """
    # The controller goes first: it would replace the workers that go next.
    account.stacks.delete(settings.host_stack)
    _terminate_workers(account)
    account.stacks.delete(settings.access_stack)
    account.stacks.delete(settings.network_stack)
    buckets = (settings.in_bucket, settings.out_bucket, settings.gallery_bucket)
    if settings.keep_data == "yes":
        kept = []
        if account.stacks.status(settings.resources_stack):
            kept.append(
                f"{settings.resources_stack}: the buckets {', '.join(buckets)}, the queues, the launch template"
            )
        if account.stacks.status(settings.registry_stack):
            kept.append(f"{settings.registry_stack}: the container images")
        kept += [f"{image['ImageId']} and its snapshots" for image in _amis(account, settings)]
        account.say("kept, and paid for as storage:" if kept else "nothing else is left")
        for line in kept:
            account.say(f"  {line}")
        if kept:
            account.say(f"`make destroy EFACE_ID={settings.id} KEEP_DATA=no` removes that too")
        return
    # CloudFormation removes neither a bucket nor a repository that holds anything.
    for bucket in buckets:
        _empty_bucket(account, bucket)
    account.stacks.delete(settings.resources_stack)
    for tier in TIERS:
        _empty_repository(account, f"{settings.id}/{tier}")
    account.stacks.delete(settings.registry_stack)
    for image in _amis(account, settings):
        ami = image["ImageId"]
        snapshots = [device["Ebs"]["SnapshotId"] for device in image["BlockDeviceMappings"] if "Ebs" in device]
        with translated(f"remove the AMI {ami}"):
            # In this order: a snapshot of a registered AMI cannot be deleted.
            account.ec2.deregister_image(ImageId=ami)
            for snapshot in snapshots:
                account.ec2.delete_snapshot(SnapshotId=snapshot)
        account.say(f"{ami}: removed, with {len(snapshots)} snapshots")
    account.say(f"nothing of {settings.id} is left")


def _terminate_workers(account: Account) -> None:
    """Terminates all workers, those included that come while it waits for the others."""
    deadline = time.monotonic() + _TERMINATION_TIMEOUT_S
    said = False
    while alive := account.workers(*_ALIVE):
        if not said:
            account.say(f"terminating {len(alive)} instances")
        said = True
        # Again for those that are shutting down: EC2 takes that without complaint.
        account.terminate(alive)
        if time.monotonic() >= deadline:
            raise DeployError(f"{', '.join(alive)} did not terminate; look at them in the console, then try again")
        time.sleep(_POLL_S)


def _empty_bucket(account: Account, bucket: str) -> None:
    """Removes every version of every object."""
    removed = 0
    try:
        with translated(f"empty the bucket {bucket}"):
            for page in account.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                found: list[Any] = [
                    {"Key": one["Key"], "VersionId": one["VersionId"]}
                    for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                ]
                if found:
                    answer = account.s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
                    if failed := answer.get("Errors"):
                        raise DeployError(f"{len(failed)} objects stay in {bucket}: {failed[0]}")
                    removed += len(found)
    except NotFoundError:
        return
    account.say(f"{bucket}: {removed} versions of objects removed")


def _empty_repository(account: Account, repository: str) -> None:
    try:
        with translated(f"empty the repository {repository}"):
            for page in account.ecr.get_paginator("list_images").paginate(repositoryName=repository):
                if found := page["imageIds"]:
                    account.ecr.batch_delete_image(repositoryName=repository, imageIds=found)
    except AwsError as error:
        if error.aws_code != "RepositoryNotFoundException":
            raise


def _amis(account: Account, settings: DeploySettings) -> list[Any]:
    """The AMIs that were baked with a worker's image of this deployment's registry."""
    ours: Any = {"Name": "tag:elastic-face:worker-image", "Values": [f"*/{settings.id}/worker@*"]}
    with translated("look for AMIs"):
        images = account.ec2.describe_images(Owners=["self"], Filters=[ours])["Images"]
    return list(images)
