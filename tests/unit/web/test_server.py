"""The port, and settings of the process."""

import socket

import pytest
from faceweb import main
from faceweb.server import listen


def test_a_free_port_is_found_and_can_be_connected_to() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=5):
        assert listener.getsockname()[1] > 0


def test_a_taken_port_and_a_strange_host_are_refused() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(OSError, match=r".+"):
        listen("no.such.host.invalid", 0)


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
