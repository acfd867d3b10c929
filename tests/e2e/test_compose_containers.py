"""The containers of the compose stack: who runs as what, and what each may do."""

import json
import subprocess
from typing import Any

import pytest
from support.ground import ROOT
from support.stacks.compose import ComposeStack
from support.uploads import Upload, photograph

pytestmark = pytest.mark.alone

OURS = ("web", "controller", "hypervisor", "resources", "enrol")
ROOT_FOR_ITS_SOCKET = "hypervisor"
SOCKET = "/var/run/docker.sock"
PUBLISHED = {"web": "8000/tcp", "localstack": "4566/tcp"}


def _host(stack: ComposeStack, service: str) -> dict[str, Any]:
    return dict(stack.service(service).attrs["HostConfig"])


def _user(stack: ComposeStack, service: str) -> str:
    return str(stack.service(service).attrs["Config"]["User"])


def test_only_the_hypervisor_runs_as_root(compose_stack: ComposeStack) -> None:
    users = {service: _user(compose_stack, service) for service in OURS}
    assert users.pop(ROOT_FOR_ITS_SOCKET) == "0"
    assert set(users.values()) == {"10001"}


def test_nothing_of_ours_has_a_capability_or_writes_to_its_root(compose_stack: ComposeStack) -> None:
    for service in OURS:
        host = _host(compose_stack, service)
        assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False), service
        assert host["ReadonlyRootfs"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service


def test_only_the_hypervisor_has_the_engines_socket(compose_stack: ComposeStack) -> None:
    with_socket = {
        service
        for service in (*OURS, "localstack")
        if any(mount.get("Source") == SOCKET for mount in compose_stack.service(service).attrs["Mounts"])
    }
    assert with_socket == {ROOT_FOR_ITS_SOCKET}


def test_only_the_web_tier_and_the_emulator_are_published_and_only_here(compose_stack: ComposeStack) -> None:
    for service in (*OURS, "localstack"):
        bound = _host(compose_stack, service)["PortBindings"] or {}
        assert list(bound) == ([PUBLISHED[service]] if service in PUBLISHED else []), service
        assert all(binding["HostIp"] == "127.0.0.1" for bindings in bound.values() for binding in bindings)


def test_a_workers_container_is_as_restricted_and_reaches_the_emulator_only(compose_stack: ComposeStack) -> None:
    uploads = [Upload(f"inspect-{i}.jpg", photograph("obama2.jpg")) for i in range(3)]
    answers = compose_stack.burst(uploads)
    assert [answer.text for answer in answers] == [f"inspect-{i}.jpg:Barack Obama" for i in range(3)]
    worker = compose_stack.workers()[0]
    assert worker.labels["com.docker.compose.project"] == ""
    host = worker.attrs["HostConfig"]
    assert worker.attrs["Config"]["User"] == "10001"
    assert (host["CapDrop"], host["ReadonlyRootfs"], host["Binds"]) == (["ALL"], True, None)
    assert host["NanoCpus"] > 0
    assert host["Memory"] > 0
    assert list(worker.attrs["NetworkSettings"]["Networks"]) == [f"{compose_stack.project}-instances"]
    assert compose_stack.engine.networks.get(f"{compose_stack.project}-instances").attrs["Internal"]


def test_images_carry_their_title_and_have_no_build_tools(compose_stack: ComposeStack) -> None:
    for name in ("web", "controller", "hypervisor", "worker:onnx"):
        image = compose_stack.engine.images.get(f"elastic-face/{name}")
        assert image.labels["org.opencontainers.image.title"].startswith("Elastic Face")
        assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert image.attrs["Config"]["StopSignal"] == "SIGTERM"
        assert image.attrs["Config"]["Healthcheck"]
        pip = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is not None)"
        command = ["docker", "run", "--rm", "--entrypoint", "/opt/venv/bin/python", f"elastic-face/{name}", "-c", pip]
        assert subprocess.run(command, check=False).returncode == 0, name


def test_compose_takes_its_file_as_it_is() -> None:
    command = ["docker", "compose", "config", "--format", "json"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not answer.stderr
    assert set(json.loads(answer.stdout)["services"]) == {*OURS, "localstack"}
