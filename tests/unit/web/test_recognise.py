"""`POST /`: every row of the HTTP table, through the app, among fakes."""

import asyncio
import time
import uuid

import httpx
import pytest
from facecore.errors import AccessError, NotFoundError, ThrottledError, UnavailableError
from facecore.messages import Request, ResultError
from support.fakes.web import FORM, Worker, World, form, reached, reply


def silent(_request: Request) -> list[str]:
    """A worker that never answers."""
    return []


def saying(subject: str | None, error: ResultError | None = None) -> Worker:
    """A worker that always gives the same answer."""
    return lambda request: [reply(request.id, subject, error).encode()]


def told(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer."""
    return response.status_code, response.text.split(":")[0]


def test_a_recognised_face_is_answered_with_name_and_subject_and_nothing_else() -> None:
    response = World(saying("Barack Obama")).post("face.jpg")
    assert (response.status_code, response.content) == (200, b"face.jpg:Barack Obama")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_names_and_subjects_are_utf8() -> None:
    assert World(saying("Zoë 人")).post("naïve 😀.jpg").content.decode() == "naïve 😀.jpg:Zoë 人"


def test_the_subject_follows_the_last_colon() -> None:
    text = World(saying("Anna")).post("a:b: c.jpg").text
    assert text.rpartition(":") == ("a:b: c.jpg", ":", "Anna")


def test_a_stranger_is_unknown() -> None:
    world = World(saying(None))
    assert world.post().text == "face.jpg:unknown"
    assert world.count("elastic_face_web_requests_total", outcome="unknown") == 1


def test_the_image_is_stored_and_its_version_sent_under_the_request_s_id() -> None:
    world = World(reply_queue="mine")
    response = world.post("dir/face.jpg", b"pixels")
    (request,) = world.request_queue.sent
    assert world.images.get("face.jpg", max_bytes=100, version="v1").content == b"pixels"
    assert world.images.metadata["face.jpg"]["request-id"] == request.id
    assert (request.key, request.version, request.reply_to) == ("face.jpg", "v1", "mine")
    assert request.id == response.headers["x-request-id"]
    assert abs(request.sent_at - time.time()) < 60


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"content": b"just bytes"},
        {"data": {"inputFile": "text"}},
        {"files": {"other": ("face.jpg", b"pixels")}},
        {"files": {"inputFile": ("face.jpg", b"")}},
        {"content": form('name="inputFile"; filename=""'), "headers": FORM},
        {"content": b"garbage", "headers": FORM},
        {"content": form(), "headers": {"content-type": "multipart/form-data"}},
        {"files": [("inputFile", ("a.jpg", b"pixels")), ("inputFile", ("b.jpg", b"pixels"))]},
    ],
)
def test_no_usable_file_is_400_missing_file(options: dict[str, object]) -> None:
    world = World()
    assert told(world.request(**options)) == (400, "missing_file")
    assert world.journal.steps == []


def test_a_name_that_cannot_be_a_key_is_400_bad_filename() -> None:
    assert told(World().post("x" * 256)) == (400, "bad_filename")


def test_an_upload_over_the_limit_is_413_too_large() -> None:
    world = World(max_upload_bytes=2000)
    assert told(world.post(content=b"x" * 2001)) == (413, "too_large")
    assert world.post(content=b"x" * 2000).status_code == 200


@pytest.mark.parametrize(("code", "status"), [("bad_image", 415), ("no_face", 422)])
def test_an_image_that_workers_refuse_is_answered_with_their_words(code: str, status: int) -> None:
    response = World(saying(None, ResultError(code, "use another"))).post()
    assert (response.status_code, response.text) == (status, f"{code}: use another")


def test_one_more_than_may_wait_is_503_overloaded() -> None:
    world = World(silent, max_waiting=3, result_timeout_s=0.3)

    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, list[httpx.Response]]:
        files = {"inputFile": ("face.jpg", b"pixels")}
        waiting = [asyncio.create_task(client.post("/", files=files)) for _ in range(3)]
        await reached(lambda: world.pending.waiting == 3)
        return await client.post("/", files=files), await asyncio.gather(*waiting)

    refused, waited = world.run(scenario)
    assert told(refused) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    assert {told(response) for response in waited} == {(504, "timeout")}
    assert told(world.post()) == (504, "timeout")


@pytest.mark.parametrize("error", [UnavailableError, ThrottledError, AccessError, NotFoundError])
@pytest.mark.parametrize("step", ["put", "send"])
def test_a_failure_of_aws_is_503_unavailable(error: type[UnavailableError], step: str) -> None:
    world = World()
    world.journal.failures[step] = [error("test-in-bucket or test-req-queue: AccessDenied")]
    response = world.post()
    assert told(response) == (503, "unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert "test-" not in response.text
    assert world.pending.waiting == world.pending.in_hand == 0


def test_no_result_in_time_is_504_timeout_with_the_request_s_id() -> None:
    world = World(silent, result_timeout_s=0.1)
    response = world.post()
    assert told(response) == (504, "timeout")
    assert response.headers["x-request-id"] in response.text
    assert world.pending.waiting == 0


def test_an_upload_that_stalls_is_408_slow_upload() -> None:
    async def stalling() -> object:
        yield form()[:50]
        await asyncio.sleep(1)
        yield form()[50:]

    world = World(upload_timeout_s=0.1)
    assert told(world.request(content=stalling(), headers=FORM)) == (408, "slow_upload")


def test_a_fault_is_500_internal_without_a_trace_of_it() -> None:
    world = World()
    world.journal.failures["put"] = [KeyError("a secret of ours")]
    response = world.post()
    assert told(response) == (500, "internal")
    assert response.headers["x-request-id"] in response.text
    assert "secret" not in response.text
    assert world.count("elastic_face_web_requests_total", outcome="internal") == 1


def test_two_uploads_of_one_name_each_get_their_own_answer() -> None:
    world = World(lambda request: [reply(request.id, f"subject of {request.version}").encode()])

    async def both(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(client.post("/", files={"inputFile": ("x.jpg", bytes([n]))}) for n in range(2)))

    responses = world.run(both)
    stored = [world.images.get("x.jpg", max_bytes=1, version=f"v{n}").content for n in (1, 2)]
    versions = {content: f"x.jpg:subject of v{n}" for n, content in enumerate(stored, 1)}
    assert [response.text for response in responses] == [versions[b"\0"], versions[b"\1"]]


def test_late_duplicate_and_foreign_replies_are_counted_deleted_and_dropped() -> None:
    world = World(lambda request: [reply(str(uuid.uuid4())).encode(), "{}"] + [reply(request.id).encode()] * 2)

    async def scenario(client: httpx.AsyncClient) -> str:
        response = await client.post("/", files={"inputFile": ("face.jpg", b"pixels")})
        await reached(lambda: world.reply_queue.depth().total == 0)
        return response.text

    assert world.run(scenario) == "face.jpg:Anna"
    for reason in ("late", "duplicate", "undecodable"):
        assert world.count("elastic_face_web_replies_dropped_total", reason=reason) == 1


def test_a_client_that_leaves_frees_its_place() -> None:
    world = World(silent)

    async def scenario(client: httpx.AsyncClient) -> None:
        leaving = asyncio.Event()
        parts = [{"type": "http.request", "body": form(), "more_body": False}]

        async def receive() -> dict[str, object]:
            if not parts:
                await leaving.wait()
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(_message: object) -> None:
            return

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "query_string": b"",
            "headers": [],
            "http_version": "1.1",
        }
        scope["headers"] = [(b"content-type", FORM["content-type"].encode()), (b"content-length", b"99")]
        serving = asyncio.create_task(world.app(scope, receive, send))  # type: ignore[arg-type]
        await reached(lambda: world.pending.waiting == 1)
        leaving.set()
        await serving

    world.run(scenario)
    assert world.pending.in_hand == world.pending.waiting == 0
    assert world.count("elastic_face_web_requests_total", outcome="disconnected") == 1
