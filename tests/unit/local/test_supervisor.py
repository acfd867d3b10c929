"""What the programs of the embedded stack run with."""

from pathlib import Path

import pytest
from facecore import user_data
from facecore.errors import SettingsError
from facecore.settings import load
from facelocal.emulator.__main__ import with_workers_variables
from facelocal.settings import EmulatorSettings, StackSettings
from facelocal.stack.supervisor import configuration, environment


def _environment(**environ: str) -> dict[str, str]:
    return environment(load(StackSettings, environ), environ, None)


def test_the_callers_variables_reach_the_programs_and_go_before_the_stacks_defaults() -> None:
    told = _environment(EFACE_POLICY="frugal", EFACE_SHUTDOWN_S="9", AWS_PROFILE="mine")
    assert (told["EFACE_POLICY"], told["EFACE_SHUTDOWN_S"], told["EFACE_AWS_THREADS"]) == ("frugal", "9", "6")
    assert "AWS_PROFILE" not in told


def test_what_ties_the_programs_together_cannot_be_changed_by_the_caller() -> None:
    told = _environment(EFACE_ID="other", EFACE_PORT="1", WEB_PORT="8123", AWS_ENDPOINT_URL="http://elsewhere")
    assert (told["EFACE_ID"], told["EFACE_PORT"]) == ("local", "8123")
    assert told["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("variables", "preload"),
    [
        ({}, "faceworker.recogniser.mtcnn,faceworker.recogniser.dlib"),
        ({"EFACE_ENGINE": "torch"}, "faceworker.reference.facenet,faceworker.reference.dlib"),
        ({"EFACE_MODEL": "noop"}, ""),
        ({"EFACE_PRELOAD": "json"}, "json"),
    ],
)
def test_workers_share_the_modules_of_their_engine(variables: dict[str, str], preload: str) -> None:
    assert _environment(**variables)["EFACE_PRELOAD"] == preload


def test_a_misspelt_variable_stops_up_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="EFACE_POLCY: no program reads it; did you mean EFACE_POLICY"):
        _environment(EFACE_POLCY="frugal")


def test_a_folder_with_a_percent_sign_is_written_as_supervisord_reads_it() -> None:
    written = configuration(Path("/100%"), Path("/socket"))
    assert written["supervisord"]["pidfile"] == "/100%%/supervisord.pid"


def _workers_lines(**environ: str) -> dict[str, str]:
    told = {"EFACE_ID": "local", **environ}
    return user_data.parse(with_workers_variables(load(EmulatorSettings, told), told).worker_environment)


def test_workers_get_their_settings_of_the_stacks_variables() -> None:
    told = _workers_lines(EFACE_MAX_UPLOAD_BYTES="5000000", EFACE_LOG_LEVEL="debug", EFACE_POLICY="frugal")
    assert told == {"EFACE_MAX_UPLOAD_BYTES": "5000000", "EFACE_LOG_LEVEL": "debug"}


def test_lines_for_the_workers_go_before_the_stacks_variables() -> None:
    lines = "EFACE_IDLE_S=9\nEFACE_METRICS_PORT=9100"
    told = _workers_lines(EFACE_IDLE_S="5", EFACE_METRICS_PORT="9465", EFACE_WORKER_ENVIRONMENT=lines)
    assert told == {"EFACE_IDLE_S": "9", "EFACE_METRICS_PORT": "9100"}
