"""The worker: order of steps, what is an answer and what is retried, and how it ends."""

import json

import pytest
from facecore.errors import BadImageError, EncodeError, GalleryError, NoFaceError, NotFoundError, UnavailableError
from facecore.messages import Reply, ResultError
from faceworker.lifecycle import MAX_POLL_FAILURES
from faceworker.recogniser import Recogniser, Recognition
from faceworker.worker import DONE, FAILED, encoded, result_error
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.fakes.aws import Crashed
from support.fakes.worker import CALL_S, PAUSES_UNTIL_GIVING_UP, ReadingRecogniser, World

STEPS = ["receive", "beat", "get", "put", "send", "rest", "delete"]
AWS_STEPS = ["get", "put", "send", "delete"]
ID = "0b8e1c1e-6a57-4a6e-9a0e-3f1d6a3a5c11"
PHASES = ("queue", "fetch", "decode", "detect", "embed", "match", "store")


@pytest.fixture
def world() -> World:
    return World()


def test_a_request_is_answered_and_then_the_worker_is_idle(world: World) -> None:
    request = world.ask(b"Anna")
    assert world.work() == DONE
    (reply,) = world.answered()
    assert (reply.id, reply.subject, reply.distance, reply.instance) == (request.id, "Anna", 0.5, "i-1")
    assert world.stored() == "Anna"
    assert world.results.metadata["face.jpg"]["request-id"] == request.id
    assert world.results.metadata["face.jpg"]["content-type"].startswith("text/plain")
    assert world.requests.depth().total == 0


@pytest.mark.rule(14)
def test_the_order_is_store_reply_delete_and_the_heartbeat_rests_before_the_delete(world: World) -> None:
    world.ask(b"Anna")
    world.work()
    assert world.journal.steps == STEPS


@pytest.mark.parametrize(
    ("image", "prediction", "code"),
    [
        (b"STRANGER", "unknown", None),
        (b"NOISE", "bad_image: not an image", "bad_image"),
        (b"WALL", "no_face: no face was found", "no_face"),
        (b"x" * 1025, "too_large: the image is over 1024 bytes", "too_large"),
    ],
)
def test_an_image_without_a_subject_is_answered_and_not_retried(
    world: World, image: bytes, prediction: str, code: str | None
) -> None:
    world.ask(image)
    assert world.work() == DONE
    (reply,) = world.answered()
    assert (reply.subject, reply.error and reply.error.code) == (None, code)
    assert world.stored() == prediction
    assert world.requests.depth().total == 0


def test_two_uploads_of_one_name_get_their_own_answers(world: World) -> None:
    first, second = world.ask(b"Anna"), world.ask(b"Bertil")
    world.work()
    assert {reply.id: reply.subject for reply in world.answered()} == {first.id: "Anna", second.id: "Bertil"}


def test_a_reply_goes_to_the_queue_that_the_request_names(world: World) -> None:
    world.ask(b"Anna", reply_to="test-resp-queue-host-2")
    world.work()
    assert [reply.subject for reply in world.answered("test-resp-queue-host-2")] == ["Anna"]
    assert world.answered() == []


def test_a_reply_carries_timings_in_rounded_seconds(world: World) -> None:
    world.ask(b"Anna")
    world.clock.sleep(2.5)
    world.work(ReadingRecogniser(look=lambda: world.clock.sleep(0.25)))
    (reply,) = world.answered()
    # In the queue since before it was sent and until it was received: two calls more.
    assert reply.timings == {"queue": 2.5 + 2 * CALL_S, "fetch": CALL_S, "detect": 0.1235, "store": CALL_S}


def test_a_clock_that_runs_ahead_makes_no_negative_wait(world: World) -> None:
    world.ask(b"Anna", ahead_s=5)
    world.work()
    assert world.answered()[0].timings["queue"] == 0


def work_until_empty(world: World) -> None:
    """Workers one after another, as a controller would start them."""
    for _ in range(8):
        if world.requests.depth().total == 0:
            return
        world.work()
    pytest.fail("the request is still in the queue")


@pytest.mark.parametrize("step", range(1, 6))
def test_a_crash_after_any_step_never_loses_the_request(world: World, step: int) -> None:
    request = world.ask(b"Anna")
    aws_steps = [name for name in STEPS if name not in ("beat", "rest")]
    world.journal.crash_after = STEPS.index(aws_steps[step - 1]) + 1
    with pytest.raises(Crashed, match=aws_steps[step - 1]):
        world.work()
    world.journal.crash_after = None
    work_until_empty(world)
    replies = world.answered()
    assert {(reply.id, reply.subject) for reply in replies} == {(request.id, "Anna")}
    assert (world.stored(), world.dead.depth().total) == ("Anna", 0)


@pytest.mark.parametrize("step", AWS_STEPS)
@pytest.mark.parametrize("error", [UnavailableError("no answer"), NotFoundError("no such bucket")])
def test_a_failure_of_aws_leaves_the_request_for_another_try(world: World, step: str, error: Exception) -> None:
    world.ask(b"Anna")
    world.journal.failures[step] = [error]
    assert world.work() == DONE
    assert world.requests.depth().total == 1
    assert world.counted("left") == {type(error).__name__: 1}
    work_until_empty(world)
    assert {reply.subject for reply in world.answered()} == {"Anna"}


def test_after_a_failure_the_worker_goes_on_with_the_next_request(world: World) -> None:
    world.ask(b"Anna", key="a.jpg")
    world.ask(b"Bertil", key="b.jpg")
    world.journal.failures["get"] = [UnavailableError("no answer")]
    world.work()
    assert "Bertil" in {reply.subject for reply in world.answered()}


def test_a_message_delivered_twice_is_answered_twice(world: World) -> None:
    request = world.ask(b"Anna")
    world.requests.send(request.encode())
    world.work()
    assert [reply.id for reply in world.answered()] == [request.id] * 2


@pytest.mark.parametrize("reply_to", ["other-resp-queue", "test-req-queue", "test-resp-queues", "test-resp-queue2"])
def test_a_reply_never_leaves_the_deployment(world: World, reply_to: str) -> None:
    world.ask(b"Anna", reply_to=reply_to)
    world.work()
    assert world.reply_queues == {}
    assert world.counted("left") == {"DecodeError": 1}


@pytest.mark.parametrize("body", ["not json", "{}", json.dumps({"v": 2})])
def test_a_message_that_cannot_be_read_ends_in_the_dead_queue(world: World, body: str) -> None:
    world.requests.send(body)
    world.ask(b"Anna")
    work_until_empty(world)
    assert [message.body for message in world.dead.receive()] == [body]
    assert [reply.subject for reply in world.answered()] == ["Anna"]


def test_an_answer_that_no_message_takes_ends_in_the_dead_queue(world: World) -> None:
    class LongNames(ReadingRecogniser):
        def recognise(self, _image: bytes) -> Recognition:
            return Recognition("n" * 256, 0.5)

    world.ask(b"Anna")
    for _ in range(4):
        assert world.work(LongNames()) == DONE
    assert (world.requests.depth().total, world.dead.depth().total) == (0, 1)
    assert world.counted("left") == {"EncodeError": 3}


def test_a_bug_ends_the_worker_and_leaves_the_request(world: World) -> None:
    world.ask(b"BUG")
    with capture_logs() as logs:
        assert world.work() == FAILED
    assert [line["event"] for line in logs if line.get("exc_info")] == ["request_broke_worker"]
    assert world.requests.depth().total == 1
    assert world.answered() == []


def test_a_stop_while_a_request_is_in_hand_finishes_it_and_receives_no_more(world: World) -> None:
    world.ask(b"Anna")
    world.ask(b"Bertil")
    assert world.work(ReadingRecogniser(look=world.stopping.set)) == DONE
    assert [reply.subject for reply in world.answered()] == ["Anna"]
    assert world.requests.depth().visible == 1


@pytest.mark.rule(13)
def test_a_message_that_arrives_in_the_last_poll_is_answered(world: World) -> None:
    world.ask(b"Anna")
    world.journal.before = lambda _step: world.stopping.set()
    assert world.work() == DONE
    assert [reply.subject for reply in world.answered()] == ["Anna"]
    assert world.requests.depth().total == 0


def test_a_worker_told_to_stop_before_it_begins_receives_nothing(world: World) -> None:
    world.ask(b"Anna")
    world.stopping.set()
    assert world.work() == DONE
    assert world.requests.depth().visible == 1


def test_failing_polls_are_made_again_after_growing_pauses(world: World) -> None:
    world.ask(b"Anna")
    world.journal.failures["receive"] = [UnavailableError("no answer")] * (MAX_POLL_FAILURES - 1)
    assert world.work() == DONE
    assert world.stopping.waits == PAUSES_UNTIL_GIVING_UP
    assert [reply.subject for reply in world.answered()] == ["Anna"]


def test_too_many_failing_polls_end_the_worker(world: World) -> None:
    world.journal.failures["receive"] = [UnavailableError("no answer")] * MAX_POLL_FAILURES
    assert world.work() == FAILED


def test_a_good_poll_forgives_the_failures_before_it(world: World) -> None:
    for _ in range(2):
        world.ask(b"Anna")
    polls = iter([*"fffffff", "good", *"fffffff"])

    def fail(step: str) -> None:
        if step == "receive" and next(polls, "good") == "f":
            raise UnavailableError("no answer")

    world.journal.before = fail
    assert world.work() == DONE
    world.journal.before = lambda _step: None
    assert len(world.answered()) == 2


def test_a_gallery_that_went_bad_ends_the_worker_with_its_error(world: World) -> None:
    def current() -> Recogniser:
        raise GalleryError("another model's")

    world.ask(b"Anna")
    with pytest.raises(GalleryError):
        world.work(current=current)
    assert world.requests.depth().visible == 1


def test_a_look_at_the_gallery_that_fails_counts_as_a_failed_poll(world: World) -> None:
    def current() -> Recogniser:
        raise UnavailableError("no answer")

    assert world.work(current=current) == FAILED
    assert world.stopping.waits == PAUSES_UNTIL_GIVING_UP


def test_one_line_is_logged_for_an_answer_and_it_names_no_person(world: World) -> None:
    world.ask(b"Anna", key="anna.jpg")
    with capture_logs() as logs:
        world.work()
    (line,) = [line for line in logs if line["event"] == "answered"]
    assert (line["kind"], line["receive_count"]) == ("recognised", 1)
    assert set(line["timings"]) == {"queue", "fetch", "detect", "store"}
    assert "anna" not in json.dumps(logs).lower()
    assert world.counted("answered") == {"recognised": 1}


def reply(
    subject: str | None = None, error: ResultError | None = None, timings: dict[str, float] | None = None
) -> Reply:
    return Reply(id=ID, subject=subject, error=error, distance=None, instance="i" * 64, timings=timings or {})


@given(st.text(st.characters(), max_size=400))
def test_any_text_of_an_error_fits_its_reply(text: str) -> None:
    error = result_error(BadImageError(text))
    sent = encoded(reply(error=error, timings=dict.fromkeys(PHASES, 123.4567)))
    assert Reply.decode(sent).error == error
    assert "\n" not in error.text


def test_an_error_without_a_text_is_told_by_its_code() -> None:
    assert result_error(NoFaceError()) == ResultError("no_face", "no_face")


def test_timings_make_way_for_the_answer() -> None:
    timings = {f"{'phase' * 20}{number}": 0.1 for number in range(12)}
    assert Reply.decode(encoded(reply(subject="Anna", timings=timings))) == reply(subject="Anna")


def test_a_name_that_no_message_takes_is_an_error() -> None:
    with pytest.raises(EncodeError):
        encoded(reply(subject="n" * 256))
