"""How many more instances are worth their money: those that shorten the wait, and no more."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

SLACK = 1.2
"""How much longer than with every instance the wait may be. The project's own bound: p99 no worse than 1.2 times."""


def additional(demand: float, ready_s: Sequence[float], boot_s: float, service_s: float, limit: int) -> int:
    """The fewest new instances with which `demand` requests are done within SLACK of the shortest time.

    `ready_s` holds, for each active instance, the seconds until it takes requests; `boot_s` and `service_s` are the
    measured times; at most `limit` instances more are allowed.
    """
    if limit <= 0:
        return 0
    ready = sorted(ready_s)
    work_s = max(1, demand) * service_s
    within_s = SLACK * finish_s(work_s, ready, boot_s, service_s, limit)
    return bisect_left(
        range(limit), True, key=lambda more: finish_s(work_s, ready, boot_s, service_s, more) <= within_s
    )


def finish_s(work_s: float, ready: Sequence[float], boot_s: float, service_s: float, more: int) -> float:
    """Seconds until `work_s` seconds of work are done by the sorted `ready` and `more` that come after `boot_s`.

    Infinite where there is nobody. Work is taken for divisible, but the last request takes its time.
    """
    times = [*ready[: (place := bisect_left(ready, boot_s))], *[boot_s] * more, *ready[place:]]
    finish = float("inf")
    for count, total in enumerate(accumulate(times), 1):
        # With the first `count` of them at work; later ones only matter if they are there before the end.
        finish = (work_s + total) / count
        if count == len(times) or finish <= times[count]:
            break
    return max(finish, (min(times) if times else 0.0) + service_s)
