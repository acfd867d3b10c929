"""LocalStack in a container of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
from facecore.aws import Aws
from facecore.settings import AwsSettings

from support.ground import PATIENCE_S
from support.stacks.containers import published

IMAGE = "localstack/localstack:4.14.0"
# Queue URLs with the host that the caller used; no events to the maker's servers.
_ENVIRONMENT = {"SQS_ENDPOINT_STRATEGY": "dynamic", "DISABLE_EVENTS": "1"}


@contextmanager
def started(environment: Mapping[str, str] | None = None, **options: Any) -> Iterator[str]:
    """The URL of an empty account while the block runs; the account's number is the caller's access key.

    `options` are of the container.
    """
    variables = _ENVIRONMENT | dict(environment or {})
    with published(docker.from_env(), IMAGE, 4566, "/_localstack/health", environment=variables, **options) as url:
        # EC2 loads at its first call, which takes longer than clients wait when the machine is loaded.
        aws = Aws(AwsSettings(id="warm-up", endpoint_url=url))
        aws.client("ec2", read_timeout_s=PATIENCE_S).describe_images(Owners=["self"])
        yield url
