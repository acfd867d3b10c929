"""What a client is told."""

import inspect
import uuid

import pytest
from facecore import errors
from facecore.errors import RESULT_ERRORS, AwsError, EncodeError, FaceError, UnavailableError
from facecore.messages import ResultError
from faceweb import answers
from support.fakes.web import reply

ID = str(uuid.uuid4())
AWS_ERRORS = [
    cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, AwsError) and cls is not AwsError
]
CODED = [
    cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, FaceError) and "code" in vars(cls)
]


@pytest.mark.parametrize("code", sorted(RESULT_ERRORS))
def test_each_error_that_a_worker_may_send_has_a_status(code: str) -> None:
    answer = answers.of_reply("face.jpg", reply(ID, None, ResultError(code, "what to do")))
    assert answer.status in (413, 415, 422)
    assert (answer.code, answer.as_text().body) == (code, f"{code}: what to do".encode())


@pytest.mark.parametrize("cls", AWS_ERRORS)
def test_a_client_hears_nothing_of_what_aws_said(cls: type[AwsError]) -> None:
    answer = answers.of_error(cls("store 'x' in arn:aws:s3:::secret-bucket", aws_code="Secret"), ID)
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.retry_after_s
    assert "ecret" not in answer.detail


@pytest.mark.parametrize("cls", [cls for cls in CODED if cls is not UnavailableError])
def test_each_error_with_a_code_is_told_by_it(cls: type[FaceError]) -> None:
    answer = answers.of_error(cls("what happened"), ID)
    assert answer.as_text().body.startswith(f"{cls.code}: what happened".encode())
    assert 400 <= answer.status <= 504


def test_a_fault_names_the_request_and_nothing_else() -> None:
    answer = answers.internal(ID)
    assert answer.status == 500
    assert ID in answer.detail


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (405, "method_not_allowed"), (418, "bad_request")])
def test_what_no_route_takes_is_told_in_the_same_form(status: int, code: str) -> None:
    answer = answers.of_status(status)
    assert (answer.status, answer.code) == (status, code)


def test_an_error_that_has_no_words_for_clients_is_a_fault() -> None:
    assert answers.of_error(EncodeError("a message takes 1030 bytes"), ID) == answers.internal(ID)


def test_a_success_keeps_its_reply_and_is_counted_by_its_kind() -> None:
    known, stranger = (answers.of_reply("face.jpg", reply(ID, subject)) for subject in ("Anna", None))
    assert (known.status, known.code, known.as_text().body) == (200, "recognised", b"face.jpg:Anna")
    assert (stranger.status, stranger.code, stranger.as_text().body) == (200, "unknown", b"face.jpg:unknown")
    assert known.reply == reply(ID)
