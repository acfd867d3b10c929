"""The web tier's settings: defaults, and what is refused."""

import pytest
from facecore.errors import SettingsError
from facecore.settings import load
from faceweb.settings import WebSettings


def test_defaults_are_those_of_the_design() -> None:
    settings = load(WebSettings, {"EFACE_ID": "abc"})
    assert (settings.host, settings.port, settings.reply_to) == ("127.0.0.1", 8000, "abc-resp-queue")
    assert (settings.max_upload_bytes, settings.max_waiting) == (10 * 1024 * 1024, 1000)
    assert (settings.result_timeout_s, settings.shutdown_s, settings.aws_threads) == (300, 30, 16)


def test_a_host_can_have_a_reply_queue_of_its_own() -> None:
    assert load(WebSettings, {"EFACE_ID": "abc", "EFACE_REPLY_QUEUE": "web-2"}).reply_to == "web-2"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EFACE_PORT", "65536"),
        ("EFACE_MAX_UPLOAD_BYTES", "0"),
        ("EFACE_MAX_UPLOAD_BYTES", "999999999999"),
        ("EFACE_UPLOAD_TIMEOUT_S", "inf"),
        ("EFACE_MAX_WAITING", "0"),
        ("EFACE_RESULT_TIMEOUT_S", "0"),
        ("EFACE_RESULT_TIMEOUT_S", "nan"),
        ("EFACE_AWS_THREADS", "1000"),
        ("EFACE_SHUTDOWN_S", "-1"),
        ("EFACE_REPLY_QUEUE", "https://elsewhere"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load(WebSettings, {"EFACE_ID": "abc", variable: value})
