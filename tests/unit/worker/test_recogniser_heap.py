"""Freed memory goes back to the system once the process has grown."""

import pytest
from faceworker.recogniser import heap


def test_giving_back_is_harmless_at_any_time() -> None:
    heap.give_back()
    heap.give_back()


def test_memory_is_given_back_only_once_the_process_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    resident, given_back = [1 << 30], []
    monkeypatch.setattr(heap, "_resident_bytes", lambda: resident[0])
    monkeypatch.setattr(heap, "give_back", lambda: given_back.append(resident[0] >> 20))
    growth = heap.Growth()
    assert given_back == [1024]
    for mib in (1024, 1080, 1089, 1120, 1200):
        resident[0] = mib << 20
        growth.check()
    assert given_back == [1024, 1089, 1200]
