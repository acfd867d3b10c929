"""An account of AWS to build machines in and to run them in: LocalStack and a registry, on a network of their own."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import docker

from support.aws import localstack
from support.stacks import images as container_images
from support.stacks.containers import published
from support.stacks.stack import Stack

REGISTRY = "registry:5000"
# What machines and their deployment use; LocalStack loads no other.
_SERVICES = {"SERVICES": "s3,sqs,ec2,iam,sts,cloudformation,logs"}


@dataclass
class Cloud:
    """Where machines reach LocalStack as `localstack:4566` and the registry as `registry:5000`."""

    engine: Any
    network: str
    aws_url: str
    """LocalStack from this computer."""
    registry_address: str
    """The registry from this computer."""

    @contextmanager
    def subnet(self, name: str) -> Iterator[str]:
        """Another network from which both are reached, while the block runs."""
        network = self.engine.networks.create(f"{self.network}-{name}")
        try:
            for alias in ("localstack", "registry"):
                network.connect(f"{self.network}-{alias}", aliases=[alias])
            yield str(network.name)
        finally:
            for alias in ("localstack", "registry"):
                network.disconnect(f"{self.network}-{alias}", force=True)
            network.remove()

    @property
    def ec2(self) -> Any:
        """A client of the emulated EC2."""
        return Stack("", self.aws_url).client("ec2")

    def push(self, image: str, name: str) -> str:
        """Pushes a local image as `name`, and returns its reference by digest as machines know it."""
        repository = f"{self.registry_address}/{name}"
        self.engine.images.get(image).tag(repository, "test")
        for step in self.engine.api.push(repository, tag="test", stream=True, decode=True):
            assert "error" not in step, step
            if digest := step.get("aux", {}).get("Digest"):
                found = str(digest)
        self.engine.images.remove(f"{repository}:test")
        return f"{REGISTRY}/{name}@{found}"


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """An empty account, while the block runs; nothing of it is left then."""
    engine = docker.from_env()
    name = f"elastic-face-test-{uuid.uuid4().hex[:8]}"
    registry_image = container_images.registry(engine)
    with ExitStack() as stack:
        network = engine.networks.create(name)
        stack.callback(network.remove)
        aws_url = stack.enter_context(localstack.started(_SERVICES, **_known_as(engine, name, "localstack")))
        place = _known_as(engine, name, "registry")
        registry_url = stack.enter_context(published(engine, registry_image, 5000, "/v2/", **place))
        yield Cloud(engine, name, aws_url, registry_url.removeprefix("http://"))


def _known_as(engine: Any, network: str, alias: str) -> dict[str, Any]:
    """Options of a container that the others on the network know as `alias`."""
    endpoint = engine.api.create_endpoint_config(aliases=[alias])
    return {"name": f"{network}-{alias}", "network": network, "networking_config": {network: endpoint}}
