"""What a machine reads at boot: the script itself, against a metadata service."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stacks.machine_script import ReadUserData, reading

WRONG = 2


@pytest.fixture
def script(tmp_path: Path) -> Iterator[ReadUserData]:
    with reading(tmp_path) as script:
        yield script


def test_lines_are_kept_as_they_are_and_the_instance_adds_its_own(script: ReadUserData) -> None:
    user_data = (
        "# a comment\nEFACE_ID=t1\n\nEFACE_NOTE=a = \"b\" $(id) 'c' \\\r\nAWS_ENDPOINT_URL=http://localstack:4566"
    )
    assert script.run(user_data).returncode == 0
    assert (script.folder / "env").read_text().splitlines() == [
        "EFACE_ID=t1",
        "EFACE_NOTE=a = \"b\" $(id) 'c' \\",
        "AWS_ENDPOINT_URL=http://localstack:4566",
        "EFACE_REGION=us-east-1",
        "EFACE_INSTANCE_ID=i-0123456789abcdef0",
    ]


def test_only_root_may_read_what_was_written(script: ReadUserData) -> None:
    script.run("EFACE_ID=t1\n")
    assert script.folder.stat().st_mode & 0o777 == 0o700
    assert (script.folder / "env").stat().st_mode & 0o777 == 0o600


def test_a_region_that_is_set_stays(script: ReadUserData) -> None:
    script.run("EFACE_ID=t1\nEFACE_REGION=eu-west-1\n")
    assert script.environment()["EFACE_REGION"] == "eu-west-1"


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
def test_what_is_no_setting_is_refused_by_its_line(script: ReadUserData, user_data: str, why: str) -> None:
    answer = script.run(user_data)
    assert answer.returncode == WRONG
    assert why in answer.stderr
    assert not (script.folder / "env").exists()


def test_no_value_is_told(script: ReadUserData) -> None:
    answer = script.run("EFACE_ID=t1\nPASSWORD=hunter2\n")
    assert "hunter2" not in answer.stdout + answer.stderr


def test_a_null_byte_is_refused(script: ReadUserData) -> None:
    assert "null byte" in script.run("EFACE_ID=t1\nEFACE_MODEL=a\x00b\n").stderr


def test_more_than_ec2_allows_is_refused(script: ReadUserData) -> None:
    assert script.run("EFACE_ID=t1\n" + "#" * 16384).returncode != 0
    assert not (script.folder / "env").exists()


@pytest.mark.parametrize(("name", "value"), [("EFACE_INSTANCE_ID", "i-1; reboot"), ("EFACE_REGION", "$(reboot)")])
def test_metadata_that_are_none_are_refused(tmp_path: Path, name: str, value: str) -> None:
    with reading(tmp_path, **{name: value}) as script:
        assert script.run("EFACE_ID=t1\n").returncode == WRONG


def test_what_an_earlier_boot_wrote_is_gone_where_this_one_fails(script: ReadUserData) -> None:
    assert script.run("EFACE_ID=t1\n").returncode == 0
    assert script.run("nonsense\n").returncode == WRONG
    assert not (script.folder / "env").exists()
