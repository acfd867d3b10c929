"""Serves moto, the AWS emulator of the embedded stack, on one address."""

import functools
import signal
import threading

import moto.backends
from facecore.logs import get_logger
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

log = get_logger(__name__)


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
        DomainDispatcherApplication(create_backend_app),
        threaded=True,
        request_handler=_QuietHandler,
    )


def serve_until_terminated(server: BaseWSGIServer) -> None:
    """Serves until SIGTERM or SIGINT; calls in progress are cut."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("emulator_listening", host=server.host, port=server.port)
    server.serve_forever()
