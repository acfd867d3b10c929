"""The container images of this checkout, under names of their own, so that a stack that runs keeps its own."""

import functools
import subprocess
from typing import Any

from support.ground import ROOT

_REGISTRY = "elastic-face-test/registry"
_BUILDS = {
    "web": ["--file", "images/web/Dockerfile"],
    "controller": ["--file", "controller/Dockerfile"],
    "hypervisor": ["--file", "local/Dockerfile"],
    "worker": [
        "--file",
        "images/worker/Dockerfile",
        "--target",
        "onnx",
        # As compose.yaml has them, so that a build finds the layers of the other.
        *(
            "--build-arg",
            "EFACE_MODEL=auto",
            "--build-arg",
            "EFACE_WEIGHTS_URL=",
            "--build-arg",
            "EFACE_WEIGHTS_SHA256=",
        ),
        *("--build-arg", "TORCH_INDEX=https://download.pytorch.org/whl/cpu"),
    ],
}


@functools.cache
def built(program: str) -> str:
    """The image of web, controller, hypervisor or worker, built from this checkout."""
    name = f"elastic-face-test/{program}"
    command = ["docker", "build", "--quiet", "--tag", name, *_BUILDS[program], "."]
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert build.returncode == 0, build.stderr
    return name


@functools.cache
def registry(engine: Any) -> str:
    """The image of a registry; it asks for no password unless its environment says so."""
    engine.images.build(path=str(ROOT / "tests/registry"), tag=_REGISTRY, rm=True)
    return _REGISTRY
