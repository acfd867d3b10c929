"""Serves moto, the AWS emulator of the embedded stack, on one address."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import moto.backends
from cheroot.wsgi import Server
from facecore.logs import get_logger
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

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
    """Lets one call at a time into the services whose state moto changes without locks of its own.

    Only SQS stays out: its long polls wait inside the call.
    """

    _SERVICES = ("/ec2/", "/s3/", "/cloudformation/")

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if any(service in environ.get("HTTP_AUTHORIZATION", "") for service in self._SERVICES):
            with self._lock:
                return self._application(environ, start_response)
        return self._application(environ, start_response)


def bind(host: str, port: int) -> Server:
    """A server of S3, SQS, EC2, CloudFormation and what else moto knows, listening but not yet serving.

    Raises OSError where the address is taken.
    """
    # moto lists the folders of its package at each call to learn which services there are: a tenth of its time.
    moto.backends.list_of_moto_modules = functools.cache(
        functools.partial(list, list(moto.backends.list_of_moto_modules()))
    )
    # moto's own server opens a connection and a thread per call, which takes twice the processor time per call.
    server = Server(
        (host, port),
        _Serialised(DomainDispatcherApplication(create_backend_app)),
        numthreads=THREADS,
        timeout=KEEP_ALIVE_S,
        request_queue_size=BACKLOG,
        shutdown_timeout=1,
    )
    server.keep_alive_conn_limit = BACKLOG
    server.prepare()
    return server


def serve_until_terminated(server: Server) -> None:
    """Serves until SIGTERM or SIGINT; calls in progress are cut."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    log.info("emulator_listening", address=list(server.bind_addr))
    server.serve()
