"""What a machine reads at boot: the script itself, against a metadata service."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from facelocal.hypervisor.metadata import MetadataServer
from support.ground import ROOT

SCRIPT = ROOT / "packer/files/bin/read-user-data"
WRONG = 2
_INSTANCE = {
    "EFACE_INSTANCE_ID": "i-0123456789abcdef0",
    "EFACE_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}


@contextmanager
def _metadata(variables: Mapping[str, str]) -> Iterator[str]:
    with MetadataServer(("127.0.0.1", 0), _INSTANCE | variables) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _read(user_data: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    with _metadata({"USER_DATA": user_data, **variables}) as endpoint:
        environment = os.environ | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint}
        command = [SCRIPT, folder / "run"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _settings(folder: Path) -> list[str]:
    return (folder / "run/env").read_text().splitlines()


def test_lines_are_kept_as_they_are_and_the_instance_adds_its_own(tmp_path: Path) -> None:
    user_data = (
        "# a comment\nEFACE_ID=t1\n\nEFACE_NOTE=a = \"b\" $(id) 'c' \\\r\nAWS_ENDPOINT_URL=http://localstack:4566"
    )
    assert _read(user_data, tmp_path).returncode == 0
    assert _settings(tmp_path) == [
        "EFACE_ID=t1",
        "EFACE_NOTE=a = \"b\" $(id) 'c' \\",
        "AWS_ENDPOINT_URL=http://localstack:4566",
        "EFACE_REGION=us-east-1",
        "EFACE_INSTANCE_ID=i-0123456789abcdef0",
    ]


def test_only_root_may_read_what_was_written(tmp_path: Path) -> None:
    _read("EFACE_ID=t1\n", tmp_path)
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run/env").stat().st_mode & 0o777 == 0o600


def test_a_region_that_is_set_stays(tmp_path: Path) -> None:
    _read("EFACE_ID=t1\nEFACE_REGION=eu-west-1\n", tmp_path)
    assert [line for line in _settings(tmp_path) if "REGION" in line] == ["EFACE_REGION=eu-west-1"]


@pytest.mark.parametrize(
    ("user_data", "why"),
    [
        ("", "no user data"),
        ("EFACE_MODEL=auto\n", "sets no EFACE_ID"),
        ("#!/bin/sh\nreboot\n", "line 2"),
        ("EFACE_ID=t1\nPATH=/tmp\n", "line 2"),
        ("EFACE_ID=t1\nexport EFACE_MODEL=auto\n", "line 2"),
        ("EFACE_ID=t1\neface_model=auto\n", "line 2"),
        ("EFACE_ID=t1\nEFACE_ID=t2\n", "EFACE_ID is set on line 1 already"),
        ("EFACE_ID=t1\nEFACE_INSTANCE_ID=i-1\n", "line 2"),
        ("EFACE_ID=t1\nEFACE_MODEL=é\n", "printable ASCII"),
        ("EFACE_ID=t1\nEFACE_MODEL=\x1b[2J\n", "printable ASCII"),
        ("EFACE_ID=t1\nEFACE_MODEL=a\tb\n", "printable ASCII"),
        (f"EFACE_ID=t1\nEFACE_MODEL={'a' * 1025}\n", "longer than 1024 bytes"),
    ],
)
def test_what_is_no_setting_is_refused_by_its_line(tmp_path: Path, user_data: str, why: str) -> None:
    answer = _read(user_data, tmp_path)
    assert answer.returncode == WRONG
    assert why in answer.stderr
    assert not (tmp_path / "run/env").exists()


def test_no_value_is_told(tmp_path: Path) -> None:
    answer = _read("EFACE_ID=t1\nPASSWORD=hunter2\n", tmp_path)
    assert "hunter2" not in answer.stdout + answer.stderr


def test_a_null_byte_is_refused(tmp_path: Path) -> None:
    assert "null byte" in _read("EFACE_ID=t1\nEFACE_MODEL=a\x00b\n", tmp_path).stderr


def test_more_than_ec2_allows_is_refused(tmp_path: Path) -> None:
    assert _read("EFACE_ID=t1\n" + "#" * 16384, tmp_path).returncode != 0
    assert not (tmp_path / "run/env").exists()


@pytest.mark.parametrize(("name", "value"), [("EFACE_INSTANCE_ID", "i-1; reboot"), ("EFACE_REGION", "$(reboot)")])
def test_metadata_that_are_none_are_refused(tmp_path: Path, name: str, value: str) -> None:
    assert _read("EFACE_ID=t1\n", tmp_path, **{name: value}).returncode == WRONG


def test_what_an_earlier_boot_wrote_is_gone_where_this_one_fails(tmp_path: Path) -> None:
    assert _read("EFACE_ID=t1\n", tmp_path).returncode == 0
    assert _read("nonsense\n", tmp_path).returncode == WRONG
    assert not (tmp_path / "run/env").exists()
