"""EC2's request and resource token buckets, so that our calls stay within them.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

IDS_PER_CALL = 500
LAUNCHED_PER_CALL = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account's buckets hold and what they gain a second, for RunInstances and StartInstances alike.

    The defaults are AWS's own. AWS raises the limits of instances on request.
    """

    calls: float = 5.0
    calls_per_s: float = 2.0
    instances: float = 1000.0
    instances_per_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the buckets of one operation held at a time, as far as our own calls empty them."""

    calls: float
    instances: float
    at: float


def available(allowances: Mapping[str, Allowance], operation: str, now: float, limits: Limits) -> int:
    """How many instances "start" or "launch" may take now; `now` is Unix time in seconds."""
    full = refilled(allowances.get(operation), now, limits)
    # A tick starts in several calls, but makes one launch.
    by_calls = int(full.calls) * IDS_PER_CALL if operation == "start" else min(1, int(full.calls)) * LAUNCHED_PER_CALL
    return min(int(full.instances), by_calls)


def spent(
    allowances: Mapping[str, Allowance], operation: str, instances: int, now: float, limits: Limits
) -> dict[str, Allowance]:
    """The allowances after EC2 was asked for so many instances."""
    if not instances:
        return dict(allowances)
    full = refilled(allowances.get(operation), now, limits)
    # A launch is one call, however many instances it asks for.
    calls = ceil(instances / IDS_PER_CALL) if operation == "start" else 1
    return {**allowances, operation: Allowance(full.calls - calls, full.instances - instances, now)}


def refilled(allowance: Allowance | None, now: float, limits: Limits) -> Allowance:
    """The allowance as it is at `now`; the full one if nothing has been spent yet."""
    if allowance is None:
        return Allowance(limits.calls, limits.instances, now)
    # A clock that was set back refills nothing.
    passed_s = max(0.0, now - allowance.at)
    return Allowance(
        min(limits.calls, allowance.calls + limits.calls_per_s * passed_s),
        min(limits.instances, allowance.instances + limits.instances_per_s * passed_s),
        now,
    )
