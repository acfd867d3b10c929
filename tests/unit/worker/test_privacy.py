"""Nothing about faces, networks or machines leaves the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "worker": "from pathlib import Path; from faceworker.recogniser.networks import load; load(Path({!r}), 1)",
    "export": "from faceworker.export import quantisation; from onnxruntime import InferenceSession as Session; "
    "Session({!r}, providers=['CPUExecutionProvider'])",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_onnx_runtime_makes_no_identifier_of_the_machine(exported_cache: Path, tmp_path: Path, program: str) -> None:
    network = exported_cache / "mtcnn-refinement.onnx"
    # Its telemetry is off in CI, so this is a user's environment.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    code = PROGRAMS[program].format(str(network))
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
