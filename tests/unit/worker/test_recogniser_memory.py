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


def test_memory_is_given_back_only_once_the_process_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    resident, given_back = [1 << 30], []
    monkeypatch.setattr(memory, "_resident_bytes", lambda: resident[0])
    monkeypatch.setattr(memory, "give_back", lambda: given_back.append(resident[0] >> 20))
    growth = memory.Growth()
    assert given_back == [1024]
    for mib in (1024, 1080, 1089, 1120, 1200):
        resident[0] = mib << 20
        growth.check()
    assert given_back == [1024, 1089, 1200]
