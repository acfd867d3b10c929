"""The command line's own decisions; the process itself is tested against an emulator."""

import signal

import pytest
from facecontroller.__main__ import StoppedError, StopSignal, main


def test_missing_settings_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "facecontroller: EFACE_ID: Field required\n"


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
