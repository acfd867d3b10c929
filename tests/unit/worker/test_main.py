"""The program: wrong settings, failing starts, signals, and what importing it costs."""

import json
import os
import signal
import subprocess
import sys

import pytest
from facecore.errors import GalleryError, WeightsError
from faceworker.main import FAILED, MISCONFIGURED, build_recogniser, main
from faceworker.recogniser import NoopRecogniser
from faceworker.settings import WorkerSettings

ENVIRON = {"EFACE_ID": "test", "EFACE_MODEL": "noop", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}


def test_wrong_settings_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"EFACE_IDLE_S": "0"}) == MISCONFIGURED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("faceworker: ")
    assert "EFACE_ID: " in line
    assert "EFACE_IDLE_S: " in line


@pytest.mark.parametrize("error", [GalleryError("of another model"), WeightsError("cannot be fetched")])
def test_a_start_that_fails_is_one_log_line_after_the_settings_and_status_1(
    capsys: pytest.CaptureFixture[str], error: GalleryError | WeightsError
) -> None:
    def build(_settings: WorkerSettings, _gallery: object) -> NoopRecogniser:
        raise error

    assert main(ENVIRON, build) == FAILED
    (_settings, line) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (line["event"], line["error"], line["error_type"]) == ("failed", str(error), type(error).__name__)
    assert "exception" not in line


def test_a_signal_during_the_start_ends_the_worker_before_it_polls() -> None:
    def build(_settings: WorkerSettings, _gallery: object) -> NoopRecogniser:
        os.kill(os.getpid(), signal.SIGTERM)
        return NoopRecogniser()

    assert main(ENVIRON, build) == 0


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    test_a_signal_during_the_start_ends_the_worker_before_it_polls()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_taken_metrics_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(ENVIRON | {"EFACE_METRICS_PORT": "1", "EFACE_METRICS_HOST": "192.0.2.1"}) == FAILED
    assert "192.0.2.1:1" in capsys.readouterr().err


def test_the_noop_recogniser_needs_no_gallery() -> None:
    assert build_recogniser(WorkerSettings(id="test", model="noop"), None).model == "noop"


def test_importing_the_program_loads_no_model_and_opens_nothing() -> None:
    code = (
        "import sys, threading, faceworker.main as main;"
        "main.build_recogniser(main.WorkerSettings(id='test', model='noop'), None);"
        "print(sorted({'torch', 'numpy', 'PIL', 'dlib'} & set(sys.modules)),"
        " threading.active_count())"
    )
    out = subprocess.run([sys.executable, "-c", code], env={}, check=True, capture_output=True, text=True)
    assert out.stdout == "[] 1\n"
