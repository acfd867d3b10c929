"""What `make push` and `make ami` made, and what instances are told at boot."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facedeploy.errors import DeployError
from facedeploy.settings import DeploySettings

TIERS = ("web", "worker", "controller")
_VARIABLE = re.compile(r"EFACE_[A-Z0-9_]{1,64}=[ -~]{0,1024}")


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


def encoded(environment: Mapping[str, str]) -> str:
    """User data of these variables: one NAME=value a line, in base64."""
    return base64.b64encode("".join(f"{name}={value}\n" for name, value in environment.items()).encode()).decode()


def decoded(user_data: str) -> dict[str, str]:
    """The variables that user data of `encoded` holds."""
    return variables(base64.b64decode(user_data).decode())


def variables(lines: str) -> dict[str, str]:
    """The variables of EFACE_NAME=value lines; raises DeployError where a machine would refuse a line at boot."""
    found = [line.strip() for line in lines.splitlines() if line.strip()]
    if wrong := [line for line in found if not _VARIABLE.fullmatch(line)]:
        raise DeployError(f"not EFACE_NAME=value in printable ASCII: {', '.join(wrong)}")
    return dict(line.split("=", 1) for line in found)


def worker_environment(settings: DeploySettings, images: Images, before: Mapping[str, str]) -> dict[str, str]:
    """What workers are told: `before` is what they were told until now, which stays where nothing else is said."""
    return {
        "EFACE_MODEL": settings.model,
        **before,
        "EFACE_ROLE": "worker",
        "EFACE_ID": settings.id,
        "EFACE_REGION": settings.region,
        "EFACE_WORKER_IMAGE": images.worker,
        "EFACE_LOG_GROUP": f"{settings.id}/worker",
        **({"EFACE_MODEL": settings.model} if "model" in settings.model_fields_set else {}),
        **variables(settings.worker_environment),
    }


def web_environment(
    settings: DeploySettings, images: Images, before: Mapping[str, str], subnets: str
) -> dict[str, str]:
    """What the web host is told; `before` as in `worker_environment`, `subnets` separated by commas."""
    choices = {"EFACE_MAX_INSTANCES": str(settings.max_instances), "EFACE_INSTANCE_TYPES": settings.instance_types}
    chosen = {name: value for name, value in choices.items() if name[6:].lower() in settings.model_fields_set}
    return {
        **choices,
        **before,
        "EFACE_ROLE": "web",
        "EFACE_ID": settings.id,
        "EFACE_REGION": settings.region,
        "EFACE_WEB_IMAGE": images.web,
        "EFACE_CONTROLLER_IMAGE": images.controller,
        "EFACE_LOG_GROUP": f"{settings.id}/web",
        "EFACE_SUBNETS": subnets,
        **chosen,
    }
