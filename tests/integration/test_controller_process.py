"""`python -m facecontroller` as its users start and end it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from facecore.aws import Aws
from facecore.queues import SqsQueue
from facecore.settings import AwsSettings
from support.ground import PATIENCE_S, free_port, until

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(deployment: AwsSettings) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        assert deployment.endpoint_url
        environment = {
            **os.environ,
            "EFACE_ID": deployment.id,
            "AWS_ENDPOINT_URL": deployment.endpoint_url,
            "EFACE_TICK_S": "0.1",
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "facecontroller", *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """The first log line of that event; every line must be JSON."""
    assert process.stderr is not None
    for line in process.stderr:
        entry: dict[str, Any] = json.loads(line)
        if entry["event"] == event:
            return entry
    pytest.fail(f"the controller ended without {event}")


def end(process: subprocess.Popen[str], with_signal: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(with_signal)
    _, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, errors


def owned(deployment: AwsSettings, *states: str) -> list[str]:
    found = (
        Aws(deployment)
        .client("ec2")
        .describe_instances(
            Filters=[
                {"Name": "tag:elastic-face:id", "Values": [deployment.id]},
                {"Name": "tag:Name", "Values": ["app-tier-*"]},
                {"Name": "instance-state-name", "Values": states or ["pending", "running", "stopping", "stopped"]},
            ]
        )
    )
    return [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]]


@pytest.fixture
def queue(deployment: AwsSettings) -> SqsQueue:
    return SqsQueue(Aws(deployment).client("sqs"), deployment.request_queue)


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start: Start, with_signal: int) -> None:
    process = start()
    line_of(process, "started")
    status, errors = end(process, with_signal)
    assert status == 0
    assert [json.loads(line)["event"] for line in errors.splitlines()] == ["stopped"]


def test_it_launches_what_the_queue_asks_for(start: Start, queue: SqsQueue, deployment: AwsSettings) -> None:
    queue.send("a request")
    process = start()
    decision = line_of(process, "decision")
    assert decision["reason"] == "demand 1 wants 1, 0 active, 0 owned"
    assert decision["launch"] == {"count": 1, "offering": "any type@any subnet"}
    until(lambda: len(owned(deployment)) == 1)
    assert end(process)[0] == 0


@pytest.mark.alone
def test_a_burst_goes_to_start_instances_in_under_a_second_and_a_half(
    start: Start, queue: SqsQueue, deployment: AwsSettings
) -> None:
    aws = Aws(deployment)
    ec2, sqs = aws.client("ec2"), aws.client("sqs")
    start(EFACE_TICK_S="1")
    for _ in range(15):
        queue.send("a request")
    until(lambda: len(owned(deployment)) == 15)
    sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=deployment.request_queue)["QueueUrl"])
    time.sleep(2)
    ec2.stop_instances(InstanceIds=owned(deployment))
    waits_s = []
    # At most a tick passes until the controller looks, 1 s; then come its three calls, and here up to 0.1 s to the next
    # look and a call. The best of three counts: what a loaded machine adds is not the controller's.
    for running in (5, 10, 15):
        began = time.monotonic()
        for _ in range(5):
            queue.send("a request")
        until(lambda running=running: len(owned(deployment, "running")) >= running)
        waits_s.append(time.monotonic() - began)
        time.sleep(1.7)
    assert min(waits_s) < 1.5


def test_a_second_controller_stands_by_and_takes_over_when_the_first_ends(start: Start) -> None:
    first = start()
    line_of(first, "lease_taken")
    second = start()
    assert line_of(second, "standing_by")["holder"]
    assert end(first)[0] == 0
    line_of(second, "lease_taken")
    assert end(second)[0] == 0


def test_a_dry_run_says_what_it_would_do(start: Start, queue: SqsQueue, deployment: AwsSettings) -> None:
    queue.send("a request")
    process = start("--dry-run")
    assert line_of(process, "would_act")["launch"]["count"] == 1
    assert end(process)[0] == 0
    assert owned(deployment) == []


def test_it_outlives_aws_and_ends_while_aws_is_away(start: Start) -> None:
    process = start(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert line_of(process, "lease_failed")["code"] == "UnavailableError"
    status, errors = end(process)
    assert status == 0
    assert [json.loads(line)["event"] for line in errors.splitlines()] == ["stopped"]


def test_a_call_that_hangs_does_not_hold_up_its_end(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start(AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            process.terminate()
            assert process.wait(timeout=8) == 0


def test_it_reports_metrics_and_beats(start: Start, tmp_path: Path) -> None:
    heartbeat, port = tmp_path / "beat", free_port()
    process = start(EFACE_METRICS_PORT=str(port), EFACE_HEARTBEAT_FILE=str(heartbeat))
    line_of(process, "started")
    until(lambda: _ticked(port))
    assert heartbeat.exists()


def _ticked(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return "elastic_face_controller_tick_seconds_count 0.0" not in answer.read().decode()


def test_wrong_settings_end_it_with_a_line_that_names_them(start: Start) -> None:
    process = start(EFACE_MAX_INSTANCES="many")
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors.startswith("facecontroller: EFACE_MAX_INSTANCES: ")
    assert errors.count("\n") == 1


def test_a_taken_port_ends_it_with_a_line_that_names_it(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(EFACE_METRICS_PORT=str(port))
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("facecontroller: ")
    assert f"127.0.0.1:{port}" in errors


def test_a_heartbeat_that_cannot_be_written_ends_it(start: Start, tmp_path: Path) -> None:
    process = start(EFACE_HEARTBEAT_FILE=str(tmp_path / "missing" / "beat"))
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("facecontroller: EFACE_HEARTBEAT_FILE: ")
