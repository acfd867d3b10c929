"""A proxy in front of emulators of AWS: sends each service's calls to its emulator, and records who called what.

Callers are told apart by their access keys: an emulator takes any.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request")
_S3_OBJECT = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3_BUCKET = {"HEAD": "HeadBucket", "GET": "ListObjects", "PUT": "CreateBucket", "POST": "DeleteObjects"}


@dataclass(frozen=True)
class Call:
    """One call to AWS: by whom, of which operation, with which parameters, and how it was answered."""

    caller: str
    service: str
    operation: str
    parameters: Mapping[str, str]
    status: int
    answer: str


@dataclass
class Recorder:
    """What was called through a proxy."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    delays_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """Seconds that an operation of a caller takes longer than it needs to."""

    def of(self, caller: str) -> list[Call]:
        """The calls that were answered to this caller."""
        return [call for call in list(self.calls) if call.caller == caller]

    def operations(self, caller: str) -> set[str]:
        """Names of the operations that this caller used with success."""
        return {call.operation for call in self.of(caller) if call.status < http.client.BAD_REQUEST}


def parsed(service: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, dict[str, str]]:
    """Operation and parameters of a call, in the protocol of its service."""
    if target := headers.get("x-amz-target"):
        given = json.loads(body or b"{}")
        return target.rpartition(".")[2], {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}
    if service == "s3":
        split = urlsplit(path)
        bucket, _, key = unquote(split.path).strip("/").partition("/")
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        names = _S3_OBJECT if key else _S3_BUCKET
        subresources = set(query) - {"versionId", "x-id", "list-type", "prefix", "encoding-type"}
        operation = names.get(method, method) if not subresources else f"{method}:{','.join(sorted(subresources))}"
        return operation, {"Bucket": bucket, "Key": key, **query}
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return fields.pop("Action", f"{method} {path}"), fields


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, recorder: Recorder, routes: Mapping[str, str], default: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recorder = recorder
        self._routes, self._default = routes, default

    def target(self, service: str) -> SplitResult:
        """The emulator of a service."""
        return urlsplit(self._routes.get(service, self._default))


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        recorder = self.server.recorder
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = _CREDENTIAL.search(self.headers.get("Authorization", ""))
        caller, service = found.groups() if found else ("", "")
        lowered = {name.lower(): value for name, value in self.headers.items()}
        operation, parameters = parsed(service, self.command, self.path, lowered, body)
        time.sleep(recorder.delays_s.get((caller, operation), 0))
        target = self.server.target(service)
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            self.send_error(502, str(error))
            return
        finally:
            connection.close()
        text = "" if service == "s3" else content.decode(errors="replace")
        recorder.calls.append(Call(caller, service, operation, parameters, answer.status, text))
        self._answer(answer, content)

    def _answer(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815  http.server's names

    def log_message(self, *_: Any) -> None:
        """Nothing: the record is the log."""


@contextmanager
def started(routes: Mapping[str, str], default: str) -> Iterator[Recorder]:
    """A proxy to the emulators at `routes`, by service, and at `default` for all other services."""
    recorder = Recorder()
    server = _Proxy(recorder, routes, default)
    recorder.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
