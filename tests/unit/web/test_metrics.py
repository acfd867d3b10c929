"""The web tier's figures."""

import uuid
from dataclasses import replace

from faceweb.metrics import MAX_PHASES, OTHER, Metrics
from faceweb.pending import Delivery, Pending
from prometheus_client import CollectorRegistry, generate_latest
from support.fakes.web import World, reply

ANSWER = reply(str(uuid.uuid4()))
PHASES = "elastic_face_web_worker_phase_seconds_count"


def test_phases_have_a_bounded_number_of_labels() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, Pending(1))
    for number in range(100):
        metrics.reply_received(replace(ANSWER, timings={f"phase{number}": 0.1}), Delivery.DELIVERED)
    text = generate_latest(registry).decode()
    assert text.count(PHASES + "{") == MAX_PHASES + 1
    assert registry.get_sample_value(PHASES, {"phase": OTHER}) == 100 - MAX_PHASES


def test_a_phase_with_a_strange_name_is_counted_as_other() -> None:
    registry = CollectorRegistry()
    Metrics(registry, Pending(1)).reply_received(replace(ANSWER, timings={'x"\n{}': 1.0, "Ü": 1.0}), Delivery.DELIVERED)
    assert registry.get_sample_value(PHASES, {"phase": OTHER}) == 2


def test_phases_of_dropped_replies_are_not_counted_twice() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, Pending(1))
    for delivery in (Delivery.DELIVERED, Delivery.DUPLICATE, Delivery.LATE):
        metrics.reply_received(ANSWER, delivery)
    assert registry.get_sample_value(PHASES, {"phase": "embed"}) == 1
    for reason in ("duplicate", "late"):
        assert registry.get_sample_value("elastic_face_web_replies_dropped_total", {"reason": reason}) == 1


def test_metrics_tell_outcomes_latency_and_bytes() -> None:
    world = World()
    world.post(content=b"x" * 123)
    world.request()
    text = world.request("GET", "/metrics").text
    assert 'elastic_face_web_requests_total{outcome="recognised"} 1.0' in text
    assert 'elastic_face_web_requests_total{outcome="missing_file"} 1.0' in text
    assert 'elastic_face_web_request_seconds_count{outcome="recognised"} 1.0' in text
    assert "elastic_face_web_upload_bytes_total 123.0" in text
    assert 'elastic_face_web_worker_phase_seconds_count{phase="embed"} 1.0' in text
    assert "elastic_face_web_waiting 0.0" in text
