"""The web tier as a process when things around it fail or stop."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from facelocal.settings import EmulatorSettings
from support.ground import free_port, until
from support.stacks.web_process import Cloud, anna, running

COULD_NOT_CONNECT = 7
"""curl's exit status."""


@pytest.fixture
def cloud(deployment: EmulatorSettings) -> Cloud:
    return Cloud(deployment)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_waits_takes_no_more_and_ends_with_0(
    deployment: EmulatorSettings, cloud: Cloud, log: Path, number: signal.Signals
) -> None:
    with running(deployment, log) as web, ThreadPoolExecutor() as clients:
        waiting = clients.submit(web.post)
        (request,) = cloud.take()
        web.process.send_signal(number)
        until(lambda: subprocess.run(["curl", "-s", web.url], check=False).returncode == COULD_NOT_CONNECT)
        cloud.replies.send(anna(request).encode())
        assert waiting.result().text == "face.jpg:Anna"
        assert web.process.wait(10) == 0
    assert "Traceback" not in log.read_text()


def test_a_request_that_waits_when_the_time_is_up_is_told_to_come_again(
    deployment: EmulatorSettings, cloud: Cloud, log: Path
) -> None:
    with running(deployment, log, shutdown_s=0.5) as web, ThreadPoolExecutor() as clients:
        waiting = clients.submit(web.post)
        cloud.take()
        web.process.terminate()
        assert waiting.result().status_code == 503
        assert waiting.result().text.startswith("unavailable: ")
        assert web.process.wait(10) == 0
    assert "Traceback" not in log.read_text()


def test_an_idle_process_stops_at_once_though_it_long_polls(deployment: EmulatorSettings, log: Path) -> None:
    with running(deployment, log) as web:
        assert web.get("readyz").text == "ready"
        web.process.terminate()
        assert web.process.wait(10) == 0


def test_the_process_that_replaces_a_killed_one_gets_its_replies(
    deployment: EmulatorSettings, cloud: Cloud, log: Path
) -> None:
    with running(deployment, log) as web:
        assert web.get("readyz").text == "ready"
        web.process.kill()
    with running(deployment, log) as web, cloud.answering():
        assert [web.post().text for _ in range(3)] == ["face.jpg:Anna"] * 3


def test_while_aws_cannot_be_reached_every_answer_says_so(deployment: EmulatorSettings, log: Path) -> None:
    nowhere = deployment.model_copy(update={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
    with running(nowhere, log) as web:
        # At once: before any call to AWS has ended, the first poll of the reply queue included.
        ready = web.get("readyz")
        assert ready.status_code == 503
        assert all(part in ready.text for part in ("request queue", "reply queue", "photographs", "results"))
        response = web.post()
        assert (response.status_code, response.text.split(":")[0]) == (503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert web.get("healthz").text == "ok"
        web.process.terminate()
        assert web.process.wait(10) == 0


def test_a_missing_deployment_is_unavailable_and_its_names_stay_secret(deployment: EmulatorSettings, log: Path) -> None:
    nameless = deployment.model_copy(update={"id": "no-such-deployment"})
    with running(nameless, log) as web:
        response = web.post()
        assert (response.status_code, response.text.split(":")[0]) == (503, "unavailable")
        assert "no-such" not in response.text + web.get("readyz").text
    assert "no-such-deployment-in-bucket" in log.read_text()


def test_replies_come_again_after_a_failure_of_aws(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    own = {"reply_queue": f"{deployment.id}-late-queue"}
    with running(deployment, log, **own) as web, ThreadPoolExecutor() as clients:
        waiting = clients.submit(web.post)
        (request,) = cloud.take()
        assert "the reply queue" in web.get("readyz").text
        cloud.create(request.reply_to).send(anna(request).encode())
        assert waiting.result().text == "face.jpg:Anna"


def test_a_hundred_held_requests_take_little_memory_and_do_not_slow_health_down(
    deployment: EmulatorSettings, cloud: Cloud, log: Path
) -> None:
    with running(deployment, log) as web, ThreadPoolExecutor(100) as clients:
        posts = [clients.submit(web.post, f"{n}.jpg", os.urandom(100_000)) for n in range(100)]
        web.until("elastic_face_web_waiting", 100)
        assert web.get("healthz").status_code == web.get("readyz").status_code == 200
        assert web.resident_mib() < 250
        with cloud.answering():
            assert [post.result().text for post in posts] == [f"{n}.jpg:Anna" for n in range(100)]


def test_the_program_needs_an_id() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EFACE_")}
    done = subprocess.run(
        [sys.executable, "-m", "faceweb"], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "EFACE_ID" in done.stderr
