"""The web tier's figures for Prometheus."""

import re

from facecore.messages import Reply
from facecore.metrics import LATENCY_BUCKETS_S
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.responses import PlainTextResponse, Response

from faceweb.pending import Delivery, Pending

# Workers name the phases. A faulty one that makes up names must not fill the memory with time series.
MAX_PHASES = 16
OTHER = "other"
_PHASE = re.compile(r"[a-z][a-z0-9_]{0,31}")
# A phase may take a millisecond, and none takes minutes.
_PHASE_BUCKETS_S = (0.001, 0.0025, 0.005, *LATENCY_BUCKETS_S[:10])


class Metrics:
    """Counts what the web tier does, in one registry."""

    def __init__(self, registry: CollectorRegistry, pending: Pending) -> None:
        self._registry = registry
        self._phases: set[str] = set()
        self._requests = Counter(
            "elastic_face_web_requests", "Photographs posted, by outcome", ["outcome"], registry=registry
        )
        self._latency_s = Histogram(
            "elastic_face_web_request_seconds",
            "From the first byte of a request's headers to its answer, by outcome",
            ["outcome"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._upload_bytes = Counter(
            "elastic_face_web_upload_bytes", "Bytes of the photographs taken", registry=registry
        )
        self._dropped = Counter(
            "elastic_face_web_replies_dropped",
            "Replies that no request awaited, by reason",
            ["reason"],
            registry=registry,
        )
        self._phase_s = Histogram(
            "elastic_face_web_worker_phase_seconds",
            "Seconds that a worker took, by phase, as its reply says",
            ["phase"],
            buckets=_PHASE_BUCKETS_S,
            registry=registry,
        )
        in_hand = Gauge("elastic_face_web_in_hand", "Requests in hand, uploads included", registry=registry)
        in_hand.set_function(lambda: pending.in_hand)
        waiting = Gauge("elastic_face_web_waiting", "Requests that wait for their reply", registry=registry)
        waiting.set_function(lambda: pending.waiting)

    def router(self) -> APIRouter:
        """The route `/metrics`."""
        router = APIRouter()

        @router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
        async def figures() -> Response:
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

        return router

    def request_ended(self, outcome: str, seconds: float) -> None:
        """Counts a request that ended in `outcome` after `seconds`."""
        self._requests.labels(outcome).inc()
        self._latency_s.labels(outcome).observe(seconds)

    def upload_taken(self, size_bytes: int) -> None:
        """Counts an upload that was read whole."""
        self._upload_bytes.inc(size_bytes)

    def reply_received(self, reply: Reply, delivery: Delivery) -> None:
        """Counts a reply, and the worker's phases where it is the first of its request."""
        if delivery is not Delivery.DELIVERED:
            self._dropped.labels(delivery.value).inc()
            return
        for phase, seconds in reply.timings.items():
            self._phase_s.labels(self._label(phase)).observe(seconds)

    def replies_undecodable(self, count: int) -> None:
        """Counts replies that do not follow the contract."""
        self._dropped.labels("undecodable").inc(count)

    def _label(self, phase: str) -> str:
        if phase not in self._phases and (len(self._phases) >= MAX_PHASES or not _PHASE.fullmatch(phase)):
            return OTHER
        self._phases.add(phase)
        return phase
