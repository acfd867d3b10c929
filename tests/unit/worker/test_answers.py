"""Answers: what is stored, what is sent, and what may be logged."""

import pytest
from facecore.errors import BadImageError, EncodeError, NoFaceError
from facecore.messages import Reply, ResultError
from faceworker import answers
from hypothesis import given
from hypothesis import strategies as st

ID = "0b8e1c1e-6a57-4a6e-9a0e-3f1d6a3a5c11"
PHASES = ("queue", "fetch", "decode", "detect", "embed", "match", "store")


def reply(
    subject: str | None = None, error: ResultError | None = None, timings: dict[str, float] | None = None
) -> Reply:
    return Reply(id=ID, subject=subject, error=error, distance=None, instance="i" * 64, timings=timings or {})


@pytest.mark.parametrize(
    ("answer", "prediction", "kind"),
    [
        (reply(subject="Anna"), "Anna", "subject"),
        (reply(), "unknown", "unknown"),
        (reply(error=ResultError("no_face", "no face was found")), "no_face: no face was found", "no_face"),
    ],
)
def test_an_answer_is_stored_in_full_and_logged_by_kind(answer: Reply, prediction: str, kind: str) -> None:
    assert answers.prediction(answer) == prediction
    assert answers.kind(answer) == kind


@given(st.text(st.characters(), max_size=400))
def test_any_text_of_an_error_fits_its_reply(text: str) -> None:
    error = answers.result_error(BadImageError(text))
    sent = answers.message(reply(error=error, timings=dict.fromkeys(PHASES, 123.4567)))
    assert Reply.decode(sent).error == error
    assert "\n" not in error.text


def test_an_error_without_a_text_is_told_by_its_code() -> None:
    assert answers.result_error(NoFaceError()) == ResultError("no_face", "no_face")


def test_timings_make_way_for_the_answer() -> None:
    timings = {f"{'phase' * 20}{number}": 0.1 for number in range(12)}
    assert Reply.decode(answers.message(reply(subject="Anna", timings=timings))) == reply(subject="Anna")


def test_a_name_that_no_message_takes_is_an_error() -> None:
    with pytest.raises(EncodeError):
        answers.message(reply(subject="n" * 256))
