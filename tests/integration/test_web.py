"""The web tier as a process, against an emulator: uploads, answers, limits."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from facecore.messages import Reply, Request, ResultError
from facelocal.settings import EmulatorSettings
from support.fakes.web import form
from support.ground import until
from support.requirements import require_program
from support.stacks.web_process import Cloud, anna, raw_post, running

MIB = 1024 * 1024


@pytest.fixture
def cloud(deployment: EmulatorSettings) -> Cloud:
    return Cloud(deployment)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "web.log"


def curl(*arguments: str) -> str:
    """What curl prints."""
    done = subprocess.run(
        [require_program("curl"), "-s", "-m", "30", *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_an_image_is_stored_sent_and_answered(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    with running(deployment, log) as web, ThreadPoolExecutor() as clients:
        response = clients.submit(web.post, "naïve 人 \"&'<>+%.jpg", b"x" * 2 * MIB)
        (request,) = cloud.take()
        stored = cloud.images.get(request.key, max_bytes=3 * MIB, version=request.version)
        assert stored.content == b"x" * 2 * MIB
        cloud.replies.send(anna(request).encode())
        assert response.result().status_code == 200
        assert response.result().text == f"{request.key}:Anna"
        assert response.result().headers["x-request-id"] == request.id
        assert "naïve" not in log.read_text()


def test_two_uploads_of_one_name_are_kept_apart(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    def reading(request: Request) -> Reply:
        stored = cloud.images.get(request.key, max_bytes=100, version=request.version)
        return replace(anna(request), subject=stored.content.decode())

    with running(deployment, log) as web, cloud.answering(reading), ThreadPoolExecutor(20) as clients:
        posts = [clients.submit(web.post, "same.jpg", f"subject {n}".encode()) for n in range(20)]
        assert [post.result().text for post in posts] == [f"same.jpg:subject {n}" for n in range(20)]


def test_what_workers_say_reaches_the_client(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    def refusing(request: Request) -> Reply:
        codes = {"wall.jpg": "no_face", "noise.jpg": "bad_image"}
        error = ResultError(codes[request.key], "use another") if request.key in codes else None
        return replace(anna(request), subject=None, error=error)

    with running(deployment, log) as web, cloud.answering(refusing):
        told = [(response.status_code, response.text) for response in map(web.post, ["wall.jpg", "noise.jpg", "x.jpg"])]
    assert told == [(422, "no_face: use another"), (415, "bad_image: use another"), (200, "x.jpg:unknown")]


def test_late_duplicate_and_foreign_replies_are_dropped(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    with running(deployment, log, result_timeout_s=0.5) as web:
        late = web.post()
        assert late.status_code == 504
        cloud.replies.send(anna(cloud.take()[0]).encode())
        cloud.replies.send("not a reply")
        web.until('elastic_face_web_replies_dropped_total{reason="late"}', 1)
        web.until('elastic_face_web_replies_dropped_total{reason="undecodable"}', 1)
        until(lambda: cloud.replies.depth().total == 0)


def test_a_client_that_leaves_frees_its_place(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    with running(deployment, log) as web:
        with pytest.raises(subprocess.CalledProcessError):
            curl("-m", "1", "-F", f"inputFile=@{__file__}", web.url)
        web.until('elastic_face_web_requests_total{outcome="disconnected"}', 1)
        assert web.figure("elastic_face_web_waiting") == web.figure("elastic_face_web_in_hand") == 0


@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]])
def test_curl_reads_the_refusal_of_a_large_upload(
    deployment: EmulatorSettings, log: Path, tmp_path: Path, options: list[str]
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(50 * MIB))
    with running(deployment, log) as web:
        before_mib = web.resident_mib()
        told = curl("-w", " %{http_code} %{size_upload}", *options, "-F", f"inputFile=@{large}", web.url)
        assert told.startswith("too_large: ")
        status, sent_bytes = told.split()[-2:]
        assert status == "413"
        assert int(sent_bytes) < 40 * MIB
        assert web.resident_mib() - before_mib < 20


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("path", "status"), [("/", 413), ("/nope", 404)])
def test_a_client_that_sends_all_before_it_reads_gets_the_refusal_too(
    deployment: EmulatorSettings, log: Path, chunked: bool, path: str, status: int
) -> None:
    with running(deployment, log) as web:
        told = raw_post(web.port, form(content=bytes(40 * MIB)), chunked=chunked, path=path)
        assert told[0] == status
        assert web.get("healthz").text == "ok"


def test_a_stalled_upload_is_ended(deployment: EmulatorSettings, log: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow.jpg"
    slow.write_bytes(bytes(4 * MIB))
    with running(deployment, log, upload_timeout_s=0.3) as web:
        told = curl("--limit-rate", "10k", "-F", f"inputFile=@{slow}", "-w", " %{http_code}", web.url)
        assert told.startswith("slow_upload: ")
        assert told.endswith(" 408")


def test_an_overload_is_refused_while_others_wait(deployment: EmulatorSettings, cloud: Cloud, log: Path) -> None:
    with running(deployment, log, max_waiting=5) as web, ThreadPoolExecutor(5) as clients:
        waiting = [clients.submit(web.post, f"{n}.jpg") for n in range(5)]
        web.until("elastic_face_web_waiting", 5)
        assert raw_post(web.port, form(content=bytes(5 * MIB)), chunked=False)[1].startswith("overloaded: ")
        assert web.get("healthz").status_code == 200
        with cloud.answering():
            assert {post.result().status_code for post in waiting} == {200}


def test_the_docs_page_and_the_form_are_served(deployment: EmulatorSettings, log: Path) -> None:
    with running(deployment, log) as web:
        for path in ("", "docs", "docs/swagger-ui-bundle.js", "openapi.json", "readyz"):
            assert web.get(path).status_code == 200


def test_no_traceback_is_ever_logged_for_bad_input(deployment: EmulatorSettings, log: Path) -> None:
    with running(deployment, log) as web:
        for body in (b"", b"garbage", form()[:40], form('name="inputFile"; filename="a\nb"'), form(content=b"")):
            assert raw_post(web.port, body, chunked=True)[0] == 400
    assert "Traceback" not in log.read_text()
