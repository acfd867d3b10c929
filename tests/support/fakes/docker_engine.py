"""A Docker engine that takes its time for a start, and may fail at removals."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import docker.errors


@dataclass
class FakeEngine:
    """As much of docker.DockerClient as the container driver uses; it is its own `api` and `containers`."""

    start_s: float = 0.0
    failing_removals: int = 0
    states: dict[str, str] = field(default_factory=dict)
    """State of each container by its name."""
    _labels: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def api(self) -> FakeApi:
        return FakeApi(self)

    @property
    def containers(self) -> FakeEngine:
        return self

    def run(self, *, name: str, labels: dict[str, str], **_: Any) -> None:
        time.sleep(self.start_s)
        self._labels[name] = labels
        self.states[name] = "running"

    def get(self, name: str) -> FakeContainer:
        if name not in self.states:
            raise docker.errors.NotFound(name)
        return FakeContainer(self, name)

    def listed(self) -> list[dict[str, Any]]:
        return [{"Id": name, "State": state, "Labels": self._labels[name]} for name, state in self.states.items()]


@dataclass
class FakeApi:
    """The calls that go around docker.DockerClient's objects."""

    engine: FakeEngine

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return self.engine.listed()

    def inspect_container(self, _id: str) -> dict[str, Any]:
        return {"State": {"ExitCode": 0}}

    def kill(self, name: str, _signal: str) -> None:
        self.engine.states[name] = "exited"


@dataclass
class FakeContainer:
    """One container of the engine."""

    engine: FakeEngine
    name: str

    def logs(self, **_: Any) -> list[bytes]:
        return [b"a line\n"]

    def remove(self, **_: Any) -> None:
        if self.engine.failing_removals:
            self.engine.failing_removals -= 1
            raise docker.errors.APIError("removal of container is already in progress")
        del self.engine.states[self.name]
