"""The command line's own decisions; the process itself is tested against an emulator."""

import io
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from facecontroller.__main__ import StoppedError, StopSignal, main
from facecontroller.dry_run import read_case
from facecontroller.settings import Settings
from facecore.settings import load


def test_missing_settings_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "facecontroller: EFACE_ID: Field required\n"


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


def test_a_signal_interrupts_and_a_second_one_does_not_disturb_the_end() -> None:
    stop = StopSignal()
    with pytest.raises(StoppedError):
        stop(signal.SIGTERM, None)
    stop(signal.SIGTERM, None)


def test_a_signal_whose_exception_was_dropped_ends_the_next_sleep() -> None:
    stop = StopSignal()
    stop.sleep(0)
    with pytest.raises(StoppedError):
        stop(signal.SIGTERM, None)
    with pytest.raises(StoppedError):
        stop.sleep(60)
