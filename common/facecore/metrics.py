"""Prometheus: a registry per process, the buckets that all tiers share, and a port to scrape."""

from prometheus_client import CollectorRegistry, Info, PlatformCollector, ProcessCollector, start_http_server

from facecore.errors import SettingsError

LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds in seconds: from one recognition to the longest wait for a result."""


def new_registry(program: str, deployment_id: str) -> CollectorRegistry:
    """A registry with the process's own figures and `elastic_face_info{program, id}`."""
    # Not the library's global one, so that tests and programs in one process do not share figures.
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    Info("elastic_face", "Which program of which deployment this is", registry=registry).info(
        {"program": program, "id": deployment_id}
    )
    return registry


def serve(registry: CollectorRegistry, host: str, port: int) -> None:
    """Serves the registry on http://host:port/metrics from a thread that ends with the process.

    Raises SettingsError if that address cannot be listened on.
    """
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SettingsError(f"metrics cannot be served on {host}:{port}: {error}") from error
