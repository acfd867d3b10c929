"""`make simulate` as its users run it: the summary's form, the picture, and the comparison over seeds."""

import json
import os
import subprocess
import sys
from pathlib import Path

from simulation.policies import ORACLE, POLICIES

TESTS = Path(__file__).parents[2]
FIGURES = {"p50_wait_s", "p99_wait_s", "instance_s", "starts", "flaps", "cost_usd"}


def simulate(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "simulation", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_writes_a_summary_and_a_picture(tmp_path: Path) -> None:
    simulate("--trace", "burst", "--trace", "drought", "--out", str(tmp_path))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary.keys() == {"burst", "drought"}
    assert summary["burst"].keys() == {ORACLE, *POLICIES}
    assert summary["burst"]["demand"].keys() == FIGURES
    assert (tmp_path / "simulation.png").read_bytes().startswith(b"\x89PNG")


def test_a_shorter_service_and_higher_limits_change_the_run(tmp_path: Path) -> None:
    waits = {}
    for name, options in (("usual", ()), ("short", ("--service-s", "0.25")), ("few", ("--instance-tokens", "3"))):
        simulate("--trace", "burst", "--policy", "demand", "--out", str(tmp_path / name), *options)
        waits[name] = json.loads((tmp_path / name / "summary.json").read_text())["burst"]["demand"]["p99_wait_s"]
    assert waits["short"] < waits["usual"] < waits["few"]


def test_seeds_are_compared_with_demand() -> None:
    lines = simulate("--trace", "burst", "--policy", "frugal", "--seeds", "2").splitlines()
    trace, policy, *ratios = lines[-1].split()
    assert (trace, policy) == ("burst", "frugal")
    waits, costs = [float(r) for r in ratios[:3]], [float(r) for r in ratios[3:]]
    assert 1 < waits[0] <= waits[1] <= waits[2] <= 1.2
    assert 0.4 < costs[0] <= costs[2] < 0.6
