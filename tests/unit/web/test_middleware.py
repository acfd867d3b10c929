"""Around the routes: ids, headers, faults, fairness, and bodies that were left unread."""

import asyncio
import uuid
from typing import Any

import pytest
from faceweb.middleware import RequestMiddleware, Turns
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from support.fakes.web import World, soon

MORE = {"type": "http.request", "body": b"x" * 10, "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


class Client:
    """What an app receives, and what it sent; after the last message nothing more comes."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append({**message, "left": len(self.messages)})

    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers without reading."""
    await PlainTextResponse("no")(scope, receive, send)


def serve(app: ASGIApp, client: Client, *headers: tuple[bytes, bytes], **options: Any) -> None:
    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
    soon(RequestMiddleware(app, **options)(scope, client.receive, client.send))


@pytest.mark.parametrize("header", [(b"content-length", b"20"), (b"transfer-encoding", b"chunked")])
def test_an_early_answer_goes_out_whole_before_the_rest_of_the_body_is_dropped(header: tuple[bytes, bytes]) -> None:
    client = Client(MORE, MORE, LAST)
    serve(refusing, client, header)
    assert [message["type"] for message in client.sent] == ["http.response.start"] + ["http.response.body"] * 2
    assert (client.sent[1]["body"], client.sent[1]["left"], client.sent[1]["more_body"]) == (b"no", 3, True)
    assert (client.sent[2]["body"], client.sent[2]["left"], client.sent[2]["more_body"]) == (b"", 0, False)
    assert client.headers()[b"connection"] == b"close"


def test_a_client_that_neither_sends_nor_leaves_is_not_waited_for_long() -> None:
    client = Client(MORE)
    serve(refusing, client, (b"content-length", b"99"), linger_idle_s=0.01)
    assert client.sent[-1]["more_body"] is False


def test_a_client_that_sends_for_ever_is_not_listened_to_for_ever() -> None:
    client = Client()

    async def endless() -> Message:
        await asyncio.sleep(0)
        return MORE

    client.receive = endless  # type: ignore[method-assign]
    serve(refusing, client, (b"transfer-encoding", b"chunked"), linger_s=0.05)
    assert client.sent[-1]["more_body"] is False


@pytest.mark.parametrize("messages", [[MORE, GONE], [LAST]])
def test_lingering_ends_with_the_body_or_the_client(messages: list[Message]) -> None:
    client = Client(*messages)
    serve(refusing, client, (b"content-length", b"99"))
    assert client.sent[-1]["left"] == 0


def test_a_request_without_a_body_keeps_its_connection() -> None:
    client = Client()
    serve(refusing, client)
    assert b"connection" not in client.headers()
    assert len(client.sent) == 2


def test_a_body_that_was_read_keeps_its_connection() -> None:
    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await refusing(scope, receive, send)

    client = Client(MORE, LAST)
    serve(reading, client, (b"content-length", b"10"))
    assert b"connection" not in client.headers()


def test_a_fault_is_told_without_its_details() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise KeyError("a secret")

    client = Client()
    serve(broken, client)
    assert client.sent[0]["status"] == 500
    assert client.sent[1]["body"].startswith(b"internal: ")
    assert b"secret" not in client.sent[1]["body"]


def test_a_fault_in_the_middle_of_a_response_is_raised_on_so_that_the_server_cuts_the_connection() -> None:
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("a secret")

    with pytest.raises(KeyError):
        serve(broken, Client())


def test_a_request_that_the_server_cuts_off_is_told_to_come_again() -> None:
    async def cancelled(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise asyncio.CancelledError

    client = Client()
    serve(cancelled, client)
    assert client.sent[0]["status"] == 503
    assert client.sent[1]["body"].startswith(b"unavailable: ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/nope"),
        ("PUT", "/"),
        ("POST", "/"),
        ("HEAD", "/"),
    ],
)
def test_every_response_has_an_id_of_its_own_and_the_headers_of_a_careful_server(method: str, path: str) -> None:
    world = World()
    first, second = (world.request(method, path, headers={"X-Request-Id": "mine"}) for _ in range(2))
    assert uuid.UUID(first.headers["x-request-id"]) != uuid.UUID(second.headers["x-request-id"])
    assert first.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in first.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
def test_other_methods_are_405(method: str) -> None:
    response = World().request(method, "/")
    assert (response.status_code, response.text.split(":")[0]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/nope", "/healthz/", "/docs/../nope", "/%00", "/index.html"])
def test_other_addresses_are_404(path: str) -> None:
    response = World().request("GET", path)
    assert (response.status_code, response.text.split(":")[0]) == (404, "not_found")


def test_other_work_passes_between_the_turns() -> None:
    order: list[str] = []

    async def upload(turns: Turns) -> None:
        await turns.wait()
        order.append("upload")

    async def scenario() -> None:
        turns = Turns(starts_per_turn=2)
        uploads = [asyncio.create_task(upload(turns)) for _ in range(20)]
        while not order:  # noqa: ASYNC110
            await asyncio.sleep(0)
        order.append("health")
        await asyncio.gather(*uploads)

    soon(scenario())
    assert order.count("upload") == 20
    assert order.index("health") <= 4


def test_turns_come_in_order_and_leavers_are_passed_over() -> None:
    order: list[int] = []

    async def upload(turns: Turns, number: int) -> None:
        await turns.wait()
        order.append(number)

    async def scenario() -> None:
        turns = Turns(starts_per_turn=1)
        tasks = [asyncio.create_task(upload(turns, number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    soon(scenario())
    assert order == [0, 1, 3, 4]
