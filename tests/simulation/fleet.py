"""The production fleet in the simulation, which reads each description of an instance once."""

from collections.abc import Iterator
from typing import Any

from facecontroller.fleet import Ec2Fleet, View
from facecontroller.model import Instance

from simulation.ec2 import SimulatedEc2


class Changes:
    """EC2's client, whose pages hold only what is not `known` yet. `listed` are the ids on all pages of a look."""

    def __init__(self, ec2: SimulatedEc2) -> None:
        self._ec2 = ec2
        self.known: dict[str, dict[str, Any]] = {}
        self.listed: dict[str, dict[str, Any]] = {}

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._ec2, operation)

    def get_paginator(self, _operation: str) -> "Changes":
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        self.listed = {}
        for page in self._ec2.paginate(**request):
            described = {i["InstanceId"]: i for r in page["Reservations"] for i in r["Instances"]}
            self.listed |= described
            new = [i for machine_id, i in described.items() if self.known.get(machine_id) is not i]
            yield {"Reservations": [{"Instances": new}]}


class SimulatedFleet(Ec2Fleet):
    """Makes the calls that Ec2Fleet makes, and sees what it sees.

    It keeps what it has read, as FakeEc2 describes an instance by the same object until that changes. Reading thousands
    of instances once a second would take half the time of the flood.
    """

    def __init__(self, ec2: SimulatedEc2) -> None:
        self._changes = Changes(ec2)
        self._instances: dict[str, Instance] = {}
        super().__init__(self._changes, "local", "local-worker")  # type: ignore[arg-type]

    def look(self, now: float, *, refresh: bool = True) -> View:
        """See Fleet."""
        view = super().look(now, refresh=refresh)
        self._instances |= {i.id: i for i in view.instances}
        self._changes.known = self._changes.listed
        return View(view.image, tuple(map(self._instances.__getitem__, self._changes.listed)), view.calls)
