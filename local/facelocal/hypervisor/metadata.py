"""`python -m facelocal.hypervisor.metadata`: an instance's metadata service, IMDSv2 alone, within one hop.

It runs in the network of the machine whose instance it describes, at the address that EC2 has it at.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ADDRESS = "169.254.169.254"
ROLE = "elastic-face"
# As on EC2, give or take an hour; SDKs fetch new keys before these expire.
_KEYS_LAST = timedelta(hours=6)
_MAX_TOKEN_TTL_S = 21_600
_TOKEN_PATH = "/latest/api/token"  # noqa: S105  a path, no secret


class MetadataServer(ThreadingHTTPServer):
    """Answers as the instance metadata of one instance, until it is shut down.

    `environ` names the instance: EFACE_INSTANCE_ID, EFACE_REGION, USER_DATA, and the keys of its role,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Raises KeyError if one is missing, OSError if the address is
    taken.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], environ: Mapping[str, str]) -> None:
        self.tokens: set[str] = set()
        self.documents = documents(environ)
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Takes the machine's own connections alone."""
        # They come from this address to itself. On EC2 a hop limit of 1 does the same: an answer gets into no container
        # behind the machine.
        return bool(client_address[0] == self.server_address[0])


def documents(environ: Mapping[str, str]) -> dict[str, str]:
    """The documents by path, with the user data if there is any. Raises KeyError as `MetadataServer`."""
    instance_id, region = environ["EFACE_INSTANCE_ID"], environ["EFACE_REGION"]
    now = datetime.now(UTC)
    keys = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": _timestamp(now),
        "AccessKeyId": environ["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": environ["AWS_SECRET_ACCESS_KEY"],
        "Token": "of-no-meaning-to-an-emulator",
        "Expiration": _timestamp(now + _KEYS_LAST),
    }
    found = {
        "/latest/meta-data/instance-id": instance_id,
        "/latest/meta-data/placement/region": region,
        "/latest/meta-data/placement/availability-zone": f"{region}a",
        "/latest/meta-data/iam/security-credentials/": ROLE,
        f"/latest/meta-data/iam/security-credentials/{ROLE}": json.dumps(keys),
        "/latest/dynamic/instance-identity/document": json.dumps({"instanceId": instance_id, "region": region}),
    }
    return found | ({"/latest/user-data": environ["USER_DATA"]} if environ.get("USER_DATA") else {})


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(BaseHTTPRequestHandler):
    server: MetadataServer

    def do_PUT(self) -> None:
        """Gives a session's token."""
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != _TOKEN_PATH:
            self._answer(HTTPStatus.NOT_FOUND)
        elif not seconds.isdigit() or not 1 <= int(seconds) <= _MAX_TOKEN_TTL_S:
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            token = secrets.token_urlsafe()
            self.server.tokens.add(token)
            self._answer(HTTPStatus.OK, token, {"X-aws-ec2-metadata-token-ttl-seconds": seconds})

    def do_GET(self) -> None:
        """Reads a document, with a session's token."""
        if self.headers.get("X-aws-ec2-metadata-token") not in self.server.tokens:
            self._answer(HTTPStatus.UNAUTHORIZED)
        elif (text := self.server.documents.get(self.path)) is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, text)

    def _answer(self, status: HTTPStatus, text: str = "", headers: Mapping[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs no request."""


def main(environ: Mapping[str, str]) -> int:
    """Serves until the process is ended; its exit status is 1 if a variable is missing or the address taken."""
    try:
        server = MetadataServer((ADDRESS, 80), environ)
    except KeyError as error:
        sys.stderr.write(f"metadata: {error.args[0]} is not set\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"metadata: cannot listen on {ADDRESS}:80: {error}\n")
        return 1
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
