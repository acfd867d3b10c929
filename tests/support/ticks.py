"""A controller's tick in two steps, for tests of its rules: what it decides, and what it remembers of an outcome."""

from facecontroller.memory import Memory, recall, remember
from facecontroller.model import NOTHING, Actions, Config, Decision, Observation, Outcome
from facecontroller.policy import decide
from facecontroller.throttle import Limits


def decided(observation: Observation | None, memory: Memory, config: Config, now: float) -> Decision:
    """The decision on an observation, after recalling."""
    return decide(observation, recall(memory, observation, now), config, now)


def remembered(memory: Memory, outcome: Outcome, now: float, attempted: Actions = NOTHING) -> Memory:
    """The memory after an outcome; what was attempted counts against EC2's default limits."""
    return remember(memory, attempted, outcome, Limits(), now)
