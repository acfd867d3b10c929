"""The measures that keep a recogniser's memory bounded."""

import os

import pytest
from faceworker.recogniser import memory

VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"


@pytest.mark.parametrize(("given", "expected"), [(None, "64"), ("7", "7")])
def test_the_kernel_cache_is_bounded_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    monkeypatch.setenv(VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(VARIABLE)
    memory.bound_kernel_cache()
    assert os.environ[VARIABLE] == expected


def test_giving_back_is_harmless_at_any_time() -> None:
    memory.give_back()
    memory.give_back()
