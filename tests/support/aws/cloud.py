"""An account of AWS to build machines in and to run them in: LocalStack and a registry, on a network of their own."""

import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors

from support.stacks import images as container_images
from support.stacks.stack import Stack

LOCALSTACK = "localstack/localstack:4.14.0"
REGISTRY = "registry:5000"
READY_IN_S = 90.0


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
    registry_image = container_images.registry(engine)
    name = f"elastic-face-test-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        network = engine.networks.create(name)
        stack.callback(network.remove)
        localstack = _started(
            engine, stack, name, "localstack", image=LOCALSTACK, port="4566/tcp", environment=_LOCALSTACK
        )
        registry = _started(engine, stack, name, "registry", image=registry_image, port="5000/tcp", environment={})
        until(lambda: _answers(f"http://{localstack}/_localstack/health"), READY_IN_S, "LocalStack does not answer")
        until(lambda: _answers(f"http://{registry}/v2/"), READY_IN_S, "the registry does not answer")
        yield Cloud(engine, name, f"http://{localstack}", registry)


_LOCALSTACK = {
    "SERVICES": "s3,sqs,ec2,iam,sts,cloudformation,logs",
    "SQS_ENDPOINT_STRATEGY": "dynamic",
    "DISABLE_EVENTS": "1",
}


def _started(
    engine: Any, stack: ExitStack, network: str, alias: str, *, image: str, port: str, environment: dict[str, str]
) -> str:
    """Starts a container that is known as `alias` on the network, and returns its port's address on this computer."""
    aliases = engine.api.create_endpoint_config(aliases=[alias])
    container = engine.containers.run(
        image,
        name=f"{network}-{alias}",
        detach=True,
        network=network,
        networking_config={network: aliases},
        ports={port: ("127.0.0.1", None)},
        environment=environment,
    )
    stack.callback(container.remove, force=True, v=True)
    container.reload()
    return f"127.0.0.1:{container.ports[port][0]['HostPort']}"


def until(condition: Callable[[], Any], timeout_s: float, failure: str) -> Any:
    """What `condition` returns once that is true; raises AssertionError with `failure` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{failure} after {timeout_s:.0f} s"
        time.sleep(0.2)
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
