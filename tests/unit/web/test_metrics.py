"""The web tier's figures."""

import uuid
from dataclasses import replace

from faceweb.metrics import MAX_PHASES, OTHER, Metrics
from faceweb.pending import Fate, Waiters
from prometheus_client import CollectorRegistry, generate_latest
from support.fakes.web import reply

ANSWER = reply(str(uuid.uuid4()))


def test_phases_have_a_bounded_number_of_labels() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, Waiters(1))
    for number in range(100):
        metrics.reply_received(replace(ANSWER, timings={f"phase{number}": 0.1}), Fate.DELIVERED)
    text = generate_latest(registry).decode()
    assert text.count("worker_phase_seconds_count{") == MAX_PHASES + 1
    assert registry.get_sample_value("elastic_face_worker_phase_seconds_count", {"phase": OTHER}) == 100 - MAX_PHASES


def test_a_phase_with_a_strange_name_is_counted_as_other() -> None:
    registry = CollectorRegistry()
    Metrics(registry, Waiters(1)).reply_received(replace(ANSWER, timings={'x"\n{}': 1.0, "Ü": 1.0}), Fate.DELIVERED)
    assert registry.get_sample_value("elastic_face_worker_phase_seconds_count", {"phase": OTHER}) == 2


def test_phases_of_dropped_replies_are_not_counted_twice() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, Waiters(1))
    for fate in (Fate.DELIVERED, Fate.DUPLICATE, Fate.LATE):
        metrics.reply_received(ANSWER, fate)
    assert registry.get_sample_value("elastic_face_worker_phase_seconds_count", {"phase": "embed"}) == 1
    for reason in ("duplicate", "late"):
        assert registry.get_sample_value("elastic_face_web_replies_dropped_total", {"reason": reason}) == 1
