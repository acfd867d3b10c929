"""The numbers in the instances' names: unique, from 1 to the maximum, and put right one at a time."""

from collections.abc import Collection, Iterable
from itertools import count

from facecontroller.memory import Memory
from facecontroller.model import Instance, Rename, State


def taken(instances: Iterable[Instance], memory: Memory) -> set[int]:
    """The numbers that instances have, or got a moment ago."""
    numbers = {_number(i, memory) for i in instances} | {launch.number for launch in memory.launches}
    return {n for n in numbers if n is not None}


def lowest_free(numbers: Collection[int]) -> int:
    """The lowest number from 1 that is not among `numbers`."""
    return next(n for n in count(1) if n not in numbers)


def correction(instances: Iterable[Instance], memory: Memory, maximum: int) -> Rename | None:
    """The next instance that needs another number: its own is taken by an older one, above the maximum or none.

    None where all are right, or where no number is free.
    """
    numbers: set[int] = set()
    wrong: list[Instance] = []
    lasting = (i for i in instances if i.state is not State.SHUTTING_DOWN and i.id not in memory.terminations)
    for instance in sorted(lasting, key=lambda i: (i.created_at, i.id)):
        number = _number(instance, memory)
        if number is None or number > maximum or number in numbers:
            wrong.append(instance)
        else:
            numbers.add(number)
    number = lowest_free(numbers)
    return Rename(wrong[0].id, number) if wrong and number <= maximum else None


def _number(instance: Instance, memory: Memory) -> int | None:
    """Its number; EC2's answers may not show yet the one that it was given."""
    return memory.names[instance.id][0] if instance.id in memory.names else instance.number
