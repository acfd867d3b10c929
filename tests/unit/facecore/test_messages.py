"""The messages: what is written can be read, and whatever is read is a message or a DecodeError."""

import json
import uuid

import pytest
from facecore.errors import RESULT_ERRORS, DecodeError, EncodeError
from facecore.messages import MAX_MESSAGE_BYTES, Reply, Request, ResultError
from hypothesis import example, given
from hypothesis import strategies as st

ID = "0b8e1c1e-6a57-4a6e-9a0e-3f1d6a3a5c11"
REQUEST = {"v": 1, "id": ID, "key": "a.jpg", "version": "v1", "reply_to": "x-resp-queue", "sent_at": 1.5}
REPLY = {"v": 1, "id": ID, "subject": "Anna", "error": None, "distance": 0.5, "instance": "i-1", "timings": {}}

texts = st.text(st.characters(), max_size=300)
numbers = st.floats()
ids = st.uuids().map(str)
requests = st.builds(Request, id=ids, key=texts, version=texts, reply_to=texts, sent_at=numbers)
errors = st.builds(ResultError, code=st.sampled_from(sorted(RESULT_ERRORS)) | texts, text=texts)
replies = st.builds(
    Reply,
    id=ids,
    subject=st.none() | texts,
    error=st.none() | errors,
    distance=st.none() | numbers,
    instance=texts,
    timings=st.dictionaries(texts, numbers, max_size=14),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)


def check_encodes_or_refuses(message: Request | Reply) -> None:
    try:
        text = message.encode()
    except EncodeError:
        return
    assert len(text.encode()) <= MAX_MESSAGE_BYTES
    assert type(message).decode(text) == message


@given(requests)
def test_a_request_is_refused_or_read_back_as_it_was(request: Request) -> None:
    check_encodes_or_refuses(request)


@given(replies)
def test_a_reply_is_refused_or_read_back_as_it_was(reply: Reply) -> None:
    check_encodes_or_refuses(reply)


def test_a_timing_of_a_name_that_cannot_be_sent_is_refused() -> None:
    reply = Reply(id=ID, subject=None, error=None, distance=None, instance="i-0abc", timings={"\ud800": 0.0})
    with pytest.raises(EncodeError):
        reply.encode()


def test_an_ordinary_pair_is_read_back() -> None:
    request = Request(id=ID, key="Zoë 1.jpg", version="3/L4kqtJ", reply_to="x-resp-queue", sent_at=1732.25)
    reply = Reply(
        id=ID,
        subject=None,
        error=ResultError("no_face", "no face was found"),
        distance=None,
        instance="i-0abc",
        timings={"queue": 0.25, "detect": 0.1},
    )
    assert Request.decode(request.encode()) == request
    assert Reply.decode(reply.encode()) == reply


def test_the_longest_key_fits() -> None:
    request = Request(id=ID, key="é" * 127, version="v" * 128, reply_to="q" * 80, sent_at=1.0)
    assert Request.decode(request.encode()) == request


@given(st.text() | json_values.map(json.dumps))
@example("[" * 100_000)
@example("9" * 5_000)
@example('{"v":1,"id":"' + ID + '","key":"\\ud800","version":"v","reply_to":"q","sent_at":1}')
def test_any_text_is_a_message_or_a_decode_error(text: str) -> None:
    for contract in (Request, Reply):
        with pytest.raises(DecodeError):
            contract.decode(text)


@given(st.sampled_from(sorted(REQUEST)), json_values)
@example("sent_at", 10**400)
@example("sent_at", float("nan"))
def test_a_request_with_any_value_in_a_field_is_read_or_refused(name: str, value: object) -> None:
    try:
        assert isinstance(Request.decode(json.dumps(REQUEST | {name: value})), Request)
    except DecodeError as error:
        assert str(error)


@given(st.sampled_from(sorted(REPLY)), json_values)
@example("error", {"code": ["no_face"], "text": "a code that cannot be looked up"})
@example("timings", {"fetch": 10**400})
def test_a_reply_with_any_value_in_a_field_is_read_or_refused(name: str, value: object) -> None:
    try:
        assert isinstance(Reply.decode(json.dumps(REPLY | {name: value})), Reply)
    except DecodeError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2),
        ("v", None),
        ("id", "not a uuid"),
        ("id", 7),
        ("key", ""),
        ("key", "k" * 256),
        ("version", None),
        ("reply_to", ["q"]),
        ("sent_at", "now"),
        ("sent_at", True),
        ("sent_at", float("inf")),
    ],
)
def test_a_request_that_breaks_the_contract_is_refused(name: str, value: object) -> None:
    with pytest.raises(DecodeError):
        Request.decode(json.dumps(REQUEST | {name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", ""),
        ("subject", "s" * 256),
        ("error", "no_face"),
        ("error", {"code": "no_such_code", "text": "t"}),
        ("error", {"code": "no_face", "text": ""}),
        ("distance", "near"),
        ("instance", None),
        ("timings", None),
        ("timings", {str(i): 1.0 for i in range(13)}),
        ("timings", {"fetch": "long"}),
    ],
)
def test_a_reply_that_breaks_the_contract_is_refused(name: str, value: object) -> None:
    with pytest.raises(DecodeError):
        Reply.decode(json.dumps(REPLY | {name: value}))


def test_a_message_without_a_field_is_refused() -> None:
    for contract, message in ((Request, REQUEST), (Reply, REPLY)):
        for name in message.keys() - {"subject", "error", "distance"}:
            with pytest.raises(DecodeError):
                contract.decode(json.dumps({key: value for key, value in message.items() if key != name}))


def test_a_message_over_the_limit_is_refused() -> None:
    with pytest.raises(EncodeError, match="over the limit of 1024"):
        Request(id=str(uuid.uuid4()), key="k", version="v" * 600, reply_to="r" * 600, sent_at=0.0).encode()
