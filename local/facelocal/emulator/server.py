"""Serves moto, the AWS emulator of the embedded stack, on one address."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cheroot.wsgi import Server
from facecore.logs import get_logger
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from facelocal.emulator import tuning

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)

THREADS = 128
"""Calls in progress at once; each long poll is one."""
BACKLOG = 1024
"""Connections that may be kept, and that may wait to be accepted: one that finds no place costs a second or more."""
KEEP_ALIVE_S = 60
"""Seconds that a connection may stay unused."""


class _Serialised:
    """Lets one call at a time into moto, whose services change their state without locks.

    Two deletions at once, say, can bring a deleted message back, and a deletion can lose a message that is sent.
    """

    def __init__(self, application: WSGIApplication, lock: threading.Lock) -> None:
        self._application = application
        self._lock = lock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # The body is read before: the client of an upload sends it only when it is asked to.
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            return self._application(environ, start_response)


def bind(host: str, port: int, ending: threading.Event) -> Server:
    """A server of S3, SQS, EC2, CloudFormation and what else moto knows, listening but not yet serving.

    Long polls in progress are cut when `ending` is set. Raises OSError where the address is taken.
    """
    lock = threading.Lock()
    tuning.apply(lock, ending)
    # moto's own server opens a connection and a thread per call, which takes twice the processor time per call.
    server = Server(
        (host, port),
        _Serialised(DomainDispatcherApplication(create_backend_app), lock),
        numthreads=THREADS,
        timeout=KEEP_ALIVE_S,
        request_queue_size=BACKLOG,
        shutdown_timeout=1,
    )
    server.keep_alive_conn_limit = BACKLOG
    server.prepare()
    return server


def serve_until_terminated(server: Server, ending: threading.Event) -> None:
    """Serves until SIGTERM or SIGINT, which set `ending`, or until it is set elsewhere and the server stopped."""

    def stop() -> None:
        ending.set()
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())
    log.info("emulator_listening", address=list(server.bind_addr))
    server.serve()
