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
    """What an account's buckets hold, and what they get a second: RunInstances and StartInstances have one each."""

    calls: float = 5.0
    calls_per_s: float = 2.0
    instances: float = 1000.0
    """AWS raises this one and the next on request."""
    instances_per_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What EC2's token buckets hold for one operation, as far as our own calls empty them."""

    calls: float
    instances: float
    at: float


def available(tokens: Mapping[str, Allowance], operation: str, now: float, limits: Limits) -> int:
    """How many instances "start" or "launch" may take now; `now` is Unix time in seconds."""
    full = refilled(tokens.get(operation), now, limits)
    # A tick starts in several calls, but makes one launch.
    by_calls = int(full.calls) * IDS_PER_CALL if operation == "start" else min(1, int(full.calls)) * LAUNCHED_PER_CALL
    return min(int(full.instances), by_calls)


def spent(
    tokens: Mapping[str, Allowance], operation: str, instances: int, now: float, limits: Limits
) -> dict[str, Allowance]:
    """The buckets after `instances` were asked for."""
    if not instances:
        return dict(tokens)
    full = refilled(tokens.get(operation), now, limits)
    calls = ceil(instances / IDS_PER_CALL) if operation == "start" else 1
    return {**tokens, operation: Allowance(full.calls - calls, full.instances - instances, now)}


def refilled(tokens: Allowance | None, now: float, limits: Limits) -> Allowance:
    """The bucket as it is at `now`; a full one where nothing was taken yet."""
    if tokens is None:
        return Allowance(limits.calls, limits.instances, now)
    passed_s = max(0.0, now - tokens.at)
    return Allowance(
        min(limits.calls, tokens.calls + limits.calls_per_s * passed_s),
        min(limits.instances, tokens.instances + limits.instances_per_s * passed_s),
        now,
    )
