"""Serves moto, the AWS emulator of the embedded stack, tuned for a dozen callers at once.

Measured with a burst of 100 requests on two cores, of which moto takes one whole: see docs/decisions/0001.
"""

from __future__ import annotations

import functools
import io
import signal
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import moto.backends
from cheroot.wsgi import Server
from facecore.logs import get_logger
from moto.core import responses
from moto.ec2.models import core as ec2
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sqs import models as sqs

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

    Two deletions at once can bring a deleted message back, and a deletion can lose a message that is being sent.
    """

    def __init__(self, application: WSGIApplication, lock: threading.Lock) -> None:
        self._application = application
        self._lock = lock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Before the lock: the client of an upload sends its body only once it is asked to (Expect: 100-continue).
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            return self._application(environ, start_response)


def bind(host: str, port: int, ending: threading.Event) -> Server:
    """A server of S3, SQS, EC2, CloudFormation and what else moto knows, listening but not yet serving.

    Long polls in progress are cut when `ending` is set. Raises OSError if the address is taken.
    """
    lock = threading.Lock()
    _tune(lock, ending)
    # moto's own server opens a connection and a thread per call, which takes twice the processor time per call.
    server = Server(
        (host, port),
        _Serialised(DomainDispatcherApplication(create_backend_app), lock),
        numthreads=THREADS,
        timeout=KEEP_ALIVE_S,
        request_queue_size=BACKLOG,
        # Kept connections would hold the end for as long as they are kept.
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


def _tune(lock: threading.Lock, ending: threading.Event) -> None:
    """Tunes this process's moto, each call of which holds `lock`.

    A long poll releases the lock while it waits, and is cut within a second when `ending` is set.
    """
    # moto lists the folders of its package at each call, to learn which services there are.
    services = list(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = functools.cache(lambda: services)
    # Each call turns the names of all actions of its service into names of Python.
    names: Any = responses
    for function in ("camelcase_to_underscores", "method_names_from_class"):
        setattr(names, function, functools.cache(getattr(names, function)))
    # Each look at a queue asks for the time once or twice per message, through five calls of datetime.
    models: Any = sqs
    models.unix_time = time.time
    models.unix_time_millis = lambda: time.time() * 1000.0
    # For each message received, moto computes all attributes of its queue, its depth from all messages included.
    models.SQSBackend.is_message_valid_based_on_retention_period = _is_retained
    wait_for_messages = models.Queue.wait_for_messages

    def wait_unlocked(queue: Any, timeout_s: int) -> None:
        if ending.is_set():
            raise ConnectionAbortedError("the emulator ends")
        lock.release()
        try:
            wait_for_messages(queue, timeout_s)
        finally:
            lock.acquire()

    models.Queue.wait_for_messages = wait_unlocked
    # For the tags of one instance, all tags of the account are matched, twice for each instance that is looked at: with
    # 300 instances that ever ran, a description took 360 ms of a processor.
    ec2.TaggedEC2Resource.get_tags = _tags_of  # type: ignore[method-assign,assignment]
    instances: Any = InstanceResponse
    run_instances = instances.run_instances

    def run_max_count(response: Any) -> Any:
        get_param = response._get_param
        # EC2 launches MaxCount instances if it can; moto 5.2 launches MinCount of them, however many that is.
        response._get_param = lambda name, *rest, **named: get_param(
            "MaxCount" if name == "MinCount" else name, *rest, **named
        )
        return run_instances(response)

    instances.run_instances = run_max_count


def _is_retained(backend: Any, queue_name: str, message: Any) -> bool:
    """Whether the message is younger than its queue keeps messages."""
    retention_s = int(backend.get_queue(queue_name).message_retention_period)
    return bool(retention_s + message.sent_timestamp / 1000 > time.time())


def _tags_of(resource: Any) -> list[dict[str, str]]:
    """The tags of one resource of EC2, looked up by its id."""
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource.id), "") if resource.id else ""
    tags: dict[str, str] = resource.ec2_backend.tags.get(resource.id, {})
    return [{"resource_id": resource.id, "key": key, "value": tags[key], "resource_type": kind} for key in tags]
