"""Nothing about faces, networks or machines goes to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faceworker.recogniser.exported import ExportedNetworks

PROGRAMS = {
    "worker": "from pathlib import Path; from faceworker.recogniser.onnx_session import load; load(Path({!r}), 1)",
    "export": "from faceworker.recogniser import quantisation; from onnxruntime import InferenceSession as Session; "
    "Session({!r}, providers=['CPUExecutionProvider'])",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_onnx_runtime_makes_no_identifier_of_the_machine(exported_cache: Path, tmp_path: Path, program: str) -> None:
    network = ExportedNetworks(exported_cache, "").detector("mtcnn-refinement")
    # Its telemetry is off in CI, so this is a user's environment.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    code = PROGRAMS[program].format(str(network))
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []
