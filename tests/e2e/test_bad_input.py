"""Every row of the bad-input table, tried with curl."""

import subprocess
from pathlib import Path

import pytest
from support.bad_images import strange_files
from support.ground import QUERIES
from support.stacks.stack import Stack

pytestmark = pytest.mark.alone

MIB = 1024 * 1024


def _curl(stack: Stack, *arguments: str) -> tuple[int, str]:
    command = ["curl", "-sS", "-w", "\n%{http_code}", *arguments, f"{stack.web_url}/"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    body, _, status = answer.stdout.rpartition("\n")
    return int(status), body


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes((QUERIES / "obama2.jpg").read_bytes())
    return path


def test_no_file_at_all(stack: Stack) -> None:
    status, body = _curl(stack, "-X", "POST")
    assert (status, body.partition(":")[0]) == (400, "missing_file")


def test_a_field_of_another_name(stack: Stack, photo: Path) -> None:
    status, body = _curl(stack, "-F", f"file=@{photo}")
    assert (status, body.partition(":")[0]) == (400, "missing_file")


def test_a_field_that_is_no_file(stack: Stack) -> None:
    status, body = _curl(stack, "-F", "inputFile=text")
    assert (status, body.partition(":")[0]) == (400, "missing_file")


def test_a_file_without_a_name(stack: Stack, photo: Path) -> None:
    status, body = _curl(stack, "-F", f"inputFile=@{photo};filename=")
    assert (status, body.partition(":")[0]) == (400, "missing_file")


def test_an_empty_file(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    status, body = _curl(stack, "-F", f"inputFile=@{tmp_path / 'empty.jpg'}")
    assert (status, body.partition(":")[0]) == (400, "missing_file")


@pytest.mark.parametrize("path", ["../../etc/photo.jpg", "C:\\\\Users\\\\me\\\\photo.jpg", "/photo.jpg"])
def test_a_name_with_a_path_is_cut_to_its_last_part(stack: Stack, photo: Path, path: str) -> None:
    assert _curl(stack, "-F", f'inputFile=@{photo};filename="{path}"') == (200, "photo.jpg:Barack Obama")


@pytest.mark.parametrize("name", ["x" * 256, "tab\there.jpg", "..", "bell\x07.jpg"])
def test_a_bad_name(stack: Stack, photo: Path, name: str) -> None:
    status, body = _curl(stack, "-F", f'inputFile=@{photo};filename="{name}"')
    assert (status, body.partition(":")[0]) == (400, "bad_filename")


def test_a_name_of_255_bytes_and_of_other_scripts(stack: Stack, photo: Path) -> None:
    for name in ("x" * 251 + ".jpg", "фото ☺ é.jpg"):
        assert _curl(stack, "-F", f'inputFile=@{photo};filename="{name}"') == (200, f"{name}:Barack Obama")


@pytest.mark.parametrize("options", [(), ("-H", "Transfer-Encoding: chunked")])
def test_an_upload_over_the_limit(stack: Stack, tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "large.jpg").write_bytes(b"\xff\xd8" + bytes(50 * MIB))
    status, body = _curl(stack, *options, "-F", f"inputFile=@{tmp_path / 'large.jpg'}")
    assert (status, body.partition(":")[0]) == (413, "too_large")


def test_no_image(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a photograph")
    status, body = _curl(stack, "-F", f"inputFile=@{tmp_path / 'notes.jpg'}")
    assert (status, body.partition(":")[0]) == (415, "bad_image")


def test_no_face(stack: Stack, tmp_path: Path) -> None:
    upload = next(upload for upload, status in strange_files(16, seed=0) if status == 422)
    (tmp_path / upload.name).write_bytes(upload.content)
    status, body = _curl(stack, "-F", f"inputFile=@{tmp_path / upload.name}")
    assert (status, body.partition(":")[0]) == (422, "no_face")


def test_every_answer_carries_a_request_id_and_is_plain_text(stack: Stack) -> None:
    head = subprocess.run(
        ["curl", "-sS", "-D", "-", "-o", "/dev/null", "-X", "POST", f"{stack.web_url}/"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.lower()
    assert "x-request-id: " in head
    assert "content-type: text/plain" in head
