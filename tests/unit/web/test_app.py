"""The description of the interface."""

import json

from openapi_spec_validator import validate
from support.fakes.web import World


def test_the_interface_is_described_as_it_is() -> None:
    document = json.loads(World().request("GET", "/openapi.json").text)
    validate(document)
    post = document["paths"]["/"]["post"]
    assert list(post["requestBody"]["content"]) == ["multipart/form-data"]
    assert set(post["responses"]) == {"200", "400", "408", "413", "415", "422", "500", "503", "504"}
    assert set(document["paths"]) == {"/", "/healthz", "/readyz", "/metrics"}


def test_the_description_says_where_the_subject_begins() -> None:
    document = json.loads(World().request("GET", "/openapi.json").text)
    assert "the last colon" in document["paths"]["/"]["post"]["responses"]["200"]["description"]
