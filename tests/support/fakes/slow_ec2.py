"""The emulator's EC2 with the time that states take on AWS: a double in front of the real client."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

LAG_S, PENDING_S, STOPPING_S = 2.0, 20.0, 5.0
MUTATING = frozenset({"RunInstances", "StartInstances", "StopInstances", "TerminateInstances", "CreateTags"})


class Killed(BaseException):
    """The controller's process is gone: nothing in it may handle this."""


class SlowEc2:
    """Passes calls on, and answers as EC2 does before they have had their effect.

    A new instance is described after 2 s, `pending` for 20 s and `stopping` for 5 s; a client token is honoured, which
    moto 5.2 does not. The process is killed before or after call number `kill_at`, where one is set.
    """

    def __init__(self, ec2: Any, clock: Callable[[], float]) -> None:
        self._ec2, self._clock = ec2, clock
        self._launched: dict[str, Any] = {}
        self._since: dict[str, tuple[str, float]] = {}
        self._seen_from: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self.kill_at: tuple[int, bool] | None = None
        """(number of the call, whether after it)."""

    @property
    def mutating(self) -> int:
        """Calls that changed something or tried to."""
        return sum(count for name, count in self.calls.items() if name in MUTATING)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return lambda **request: self._call(operation, request)

    def get_paginator(self, operation: str) -> Any:
        paginator = self._ec2.get_paginator(operation)
        return _Pages(lambda request: self._pages(paginator, request))

    def _pages(self, paginator: Any, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for page in paginator.paginate(**request):
            self._counted("describe_instances", lambda: None)
            for reservation in page["Reservations"]:
                reservation["Instances"] = [i for i in reservation["Instances"] if self._is_seen(i["InstanceId"])]
                for instance in reservation["Instances"]:
                    instance["State"]["Name"] = self._state(instance["InstanceId"], instance["State"]["Name"])
            yield page

    def _call(self, operation: str, request: dict[str, Any]) -> Any:
        return self._counted(operation, lambda: self._do(operation, request))

    def _counted(self, operation: str, do: Callable[[], Any]) -> Any:
        self.calls["".join(word.title() for word in operation.split("_"))] += 1
        self._die(after=False)
        answer = do()
        self._die(after=True)
        return answer

    def _die(self, *, after: bool) -> None:
        if self.kill_at == (self.calls.total(), after):
            self.kill_at = None
            raise Killed

    def _do(self, operation: str, request: dict[str, Any]) -> Any:
        if operation == "run_instances" and request["ClientToken"] in self._launched:
            return self._launched[request["ClientToken"]]
        answer = getattr(self._ec2, operation)(**request)
        now = self._clock()
        if operation == "run_instances":
            self._launched[request["ClientToken"]] = answer
            for instance in answer["Instances"]:
                self._seen_from[instance["InstanceId"]] = now + LAG_S
                self._since[instance["InstanceId"]] = ("pending", now + PENDING_S)
        for machine_id in request.get("InstanceIds", []) if operation == "start_instances" else []:
            self._since[machine_id] = ("pending", now + PENDING_S)
        return answer

    def powered_off(self, ids: list[str]) -> None:
        """The machines are about to stop."""
        for machine_id in ids:
            self._since[machine_id] = ("stopping", self._clock() + STOPPING_S)

    def _is_seen(self, machine_id: str) -> bool:
        return self._clock() >= self._seen_from.get(machine_id, 0.0)

    def _state(self, machine_id: str, real: str) -> str:
        state, until = self._since.get(machine_id, ("", 0.0))
        return state if self._clock() < until and real in ("running", "stopped") else real


class _Pages:
    def __init__(self, pages: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> None:
        self._pages = pages

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        return self._pages(request)
