"""Makes moto fit for a dozen callers at once: quicker calls, and long polls that keep nobody out.

Measured with a burst of 100 requests on two cores, of which moto takes one whole: see docs/decisions/0001.
"""

import functools
import threading
import time
from typing import Any

import moto.backends
from moto.core import responses
from moto.ec2.models import core as ec2
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix
from moto.ec2.responses import instances
from moto.sqs import models as sqs


def apply(lock: threading.Lock, ending: threading.Event) -> None:
    """Tunes this process's moto, each call of which holds `lock`.

    A long poll lets go of the lock while it waits, and is cut within a second when `ending` is set.
    """
    # moto lists the folders of its package at each call, to learn which services there are.
    services = list(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = functools.cache(lambda: services)
    # Each call turns the names of all actions of its service into names of Python anew.
    names: Any = responses
    for function in ("camelcase_to_underscores", "method_names_from_class"):
        setattr(names, function, functools.cache(getattr(names, function)))
    # Each look at a queue asks for the time once or twice per message, through five calls of datetime.
    models: Any = sqs
    models.unix_time = time.time
    models.unix_time_millis = lambda: time.time() * 1000.0
    # For each message received, all attributes of its queue are worked out, its depth from all messages included.
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
    ec2.TaggedEC2Resource.get_tags = _tags_of  # type: ignore[method-assign]
    _launch_all_that_is_asked_for()


def _launch_all_that_is_asked_for() -> None:
    """EC2 launches MaxCount instances where it can; moto 5.2 launches MinCount of them, however many that is."""
    responses_of_instances: Any = instances.InstanceResponse
    run_instances = responses_of_instances.run_instances

    def run_most(response: Any) -> Any:
        get_param = response._get_param

        def get(name: str, *arguments: Any, **named: Any) -> Any:
            return get_param("MaxCount" if name == "MinCount" else name, *arguments, **named)

        response._get_param = get
        return run_instances(response)

    responses_of_instances.run_instances = run_most


def _is_retained(backend: Any, queue_name: str, message: Any) -> bool:
    """Whether the message is younger than its queue keeps messages."""
    retention_s = int(backend.get_queue(queue_name).message_retention_period)
    return bool(retention_s + message.sent_timestamp / 1000 > time.time())


def _tags_of(resource: Any) -> list[dict[str, str]]:
    """The tags of one resource of EC2, looked up by its id."""
    kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource.id), "") if resource.id else ""
    tags: dict[str, str] = resource.ec2_backend.tags.get(resource.id, {})
    return [{"resource_id": resource.id, "key": key, "value": tags[key], "resource_type": kind} for key in tags]
