"""Waiting for the first answer of a new deployment."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from facedeploy import DeployError, deployment


@contextmanager
def _host(statuses: list[int]) -> Iterator[str]:
    """A web host that answers with these statuses, one after the other, and then with the last for ever."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()
            self.wfile.write(b"the request queue does not answer")

        def log_message(self, *_: object) -> None:
            """Logs no request."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_is_ready_when_the_web_tier_says_so() -> None:
    statuses = [503, 503, 200]
    with _host(statuses) as address:
        deployment.wait_until_ready(address, 10, poll_s=0.01)
    assert statuses == [200]


def test_a_host_that_is_never_ready_is_told_with_what_it_says() -> None:
    with _host([503]) as address, pytest.raises(DeployError, match="the request queue does not answer"):
        deployment.wait_until_ready(address, 0.1, poll_s=0.01)


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(DeployError, match="EFACE_WEB_CIDR"):
        deployment.wait_until_ready("http://127.0.0.1:1/", 0.1, poll_s=0.01)
