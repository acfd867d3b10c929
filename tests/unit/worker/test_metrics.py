"""The worker's metrics: requests by how they ended, and their phases."""

from facecore.errors import UnavailableError
from faceworker.metrics import Metrics
from prometheus_client import CollectorRegistry


def test_answers_failures_and_phases_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.answered("recognised", {"fetch": 0.02, "detect": 0.3})
    metrics.answered("no_face", {"fetch": 0.02})
    metrics.left(UnavailableError("no answer"))
    assert registry.get_sample_value("elastic_face_worker_answered_total", {"kind": "recognised"}) == 1
    assert registry.get_sample_value("elastic_face_worker_left_total", {"error": "UnavailableError"}) == 1
    assert registry.get_sample_value("elastic_face_worker_phase_seconds_count", {"phase": "fetch"}) == 2
