"""Serves moto, the AWS emulator of the embedded stack, on one address."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import moto.backends
from facecore.logs import get_logger
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)


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


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No line per call: the tiers poll all the time."""


def bind(host: str, port: int) -> BaseWSGIServer:
    """A server of S3, SQS, EC2, CloudFormation and what else moto knows, listening but not yet serving.

    Raises OSError where the address is taken.
    """
    # moto lists the folders of its package at each call to learn which services there are: a tenth of its time.
    moto.backends.list_of_moto_modules = functools.cache(
        functools.partial(list, list(moto.backends.list_of_moto_modules()))
    )
    return make_server(
        host,
        port,
        _Serialised(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=_QuietHandler,
    )


def serve_until_terminated(server: BaseWSGIServer) -> None:
    """Serves until SIGTERM or SIGINT; calls in progress are cut."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("emulator_listening", host=server.host, port=server.port)
    server.serve_forever()
