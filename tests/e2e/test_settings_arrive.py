"""Every setting of web tier, controller and workers arrives in each local stack: each program logs it at its start."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from facecontroller.settings import Settings
from facecore.aws import Aws
from facecore.settings import AwsSettings
from facecore.variables import CONTROLLER, EVERY_PROGRAM, WEB, WORKER
from faceweb.settings import WebSettings
from faceworker.settings import WorkerSettings
from support import chosen
from support.ground import free_ports, until
from support.requirements import require_engine
from support.stacks import compose, embedded
from support.stacks.stack import log_lines
from support.stacks.turns import Turns

pytestmark = pytest.mark.alone

PROGRAMS: dict[str, type[AwsSettings]] = {"web": WebSettings, "controller": Settings, "worker": WorkerSettings}
READ = {"web": WEB | EVERY_PROGRAM, "controller": CONTROLLER | EVERY_PROGRAM, "worker": WORKER | EVERY_PROGRAM}
OF_THE_STACK = {"AWS_ENDPOINT_URL", "EFACE_ID", "EFACE_INSTANCE_ID", "EFACE_PORT"}
# `make up` gives these to the controller; workers have them by lines of their own.
FIGURES = {"EFACE_METRICS_PORT", "EFACE_METRICS_HOST"}


@dataclass
class Started:
    """A stack that was started with `variables`, where the workers have `lines` too."""

    variables: dict[str, str]
    lines: dict[str, str]
    set_by_the_image: set[str]
    log: Callable[[str], str]
    """What a program has logged so far."""

    def logged(self, program: str) -> dict[str, Any]:
        """The settings that a program logged at its start."""

        def settings() -> list[dict[str, Any]]:
            return [line for line in log_lines(self.log(program)) if line["event"] == "settings"]

        return until(settings, failure=lambda: f"{program} logged no settings:\n{self.log(program)}")[0]


def _variables(engine_or_precision: str, **texts: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a stack is started with, and the workers' own lines; one of engine and precision is left out."""
    without = frozenset(OF_THE_STACK | {engine_or_precision})
    port, own_port = map(str, free_ports(2))
    own = {"EFACE_METRICS_PORT": own_port, "EFACE_METRICS_HOST": "localhost"}
    wanted = chosen.variables(*PROGRAMS.values(), without=without) | {"EFACE_METRICS_PORT": port} | texts
    return wanted | {"EFACE_WORKER_ENVIRONMENT": "".join(f"{name}={value}\n" for name, value in own.items())}, own


def _start_a_worker(aws_url: str, region: str) -> str:
    """Launches an instance as the controller does, with whatever user data the launch template has; its id."""
    ec2: Any = Aws(AwsSettings(id="local", region=region, endpoint_url=aws_url)).client("ec2")
    tags = [{"Key": "Name", "Value": "app-tier-instance-1"}, {"Key": "elastic-face:id", "Value": "local"}]
    answer = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": "local-worker"},
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(answer["Instances"][0]["InstanceId"])


@pytest.fixture(scope="module")
def embedded_stack_of_choice(turns: Turns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    turns.end()
    folder = tmp_path_factory.mktemp("settings")
    variables, lines = _variables("EFACE_PRECISION", EFACE_HEARTBEAT_FILE=str(folder / "heartbeat"))
    with embedded.started(folder / "run", **variables) as stack:
        worker = _start_a_worker(stack.aws_url, variables["EFACE_REGION"])
        files = {"web": "web", "controller": "controller", "worker": f"worker-{worker}"}

        def log(program: str) -> str:
            path = folder / f"run/logs/{files[program]}.log"
            return path.read_text() if path.exists() else ""

        yield Started(variables, lines, set(), log)


@pytest.fixture(scope="module")
def compose_stack_of_choice(turns: Turns) -> Iterator[Started]:
    require_engine()
    turns.end()
    # EFACE_ENGINE chooses the worker's image there.
    variables, lines = _variables("EFACE_ENGINE")
    with compose.started(**variables) as stack:
        worker = _start_a_worker(stack.aws_url, variables["EFACE_REGION"])

        def log(program: str) -> str:
            if program != "worker":
                return str(stack.service(program).logs().decode())
            found = [one for one in stack.workers() if one.labels["elastic-face.instance-id"] == worker]
            return "".join(one.logs().decode() for one in found)

        image = {"EFACE_HOST", "EFACE_CACHE_DIR", "EFACE_HEARTBEAT_FILE", "EFACE_ENGINE"}
        yield Started(variables, lines, image, log)


@pytest.fixture(scope="module", params=["embedded", "compose"])
def started(request: pytest.FixtureRequest) -> Started:
    found: Started = request.getfixturevalue(f"{request.param}_stack_of_choice")
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("program", ["worker", "web", "controller"])
def test_a_program_logs_every_setting_that_its_stack_was_started_with(started: Started, program: str) -> None:
    given = started.variables | (started.lines if program == "worker" else {})
    given = {name: value for name, value in given.items() if name not in started.set_by_the_image}
    expected = chosen.expected(PROGRAMS[program], given)
    logged = started.logged(program)
    assert {name: logged[name] for name in expected} == expected
    left = READ[program] - expected.keys() - OF_THE_STACK - started.set_by_the_image
    assert left <= {"EFACE_PRECISION"}
