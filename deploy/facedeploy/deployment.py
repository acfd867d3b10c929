"""Makes a deployment of the stacks, in the order in which they build on each other."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facedeploy import builds
from facedeploy.errors import DeployError

if TYPE_CHECKING:
    from facedeploy.account import Account
    from facedeploy.builds import Images
    from facedeploy.settings import DeploySettings

ZONES = 3
"""Most zones to launch in."""
_POLL_S = 5.0


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
    ami = builds.read_ami(settings)
    device, size_gib = account.root_device(ami)
    build = _Build(builds.read_images(settings), ami, device, str(size_gib) if size_gib else None)
    network = _network(account, settings)
    launch_template = _resources(account, settings, build, network)
    account.stacks.apply(
        settings.access_stack,
        "access.yaml",
        {
            "Id": settings.id,
            "WorkerLaunchTemplate": account.arn(f"launch-template/{launch_template}"),
            "LaunchResources": ",".join(
                account.arn(resource)
                for resource in (
                    f"launch-template/{launch_template}",
                    f"security-group/{network['WorkerSecurityGroup']}",
                    *(f"subnet/{subnet}" for subnet in network["Subnets"].split(",")),
                )
            ),
            "WorkerInstanceTypes": _chosen(settings, "instance_types"),
        },
    )
    return _host(account, settings, build, network)


def wait_until_ready(address: str, timeout_s: float) -> None:
    """Returns when the web tier says that it is ready; raises DeployError after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(f"{address}readyz", timeout=5):  # noqa: S310  the deployment's own address
                return
        except urllib.error.HTTPError as error:
            last = error.read().decode(errors="replace").strip()
        except OSError as error:
            last = str(error)
        if time.monotonic() >= deadline:
            raise DeployError(
                f"{address} was not ready after {timeout_s:g} s ({last}): look at the web host's logs, as docs/aws.md "
                "says under Troubles; where EFACE_WEB_CIDR keeps this machine out, it cannot be seen from here"
            )
        time.sleep(_POLL_S)


def with_former_choices(account: Account, settings: DeploySettings) -> DeploySettings:
    """The settings with what an existing deployment has where nothing else was chosen."""
    host = account.stacks.parameters(settings.host_stack)
    web = builds.decoded(host.get("WebUserData", ""))
    worker = builds.decoded(account.stacks.parameters(settings.resources_stack).get("WorkerUserData", ""))
    former = {
        "model": worker.get("EFACE_MODEL"),
        "max_instances": web.get("EFACE_MAX_INSTANCES"),
        "instance_types": web.get("EFACE_INSTANCE_TYPES"),
        "web_instance_type": host.get("WebInstanceType"),
    }
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return type(settings).model_validate({name: value for name, value in former.items() if value} | given)


def _chosen(settings: DeploySettings, field: str) -> str | None:
    """The setting's value if it was given: the stack keeps its own otherwise."""
    return str(getattr(settings, field)) if field in settings.model_fields_set else None


def _network(account: Account, settings: DeploySettings) -> dict[str, str]:
    zones: dict[str, str | None] = {"ZoneA": None, "ZoneB": None, "ZoneC": None}
    # A subnet cannot move to another zone, so the first deployment's choice stays.
    if not account.stacks.parameters(settings.network_stack):
        wanted = f"{settings.instance_types},{settings.web_instance_type}"
        found = account.zones(wanted)[:ZONES]
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


def _resources(account: Account, settings: DeploySettings, build: _Build, network: dict[str, str]) -> str:
    """Makes what holds data, and returns the id of the workers' launch template."""
    before = account.stacks.parameters(settings.resources_stack).get("WorkerUserData", "")
    user_data = builds.encoded(builds.worker_environment(settings, build.images, builds.decoded(before)))
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
            "WorkerUserData": user_data,
            "FaceDataDays": _chosen(settings, "face_data_days"),
        },
        protect=True,
    )
    account.use_latest_launch_template()
    _retire(account, user_data)
    return account.stacks.outputs(settings.resources_stack)["WorkerLaunchTemplateId"]


def _retire(account: Account, user_data: str) -> None:
    """Terminates stopped workers that are told something else than new ones: started again, they would do as before."""
    stale = [one for one in account.workers("stopped") if account.user_data(one) != user_data]
    if stale:
        account.terminate(stale)
        account.say(f"{len(stale)} stopped workers of the former settings terminated")
    if busy := [one for one in account.workers("pending", "running") if account.user_data(one) != user_data]:
        account.say(f"{len(busy)} workers run with the former settings; deploy again when they are idle to retire them")


def _host(account: Account, settings: DeploySettings, build: _Build, network: dict[str, str]) -> str:
    before = builds.decoded(account.stacks.parameters(settings.host_stack).get("WebUserData", ""))
    account.stacks.apply(
        settings.host_stack,
        "stack.yaml",
        {
            "Id": settings.id,
            "ImageId": build.ami,
            "RootDeviceName": build.root_device,
            "RootVolumeGib": build.root_gib,
            "WebInstanceType": _chosen(settings, "web_instance_type"),
            "WebUserData": builds.encoded(builds.web_environment(settings, build.images, before, network["Subnets"])),
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
