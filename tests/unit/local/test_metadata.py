"""The metadata service of a machine: IMDSv2 alone."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest
from facelocal.hypervisor.metadata import MetadataServer, main

VARIABLES = {
    "EFACE_INSTANCE_ID": "i-0123456789abcdef0",
    "EFACE_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "USER_DATA": "EFACE_ID=t1\n",
}
TTL = "X-aws-ec2-metadata-token-ttl-seconds"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of a service that runs."""
    with MetadataServer(("127.0.0.1", 0), VARIABLES) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as client:
            yield client
        server.shutdown()
        thread.join()


def _token(client: httpx.Client) -> dict[str, str]:
    answer = client.put("/latest/api/token", headers={TTL: "60"})
    assert answer.status_code == 200
    return {"X-aws-ec2-metadata-token": answer.text}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/placement/region", "eu-west-1"),
        ("user-data", "EFACE_ID=t1\n"),
    ],
)
def test_a_document_is_read_with_a_token(client: httpx.Client, path: str, text: str) -> None:
    assert client.get(f"/latest/{path}", headers=_token(client)).text == text


def test_without_a_token_there_is_nothing_to_read(client: httpx.Client) -> None:
    assert client.get("/latest/user-data").status_code == 401
    assert client.get("/latest/user-data", headers={"X-aws-ec2-metadata-token": "guessed"}).status_code == 401


@pytest.mark.parametrize("headers", [{}, {TTL: "0"}, {TTL: "21601"}, {TTL: "soon"}])
def test_a_token_has_a_lifetime_within_ec2s_bounds(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.put("/latest/api/token", headers=headers).status_code == 400


def test_only_the_machine_itself_is_answered(client: httpx.Client) -> None:
    from_elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with (
        httpx.Client(base_url=client.base_url, transport=from_elsewhere) as other,
        pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)),
    ):
        other.put("/latest/api/token", headers={TTL: "60"})


def test_the_roles_keys_are_as_aws_sdks_read_them(client: httpx.Client) -> None:
    token = _token(client)
    role = client.get("/latest/meta-data/iam/security-credentials/", headers=token).text
    keys = json.loads(client.get(f"/latest/meta-data/iam/security-credentials/{role}", headers=token).text)
    assert (keys["AccessKeyId"], keys["SecretAccessKey"], keys["Code"]) == ("test", "secret", "Success")


def test_what_is_not_there_is_not_found(client: httpx.Client) -> None:
    assert client.get("/latest/meta-data/hostname", headers=_token(client)).status_code == 404
    assert client.put("/latest/user-data", headers={TTL: "60"}).status_code == 404


def test_a_missing_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({}) == 1
    assert capsys.readouterr().err == "metadata: EFACE_INSTANCE_ID is not set\n"
