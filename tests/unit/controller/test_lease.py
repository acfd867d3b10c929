"""The lease: who has it, who stands by, and what becomes of it when answers are lost."""

from typing import Any

import pytest
from facecontroller.lease import RENEW_S, STAND_BY_S, TERM_S, NoLease, S3Lease
from support.fakes.clock import Clock
from support.fakes.lease import FakeLeaseBucket


class Pair:
    """Two controllers and one bucket."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.s3 = FakeLeaseBucket(self.clock)
        self.first, self.second = self.lease("first"), self.lease("second")

    def lease(self, owner: str) -> S3Lease:
        s3: Any = self.s3
        return S3Lease(s3, "local-gallery-bucket", owner, self.clock)

    def pass_s(self, seconds: float) -> tuple[bool, bool]:
        self.clock.sleep(seconds)
        return self.first.acquire()[0], self.second.acquire()[0]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_the_second_stands_by_as_long_as_the_first_renews(pair: Pair) -> None:
    assert [pair.pass_s(1) for _ in range(200)] == [(True, False)] * 200


def test_it_costs_one_call_every_ten_seconds(pair: Pair) -> None:
    calls = []
    for _ in range(int(3 * RENEW_S)):
        calls.append(pair.first.acquire()[1])
        pair.clock.sleep(1)
    assert sum(calls) == 3
    assert max(calls) == 1


def test_the_second_takes_over_once_the_first_is_silent_for_a_term(pair: Pair) -> None:
    pair.pass_s(1)
    waited_s = 0.0
    while not pair.second.acquire()[0]:
        pair.clock.sleep(1)
        waited_s += 1
    assert TERM_S <= waited_s <= TERM_S + STAND_BY_S + 1
    assert pair.pass_s(1) == (False, True)


def test_a_lease_that_is_given_up_is_taken_at_once(pair: Pair) -> None:
    pair.first.acquire()
    pair.first.release()
    assert pair.second.acquire() == (True, 3)
    pair.first.release()
    assert pair.pass_s(RENEW_S) == (False, True)


def test_two_never_have_it_together_whatever_fails(pair: Pair) -> None:
    for n in range(3000):
        pair.s3.faults = ["lost", "ServiceUnavailable", ""][n % 7 % 3 : n % 7 % 3 + 1]
        assert pair.pass_s(0.7 + n % 11) != (True, True)


def test_a_renewal_whose_answer_was_lost_is_found_again(pair: Pair) -> None:
    pair.first.acquire()
    pair.s3.faults = ["lost"]
    assert pair.pass_s(RENEW_S)[0]
    assert pair.pass_s(1)[0]


def test_without_s3_it_ends_before_another_can_have_it(pair: Pair) -> None:
    pair.first.acquire()
    pair.s3.faults = ["ServiceUnavailable"] * 1000
    held = [pair.pass_s(1)[0] for _ in range(int(TERM_S))]
    assert held[0]
    assert not held[-1]


def test_an_answer_without_a_date_lets_no_other_take_over(pair: Pair) -> None:
    pair.first.acquire()
    pair.s3.tells_date = False
    pair.clock.sleep(10 * TERM_S)
    assert not pair.second.acquire()[0]


def test_a_lease_that_another_took_is_lost(pair: Pair) -> None:
    pair.first.acquire()
    pair.clock.sleep(2 * TERM_S)
    assert pair.second.acquire()[0]
    assert pair.first.acquire() == (False, 2)


def test_no_lease_is_always_ours() -> None:
    lease = NoLease()
    lease.release()
    assert lease.acquire() == (True, 0)
