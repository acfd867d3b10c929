"""An AWS account for tests of deployments: moto in this process, with a registry of one's choice and EC2's quotas."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from moto.ec2.models import ec2_backends
from moto.ecr import models as ecr
from moto.ecr import responses
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.servicequotas import models as quotas

ACCOUNT = "123456789012"
PASSWORD = f"{ACCOUNT}-auth-token"
"""What moto's ECR gives to user AWS."""


def manifest(name: str) -> str:
    """An image's manifest, another one for each name."""
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    config = {"digest": f"sha256:{name}", "size": 1}
    return json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": [], "config": config})


@dataclass
class MotoAccount:
    """An account: its URL, and the quotas that it has (moto 5.2 knows those of networks alone)."""

    url: str
    quotas: dict[str, float]


def register_image(ec2: Any, name: str, architecture: str = "x86_64") -> str:
    """Id of a new AMI; moto 5.2 drops its architecture."""
    ami = str(ec2.register_image(Name=name, RootDeviceName="/dev/xvda")["ImageId"])
    ec2_backends[ACCOUNT]["us-east-1"].amis[ami].architecture = architecture
    return ami


@contextmanager
def started(registry: str = "") -> Iterator[MotoAccount]:
    """An empty account while the block runs; its ECR says that images are at `registry`."""
    allowed = {"L-1216C47A": 32.0, "L-0263D0A3": 5.0, "L-F678F1CE": 5.0}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        _tell_quotas(patch, allowed)
        if registry:
            _tell_registry(patch, registry)
        server.start()
        host, port = server.get_host_and_port()
        # moto's state is its process's.
        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        try:
            yield MotoAccount(f"http://{host}:{port}", allowed)
        finally:
            server.stop()


def _tell_quotas(patch: pytest.MonkeyPatch, allowed: dict[str, float]) -> None:
    def get_service_quota(_: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": allowed[quota_code]}

    patch.setattr(quotas.ServiceQuotasBackend, "get_service_quota", get_service_quota)


def _tell_registry(patch: pytest.MonkeyPatch, registry: str) -> None:
    make: Any = ecr.Repository.__init__
    answer: Any = responses.ECRResponse.get_authorization_token

    def init(repository: Any, *arguments: Any, **named: Any) -> None:
        make(repository, *arguments, **named)
        repository.uri = f"{registry}/{repository.name}"

    def get_authorization_token(response: Any) -> Any:
        found = answer(response)
        for one in found.result["authorizationData"]:
            one["proxyEndpoint"] = f"http://{registry}"
        return found

    patch.setattr(ecr.Repository, "__init__", init)
    patch.setattr(responses.ECRResponse, "get_authorization_token", get_authorization_token)
