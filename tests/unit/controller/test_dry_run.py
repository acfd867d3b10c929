"""Decisions without effects: the dry run's fleet, and the decision on one given observation."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from facecontroller.__main__ import main
from facecontroller.dry_run import DryRunFleet, read_case
from facecontroller.fleet import Ec2Fleet
from facecontroller.model import Actions, Launch, Order, Rename
from facecontroller.settings import Settings
from facecore.settings import load
from structlog.testing import capture_logs
from support.fakes.clock import Clock
from support.fakes.ec2 import FakeEc2

NOW = 1_000_000.0
CASE = {"observation": {"taken_at": 1000, "demand": 20, "image": "ami", "instances": []}}


def test_explain_prints_the_decision_on_one_observation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(CASE))
    assert main(["explain", str(file)]) == 0
    decision = json.loads(capsys.readouterr().out)
    assert decision["reason"] == "demand 20 wants 15, 0 active, 0 owned"
    assert decision["actions"]["launch"]["count"] == 15
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({**CASE, "config": {"max_instances": 2}})))
    assert main(["explain"]) == 0
    assert json.loads(capsys.readouterr().out)["actions"]["launch"]["count"] == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"observation": {"demand": "many"}}'])
def test_explain_refuses_what_is_no_case_in_words(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "case.json"
    file.write_text(text)
    assert main(["explain", str(file)]) == 2
    assert capsys.readouterr().err.startswith("facecontroller explain: ")


def test_explain_without_an_observation_decides_nothing() -> None:
    assert read_case('{"observation": null}').observation is None


def test_explain_has_the_defaults_of_the_settings() -> None:
    case = read_case('{"observation": null, "config": {"max_instances": 2}}')
    defaults = load(Settings, {"EFACE_ID": "local"}).config()
    assert case.config == replace(defaults, max_instances=2)


def test_a_dry_run_looks_and_changes_nothing() -> None:
    ec2 = FakeEc2(Clock(NOW))
    fleet = Ec2Fleet(ec2, "local", "local-worker")
    stopped = ec2.add("app-tier-instance-1", "stopped")
    dry = DryRunFleet(fleet)
    assert dry.look(NOW).instances == fleet.look(NOW).instances
    with capture_logs() as lines:
        outcome = dry.act(Actions((stopped,), Order(3, 2), rename=Rename(stopped, 4)), NOW)
    launch = {"count": 3, "offering": "any type@any subnet"}
    assert [(line["event"], line["start"], line["launch"]) for line in lines] == [("would_act", (stopped,), launch)]
    assert (outcome.started, outcome.launched) == ((stopped,), (Launch(NOW, 2, 3),))
    assert set(ec2.calls) == {"describe_instances", "describe_launch_template_versions"}
