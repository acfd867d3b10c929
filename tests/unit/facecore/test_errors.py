"""The error tree: what its drawing says is what the classes are."""

import inspect
import re

import pytest
from facecore import errors
from facecore.errors import AwsError, FaceError, InputError, PermanentError, RetryableError

CLASSES = {name: cls for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, FaceError)}
LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\b(?P<rest>.*)$", re.MULTILINE)


def drawn() -> dict[str, tuple[str | None, str]]:
    """Each drawn class with the class above it and the text beside it."""
    found: dict[str, tuple[str | None, str]] = {}
    above: list[tuple[int, str]] = []
    for line in LINE.finditer(errors.__doc__ or ""):
        indent = len(line["indent"])
        above = [(depth, name) for depth, name in above if depth < indent]
        found[line["name"]] = (above[-1][1] if above else None, line["rest"])
        above.append((indent, line["name"]))
    return found


def test_the_drawing_has_every_class_once() -> None:
    assert set(drawn()) == set(CLASSES) - {"AwsError"}


@pytest.mark.parametrize("name", sorted(drawn()))
def test_each_class_stands_under_its_parent(name: str) -> None:
    parent, rest = drawn()[name]
    if parent is not None:
        assert CLASSES[parent] in CLASSES[name].__mro__[1:]
        assert issubclass(CLASSES[name], AwsError) == ("*" in rest or issubclass(CLASSES[parent], AwsError))


@pytest.mark.parametrize("cls", sorted(set(CLASSES.values()) - {FaceError, AwsError}, key=lambda cls: cls.__name__))
def test_each_class_is_either_permanent_or_retryable(cls: type[FaceError]) -> None:
    assert issubclass(cls, PermanentError) != issubclass(cls, RetryableError)
    assert cls.__doc__


def test_the_drawn_codes_are_the_codes() -> None:
    for name, cls in CLASSES.items():
        if "code" in vars(cls):
            assert cls.code in drawn()[name][1]


def test_a_reply_may_carry_errors_of_the_input_only() -> None:
    assert all(issubclass(cls, InputError) and cls.code == code for code, cls in errors.RESULT_ERRORS.items())


def test_an_aws_error_keeps_its_code() -> None:
    assert errors.ThrottledError("slow", aws_code="SlowDown").aws_code == "SlowDown"
    assert errors.RefusedError("no answer").aws_code == ""
