"""EC2's request and resource token buckets, so that our calls stay within them.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

from collections.abc import Mapping
from math import ceil

from facecontroller.remembered import Tokens

CALLS_BURST, CALLS_PER_S = 5.0, 2.0
"""RunInstances and StartInstances, each: requests at once, and a second."""
INSTANCES_BURST, INSTANCES_PER_S = 1000.0, 2.0
"""RunInstances and StartInstances, each: instances at once, and a second."""
IDS_PER_CALL = 500


def available(tokens: Mapping[str, Tokens], operation: str, now: float) -> int:
    """How many instances "start" or "launch" may take now; `now` is Unix time in seconds."""
    full = refilled(tokens.get(operation), now)
    return min(int(full.instances), int(full.calls) * IDS_PER_CALL if operation == "start" else int(full.calls) * 1000)


def spent(tokens: Mapping[str, Tokens], operation: str, instances: int, now: float) -> dict[str, Tokens]:
    """The buckets after `instances` were asked for."""
    if not instances:
        return dict(tokens)
    full = refilled(tokens.get(operation), now)
    calls = ceil(instances / IDS_PER_CALL) if operation == "start" else 1
    return {**tokens, operation: Tokens(full.calls - calls, full.instances - instances, now)}


def refilled(tokens: Tokens | None, now: float) -> Tokens:
    """The bucket as it is at `now`; a full one where nothing was taken yet."""
    if tokens is None:
        return Tokens(CALLS_BURST, INSTANCES_BURST, now)
    passed_s = max(0.0, now - tokens.at)
    return Tokens(
        min(CALLS_BURST, tokens.calls + CALLS_PER_S * passed_s),
        min(INSTANCES_BURST, tokens.instances + INSTANCES_PER_S * passed_s),
        now,
    )
