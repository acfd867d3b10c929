"""Makes a deployment of the stacks, in the order in which they build on each other."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facecore import user_data
from facecore.variables import KNOWN

from facedeploy import DeployError
from facedeploy.images import Images, read_ami, read_images

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.settings import DeploySettings

ZONES = 3
"""Most zones to launch in."""


@dataclass(frozen=True, slots=True)
class _Build:
    """What the machines of a deployment are made of."""

    images: Images
    ami: str
    root_device: str
    root_gib: str | None


def deploy(account: Account, settings: DeploySettings) -> str:
    """Creates the deployment or updates it, and returns its address, which may not answer yet.

    Raises DeployError, and the AWS errors of `facecore.errors`. Safe to run again, also after a failure.
    """
    ami = read_ami(settings)
    build = _Build(read_images(settings), ami, *account.root_device(ami))
    network = _make_network(account, settings)
    # The permissions name the launch template, and the host has them from its first call on.
    launch_template = _make_resources(account, settings, build, network)
    _grant_access(account, settings, launch_template, network)
    return _make_host(account, settings, build, network)


def wait_until_ready(address: str, timeout_s: float, poll_s: float = 5.0) -> None:
    """Returns when the web tier says that it is ready; raises DeployError after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(f"{address}readyz", timeout=5):  # noqa: S310  the deployment's own address
                return
        except urllib.error.HTTPError as error:
            # Its text names the check that fails.
            last = error.read().decode(errors="replace").strip()
        except OSError as error:
            last = str(error)
        if time.monotonic() >= deadline:
            raise DeployError(
                f"{address} was not ready after {timeout_s:g} s ({last}): look at the web host's logs, as docs/aws.md "
                "says under Troubles; if EFACE_WEB_CIDR keeps this machine out, it cannot be seen from here"
            )
        time.sleep(poll_s)


def with_former_choices(account: Account, settings: DeploySettings) -> DeploySettings:
    """The settings with what an existing deployment has for all that was not chosen now."""
    host = account.stacks.parameters(settings.host_stack)
    web = user_data.decode(host.get("WebUserData", ""))
    worker = user_data.decode(account.stacks.parameters(settings.resources_stack).get("WorkerUserData", ""))
    former = {
        "model": worker.get("EFACE_MODEL"),
        "max_instances": web.get("EFACE_MAX_INSTANCES"),
        "instance_types": web.get("EFACE_INSTANCE_TYPES"),
        "web_instance_type": host.get("WebInstanceType"),
    }
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return type(settings).model_validate({name: value for name, value in former.items() if value} | given)


def former_user_data(account: Account, stack: str, parameter: str) -> dict[str, str]:
    """The variables of user data that a stack has, without those that no program reads any more."""
    former = user_data.decode(account.stacks.parameters(stack).get(parameter, ""))
    # A program would refuse to start with them.
    if unknown := [name for name in former if name not in KNOWN and name.startswith("EFACE_")]:
        account.say(f"{stack}: no program reads {', '.join(unknown)} any more; removed from the user data")
    return {name: value for name, value in former.items() if name not in unknown}


def worker_environment(settings: DeploySettings, images: Images, former: Mapping[str, str]) -> dict[str, str]:
    """User data of the workers; the lines of `former`, which they had until now, stay unless others are chosen."""
    told = {
        "EFACE_MODEL": str(settings.model),
        **former,
        "EFACE_ROLE": "worker",
        "EFACE_ID": settings.id,
        "EFACE_REGION": settings.region,
        "EFACE_WORKER_IMAGE": images.worker,
        "EFACE_LOG_GROUP": f"{settings.id}/worker",
        **({"EFACE_MODEL": str(settings.model)} if "model" in settings.model_fields_set else {}),
        **user_data.parse(settings.worker_environment),
    }
    # An empty value is how a former line is taken back.
    return {name: value for name, value in told.items() if value}


def web_environment(
    settings: DeploySettings, images: Images, former: Mapping[str, str], subnets: str
) -> dict[str, str]:
    """User data of the web host; `former` as in `worker_environment`, `subnets` separated by commas."""
    # Defaults come first, so that former lines replace them; what was chosen now comes last.
    choices = {"EFACE_MAX_INSTANCES": str(settings.max_instances), "EFACE_INSTANCE_TYPES": settings.instance_types}
    chosen = {name: value for name, value in choices.items() if name[6:].lower() in settings.model_fields_set}
    told = {
        **choices,
        **former,
        "EFACE_ROLE": "web",
        "EFACE_ID": settings.id,
        "EFACE_REGION": settings.region,
        "EFACE_WEB_IMAGE": images.web,
        "EFACE_CONTROLLER_IMAGE": images.controller,
        "EFACE_LOG_GROUP": f"{settings.id}/web",
        "EFACE_SUBNETS": subnets,
        **chosen,
        **user_data.parse(settings.web_environment),
    }
    return {name: value for name, value in told.items() if value}


def _chosen(settings: DeploySettings, field: str) -> str | None:
    """The setting's value if it was given: the stack keeps its own otherwise."""
    return str(getattr(settings, field)) if field in settings.model_fields_set else None


def _make_network(account: Account, settings: DeploySettings) -> dict[str, str]:
    """Makes the network and returns its stack's outputs."""
    zones: dict[str, str | None] = {"ZoneA": None, "ZoneB": None, "ZoneC": None}
    # A subnet cannot move to another zone, so the first deployment's choice stays.
    if not account.stacks.parameters(settings.network_stack):
        wanted = f"{settings.instance_types},{settings.web_instance_type}"
        found = account.zones(wanted)[:ZONES]
        # network.yaml makes two or three subnets; one zone alone may run out of a type.
        if len(found) < ZONES - 1:
            raise DeployError(
                f"fewer than two zones of {settings.region} offer {wanted}: choose others with EFACE_INSTANCE_TYPES "
                "and EFACE_WEB_INSTANCE_TYPE"
            )
        zones = dict(zip(zones, [*found, ""], strict=False))
    account.stacks.apply(
        settings.network_stack, "network.yaml", {"Id": settings.id, "WebCidr": _chosen(settings, "web_cidr"), **zones}
    )
    return account.stacks.outputs(settings.network_stack)


def _make_resources(account: Account, settings: DeploySettings, build: _Build, network: Mapping[str, str]) -> str:
    """Makes what holds data, and returns the id of the workers' launch template."""
    former = former_user_data(account, settings.resources_stack, "WorkerUserData")
    told = user_data.encode(worker_environment(settings, build.images, former))
    preferred = settings.instance_types.split(",")[0] if _chosen(settings, "instance_types") else None
    account.stacks.apply(
        settings.resources_stack,
        "resources.yaml",
        {
            "Id": settings.id,
            "WorkerImageId": build.ami,
            "WorkerRootDeviceName": build.root_device,
            "WorkerVolumeGib": build.root_gib,
            "WorkerSecurityGroup": network["WorkerSecurityGroup"],
            "WorkerInstanceType": preferred,
            "WorkerUserData": told,
            "FaceDataDays": _chosen(settings, "face_data_days"),
        },
        protect=True,
    )
    account.use_latest_launch_template()
    # A stopped worker keeps its user data: started again, it would do as before.
    stale = [one for one in account.workers("stopped") if account.user_data(one) != told]
    if stale:
        account.terminate(stale)
        account.say(f"{len(stale)} stopped workers of the former settings terminated")
    if busy := [one for one in account.workers("pending", "running") if account.user_data(one) != told]:
        account.say(f"{len(busy)} workers run with the former settings; deploy again when they are idle to retire them")
    return account.stacks.outputs(settings.resources_stack)["WorkerLaunchTemplateId"]


def _grant_access(account: Account, settings: DeploySettings, launch_template: str, network: Mapping[str, str]) -> None:
    """Makes the roles, which may launch from this template into these subnets alone."""
    resources = [f"launch-template/{launch_template}", f"security-group/{network['WorkerSecurityGroup']}"]
    resources += [f"subnet/{subnet}" for subnet in network["Subnets"].split(",")]
    account.stacks.apply(
        settings.access_stack,
        "access.yaml",
        {
            "Id": settings.id,
            "WorkerLaunchTemplate": account.arn(f"launch-template/{launch_template}"),
            "LaunchResources": ",".join(account.arn(resource) for resource in resources),
            "WorkerInstanceTypes": _chosen(settings, "instance_types"),
        },
    )


def _make_host(account: Account, settings: DeploySettings, build: _Build, network: Mapping[str, str]) -> str:
    """Makes the web host, the logs and the alarms, and returns the host's address."""
    former = former_user_data(account, settings.host_stack, "WebUserData")
    account.stacks.apply(
        settings.host_stack,
        "stack.yaml",
        {
            "Id": settings.id,
            "ImageId": build.ami,
            "RootDeviceName": build.root_device,
            "RootVolumeGib": build.root_gib,
            "WebInstanceType": _chosen(settings, "web_instance_type"),
            "WebUserData": user_data.encode(web_environment(settings, build.images, former, network["Subnets"])),
            "WebSubnet": network["WebSubnet"],
            "WebSecurityGroup": network["WebSecurityGroup"],
            "WebProfile": account.stacks.outputs(settings.access_stack)["WebProfile"],
            "LogDays": _chosen(settings, "log_days"),
            "AlarmEmail": _chosen(settings, "alarm_email"),
            "OldestRequestS": _chosen(settings, "oldest_request_s"),
            "CostGuardVcpus": _chosen(settings, "cost_guard_vcpus"),
        },
    )
    return account.stacks.outputs(settings.host_stack)["Address"]
