"""The worker's metrics: requests by how they ended, and their phases."""

from facecore.errors import UnavailableError
from faceworker.metrics import PrometheusRecord
from prometheus_client import CollectorRegistry


def test_answers_failures_and_phases_are_counted() -> None:
    registry = CollectorRegistry()
    record = PrometheusRecord(registry)
    record.answered("subject", {"fetch": 0.02, "detect": 0.3})
    record.answered("no_face", {"fetch": 0.02})
    record.left(UnavailableError("no answer"))
    assert registry.get_sample_value("eface_worker_answered_total", {"kind": "subject"}) == 1
    assert registry.get_sample_value("eface_worker_left_total", {"error": "UnavailableError"}) == 1
    assert registry.get_sample_value("eface_worker_phase_seconds_count", {"phase": "fetch"}) == 2
