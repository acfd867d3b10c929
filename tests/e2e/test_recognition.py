"""The main job: a photograph goes in, a name comes out."""

import subprocess

import pytest
from support.ground import QUERIES
from support.stacks.stack import Stack
from support.uploads import Upload, expected, photograph

pytestmark = pytest.mark.alone


def test_curl_gets_the_name(stack: Stack) -> None:
    command = ["curl", "-sS", "-F", f"inputFile=@{QUERIES / 'obama2.jpg'}", f"{stack.web_url}/"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout == "obama2.jpg:Barack Obama"


@pytest.mark.parametrize("name", sorted(expected()))
def test_each_photograph_gets_its_answer(stack: Stack, name: str) -> None:
    answer = stack.send(name, photograph(name))
    assert (answer.status, answer.text) == (200, f"{name}:{expected()[name]}")


def test_the_result_and_the_image_are_kept(stack: Stack) -> None:
    stack.send("kept.jpg", photograph("obama3.jpg"))
    stored = stack.s3.get_object(Bucket="local-out-bucket", Key="kept.jpg")["Body"].read()
    assert stored == b"Barack Obama"
    assert stack.s3.get_object(Bucket="local-in-bucket", Key="kept.jpg")["Body"].read() == photograph("obama3.jpg")


def test_two_uploads_of_one_name_at_the_same_moment_each_get_their_own_answer(stack: Stack) -> None:
    pairs = [
        Upload(f"pair-{i:02}.jpg", photograph(source))
        for i in range(50)
        for source in ("obama2.jpg", "biden-mirrored.jpg")
    ]
    answers = stack.burst(pairs)
    subjects = ["Barack Obama", "Joe Biden"] * 50
    assert [answer.text for answer in answers] == [
        f"{upload.name}:{subject}" for upload, subject in zip(pairs, subjects, strict=True)
    ]
