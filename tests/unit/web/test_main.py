"""What ends the program before it serves."""

import pytest
from faceweb import main
from faceweb.server import listen


def test_a_taken_port_ends_the_program_with_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("EFACE_ID", "abc")
        monkeypatch.setenv("EFACE_PORT", str(port))
        monkeypatch.setenv("EFACE_LOG_LEVEL", "error")
        assert main.main() == 1
    error = capsys.readouterr().err
    assert f"port {port}" in error
    assert error.count("\n") == 1


def test_wrong_settings_end_the_program_with_one_line_that_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EFACE_ID", raising=False)
    monkeypatch.setenv("EFACE_PORT", "none")
    assert main.main() == 2
    error = capsys.readouterr().err
    assert "EFACE_ID" in error
    assert "EFACE_PORT" in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
