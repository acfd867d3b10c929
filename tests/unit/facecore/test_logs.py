"""Logs: each event is one JSON line, those of third parties included."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from facecore.logs import configure, get_logger

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """The lines logged so far."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_line_with_its_context(lines: Lines) -> None:
    configure("web", instance_id="i-1")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        get_logger("any").info("stored", text="two\nlines", size_bytes=3)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "stored",
        "level": "info",
        "program": "web",
        "instance_id": "i-1",
        "request_id": "r1",
        "text": "two\nlines",
        "size_bytes": 3,
    }


def test_a_third_party_is_logged_alike(lines: Lines) -> None:
    configure("web")
    logging.getLogger("uvicorn").info("listening on %s", 8000, extra={"port": 8000})
    (line,) = lines()
    assert (line["event"], line["program"], line["level"], line["port"]) == ("listening on 8000", "web", "info", 8000)


@pytest.mark.parametrize("logger", [get_logger("ours"), logging.getLogger("theirs")])
def test_a_traceback_is_part_of_the_line(lines: Lines, logger: Any) -> None:
    configure("web")
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("broke")
    (line,) = lines()
    assert line["level"] == "error"
    assert "ValueError: why" in line["exception"]


def test_less_severe_events_are_left_out(lines: Lines) -> None:
    configure("web", "warning")
    get_logger("any").info("detail")
    logging.getLogger("theirs").info("detail")
    get_logger("any").warning("trouble")
    assert [line["event"] for line in lines()] == ["trouble"]


def test_the_sdk_is_quiet(lines: Lines) -> None:
    configure("web", "debug")
    logging.getLogger("botocore.endpoint").debug("a request with its headers")
    assert lines() == []


def test_configuring_twice_does_not_double_lines(lines: Lines) -> None:
    configure("web")
    configure("web")
    get_logger("any").info("once")
    assert len(lines()) == 1


def test_what_json_has_no_form_for_is_still_logged(lines: Lines) -> None:
    configure("web")
    get_logger("any").info("odd", value={1, 2}, raw=b"\xff")
    (line,) = lines()
    assert (line["event"], line["value"]) == ("odd", "{1, 2}")
