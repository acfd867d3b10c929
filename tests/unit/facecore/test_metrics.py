"""Metrics: a registry says whose it is, and is served on a port."""

import socket
import urllib.request

import pytest
from facecore.errors import SettingsError
from facecore.metrics import LATENCY_BUCKETS_S, new_registry, serve
from prometheus_client import generate_latest
from support.ground import free_port


def test_a_registry_says_whose_it_is() -> None:
    text = generate_latest(new_registry("worker", "local")).decode()
    assert 'elastic_face_info{id="local",program="worker"} 1.0' in text
    assert "process_resident_memory_bytes" in text


def test_registries_do_not_share() -> None:
    assert new_registry("worker", "a") is not new_registry("worker", "a")


def test_the_registry_is_served() -> None:
    port = free_port()
    serve(new_registry("worker", "local"), "127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert b"elastic_face_info" in answer.read()


def test_a_taken_port_is_a_wrong_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            serve(new_registry("worker", "local"), "127.0.0.1", port)


def test_the_buckets_rise() -> None:
    assert list(LATENCY_BUCKETS_S) == sorted(set(LATENCY_BUCKETS_S))
