"""What a deployment needs of its account, checked before anything is created: one finding a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from facecore.aws import translated
from facecore.errors import AccessError, AwsError, NotFoundError, RefusedError

from facedeploy import DeployError
from facedeploy.deployment import with_former_choices
from facedeploy.images import TIERS, read_ami, read_images

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.settings import DeploySettings

# Quotas: https://docs.aws.amazon.com/general/latest/gr/ec2-service.html and vpc-service.html
VCPUS = "L-1216C47A"
"""Running on-demand instances of the standard families, in virtual processors."""
ADDRESSES = "L-0263D0A3"
NETWORKS = "L-F678F1CE"
# What a change that CloudFormation has not ended ends with.
_STUCK = ("_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED")


class Verdict(StrEnum):
    """What came of a check."""

    FINE = "ok"
    MISSING = "MISSING"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's verdict, and what it rests on or what to do."""

    check: str
    verdict: Verdict
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:8}{self.check}: {self.text}"


class MissingError(Exception):
    """Something is not as it has to be. It never leaves this module."""


Check = Callable[["Account", "DeploySettings"], str]
"""Returns what a check rests on; raises MissingError, DeployError or an AWS error."""


def preflight(account: Account, settings: DeploySettings) -> Iterator[Finding]:
    """All checks, one after the other. Without credentials that work, only the first one is made."""
    first = _found("credentials", credentials, account, settings)
    yield first
    if first.verdict is not Verdict.FINE:
        return
    settings = with_former_choices(account, settings)
    for name, check in CHECKS.items():
        yield _found(name, check, account, settings)


def _found(name: str, check: Check, account: Account, settings: DeploySettings) -> Finding:
    try:
        return Finding(name, Verdict.FINE, check(account, settings))
    except (MissingError, DeployError) as error:
        return Finding(name, Verdict.MISSING, str(error))
    except AwsError as error:
        # A caller that may not look at quotas can deploy all the same; one without credentials cannot.
        return Finding(name, Verdict.MISSING if name == "credentials" else Verdict.UNKNOWN, str(error))


def credentials(account: Account, _settings: DeploySettings) -> str:
    """The caller's credentials work."""
    number, caller = account.identity
    return f"{caller} of account {number}"


def region(account: Account, settings: DeploySettings) -> str:
    """The region exists and is turned on in this account."""
    with translated(f"look at the region {settings.region}"):
        # Without AllRegions those that are turned off are not listed.
        regions = account.ec2.describe_regions(AllRegions=True)["Regions"]
    states = {one["RegionName"]: one.get("OptInStatus", "opt-in-not-required") for one in regions}
    state = states.get(settings.region)
    if state is None:
        raise MissingError(f"there is no region {settings.region}: choose another EFACE_REGION")
    if state == "not-opted-in":
        raise MissingError(f"{settings.region} is turned off in this account: enable it in the account's settings")
    return settings.region


def ami(account: Account, settings: DeploySettings) -> str:
    """The AMI exists, is available, and fits the container images."""
    wanted = read_ami(settings)
    try:
        with translated(f"look for the AMI {wanted}"):
            found = account.ec2.describe_images(ImageIds=[wanted], Owners=["self"])["Images"]
    except (NotFoundError, RefusedError) as error:
        raise MissingError(f"{wanted} cannot be read in {settings.region} ({error}): run `make ami`") from error
    if not found:
        raise MissingError(f"{wanted} is not an AMI of this account in {settings.region}: run `make ami`")
    image = found[0]
    if image["State"] != "available":
        raise MissingError(f"{wanted} is {image['State']}: wait until it is available, or run `make ami` again")
    if image["Architecture"] != "x86_64":
        raise MissingError(f"{wanted} is of {image['Architecture']}, but the container images are of amd64")
    return wanted


def images(account: Account, settings: DeploySettings) -> str:
    """The registry has the three container images."""
    pushed = read_images(settings)
    for tier in TIERS:
        _, _, digest = str(getattr(pushed, tier)).partition("@")
        repository = f"{settings.id}/{tier}"
        try:
            with translated(f"look for the image {digest} in {repository}"):
                account.ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
        except AwsError as error:
            if error.aws_code in ("ImageNotFoundException", "RepositoryNotFoundException"):
                raise MissingError(f"the registry has no {digest} in {repository}: run `make push`") from error
            raise
    return "all three are in the registry"


def types(account: Account, settings: DeploySettings) -> str:
    """Enough zones offer all instance types."""
    wanted = f"{settings.instance_types},{settings.web_instance_type}"
    zones = account.zones(wanted)
    if len(zones) < 2:  # noqa: PLR2004  the least that network.yaml takes
        raise MissingError(f"{len(zones)} zones of {settings.region} offer all of {wanted}, two are needed")
    return f"{wanted} in {len(zones)} zones"


def processors(account: Account, settings: DeploySettings) -> str:
    """The quota allows the web host and all workers at once."""
    names = [*settings.instance_types.split(","), settings.web_instance_type]
    with translated("look up the instance types"):
        found = account.ec2.describe_instance_types(InstanceTypes=sorted(set(names)))["InstanceTypes"]  # type: ignore[arg-type]
    sizes: dict[str, int] = {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for one in found}
    # All workers may come to be of the largest type, if EC2 is out of the others.
    largest = max(sizes[name] for name in names[:-1])
    needed = settings.max_instances * largest + sizes[names[-1]]
    allowed = int(_quota(account, "ec2", VCPUS))
    if allowed < needed:
        raise MissingError(
            f"{settings.max_instances} instances and the web host take {needed} virtual processors, but the account "
            f"may run {allowed}: ask for more (Service Quotas, EC2, {VCPUS}), or set "
            f"EFACE_MAX_INSTANCES={max(0, (allowed - sizes[names[-1]]) // largest)}"
        )
    return f"{needed} of {allowed} virtual processors at most"


def addresses(account: Account, settings: DeploySettings) -> str:
    """An Elastic IP address is left for the web host."""
    with translated("count the Elastic IP addresses"):
        used = len(account.ec2.describe_addresses()["Addresses"])
    return _one_more(account, settings.host_stack, ("ec2", ADDRESSES), used, "Elastic IP addresses")


def networks(account: Account, settings: DeploySettings) -> str:
    """A network (VPC) is left."""
    with translated("count the networks"):
        used = len(account.ec2.describe_vpcs()["Vpcs"])
    return _one_more(account, settings.network_stack, ("vpc", NETWORKS), used, "networks (VPCs)")


def _one_more(account: Account, stack: str, quota: tuple[str, str], used: int, what: str) -> str:
    if account.stacks.status(stack):
        return "there already"
    allowed = int(_quota(account, *quota))
    if used >= allowed:
        raise MissingError(f"all {allowed} {what} are taken: release one, or ask for more (Service Quotas, {quota[1]})")
    return f"{used} of {allowed} {what} taken"


def _quota(account: Account, service: str, code: str) -> float:
    with translated(f"read the quota {code}"):
        quota = account.client("service-quotas").get_service_quota(ServiceCode=service, QuotaCode=code)
    return float(quota["Quota"]["Value"])


def buckets(account: Account, settings: DeploySettings) -> str:
    """The buckets' names are free, or this deployment's own."""
    ours = account.stacks.status(settings.resources_stack) is not None
    for bucket in (settings.in_bucket, settings.out_bucket, settings.gallery_bucket):
        try:
            with translated(f"look for the bucket {bucket}"):
                account.s3.head_bucket(Bucket=bucket)
        except NotFoundError:
            continue
        except AccessError as error:
            # Bucket names are the world's: one that exists and is forbidden is not ours.
            raise MissingError(f"{bucket} belongs to another account: choose another EFACE_ID") from error
        if not ours:
            raise MissingError(
                f"{bucket} is in this account, but not of the stack {settings.resources_stack}: choose another "
                "EFACE_ID, or empty and remove the bucket"
            )
    return "there already" if ours else "their names are free"


def stacks(account: Account, settings: DeploySettings) -> str:
    """CloudFormation is done with all stacks."""
    names = (settings.network_stack, settings.resources_stack, settings.access_stack, settings.host_stack)
    states = {name: account.stacks.status(name) for name in names}
    stuck = [f"{name} is {state}" for name, state in states.items() if state and state.endswith(_STUCK)]
    if stuck:
        raise MissingError(f"{', '.join(stuck)}: CloudFormation has to end this first; see the stack's events")
    made = [name for name, state in states.items() if state]
    return f"{', '.join(made)} will be updated" if made else "all four will be created"


CHECKS: dict[str, Check] = {
    "region": region,
    "AMI": ami,
    "images": images,
    "instance types": types,
    "processors": processors,
    "addresses": addresses,
    "networks": networks,
    "buckets": buckets,
    "stacks": stacks,
}
"""What is checked once the credentials work, in this order."""
