"""Settings: read from variables, bounded, frozen, and clear about what is wrong."""

from typing import Self

import pytest
from facecore.errors import SettingsError
from facecore.settings import AwsSettings, load
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator


class ProgramSettings(AwsSettings):
    """A program's settings, with a bounded field of its own."""

    wait_s: int = Field(5, ge=1, le=20)


class TextSettings(AwsSettings):
    """Settings with any text."""

    text: str


class PairedSettings(AwsSettings):
    """Settings whose fields are never right together."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        raise ValueError("id and region do not go together")


def test_names_follow_from_the_id() -> None:
    settings = load(AwsSettings, {"EFACE_ID": "local"})
    assert (settings.in_bucket, settings.out_bucket) == ("local-in-bucket", "local-out-bucket")
    assert settings.gallery_bucket == "local-gallery-bucket"
    assert (settings.request_queue, settings.response_queue) == ("local-req-queue", "local-resp-queue")
    assert settings.dead_queue == "local-dead-queue"


def test_fields_come_from_their_variables() -> None:
    environ = {"EFACE_ID": "a1", "EFACE_WAIT_S": "7", "EFACE_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://h:1"}
    settings = load(ProgramSettings, environ | {"PATH": "/bin", "EFACE_POLICY": "for another program"})
    assert (settings.wait_s, settings.region, settings.endpoint_url) == (7, "eu-west-1", "http://h:1")


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(ProgramSettings, {"EFACE_ID": "a1", "EFACE_WAIT_S": "", "EFACE_WIAT_S": ""}).wait_s == 5


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EFACE_WIAT_S", "did you mean EFACE_WAIT_S?"),
        ("EFACE_POLCY", "did you mean EFACE_POLICY?"),
        ("EFACE_UNHEARD_OF", "docs/settings.md lists all names"),
    ],
)
def test_a_name_that_no_program_reads_is_refused_with_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(ProgramSettings, {"EFACE_ID": "a1", name: "sesame"})
    assert str(caught.value) == f"{name}: no program reads it; {hint}"


@pytest.mark.parametrize("deployment_id", ["", "a", "-ab", "Ab", "a_b", "a.b", "a" * 49, "ab\n", "ab/c", "äb"])
def test_an_id_that_s3_would_not_take_is_refused(deployment_id: str) -> None:
    with pytest.raises(SettingsError, match="EFACE_ID"):
        load(AwsSettings, {"EFACE_ID": deployment_id})


@given(st.from_regex(r"\A[a-z0-9][a-z0-9-]{1,47}\Z"))
def test_every_name_of_an_id_fits_a_bucket(deployment_id: str) -> None:
    settings = load(AwsSettings, {"EFACE_ID": deployment_id})
    assert 3 <= len(settings.gallery_bucket) <= 63
    assert len(settings.response_queue) <= 80


def test_each_wrong_variable_is_named() -> None:
    environ = {"EFACE_WAIT_S": "21", "AWS_ENDPOINT_URL": "ftp://h", "EFACE_LOG_LEVEL": "loud"}
    with pytest.raises(SettingsError) as caught:
        load(ProgramSettings, environ)
    for variable in ("EFACE_ID", "EFACE_WAIT_S", "AWS_ENDPOINT_URL", "EFACE_LOG_LEVEL"):
        assert f"{variable}: " in str(caught.value)


def test_a_wrong_value_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        load(AwsSettings, {"EFACE_ID": "ab", "AWS_ENDPOINT_URL": "https//:sesame@host"})
    assert "sesame" not in str(caught.value)


def test_a_rule_over_several_fields_is_told_without_a_variable() -> None:
    with pytest.raises(SettingsError, match="do not go together"):
        load(PairedSettings, {"EFACE_ID": "ab"})


def test_what_is_logged_names_each_variable_and_no_credentials() -> None:
    environ = {"EFACE_ID": "ab", "AWS_ENDPOINT_URL": "http://user:sesame@host:1/"}
    shown = load(ProgramSettings, environ).shown()
    assert shown == {
        "EFACE_ID": "ab",
        "EFACE_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://***@host:1/",
        "EFACE_LOG_LEVEL": "info",
        "EFACE_WAIT_S": 5,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://bucket/weights.pt?X-Amz-Signature=sesame&x=1", "https://bucket/weights.pt?***"),
        (
            "EFACE_WEIGHTS_URL=https://me:sesame@h/w?token=sesame\nEFACE_IDLE_S=1",
            "EFACE_WEIGHTS_URL=https://***@h/w?***\nEFACE_IDLE_S=1",
        ),
        ("https://host/a@b", "https://host/a@b"),
        ("m7i.large", "m7i.large"),
    ],
)
def test_a_url_is_logged_without_its_user_and_query(value: str, shown: str) -> None:
    assert TextSettings(id="ab", text=value).shown()["EFACE_TEXT"] == shown


def test_settings_are_frozen() -> None:
    settings = load(AwsSettings, {"EFACE_ID": "ab"})
    with pytest.raises(ValidationError):
        settings.id = "cd"
