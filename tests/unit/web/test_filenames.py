"""The rule for file names."""

import unicodedata
from uuid import UUID

import pytest
from facecore.errors import BadFilenameError, InputError, MissingFileError
from facecore.messages import Request
from faceweb import filenames
from hypothesis import given
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("face.jpg", "face.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\anna\\face.jpg", "face.jpg"),
        ("a/b\\c/人物 😀.png", "人物 😀.png"),
        ("...", "..."),
        (" ", " "),
        (".hidden", ".hidden"),
        ('a"b:c%00.jpg', 'a"b:c%00.jpg'),
        ("é" * 127 + "x", "é" * 127 + "x"),
    ],
)
def test_a_path_is_cut_to_its_last_part(raw: str, name: str) -> None:
    assert filenames.clean(raw) == name


@pytest.mark.parametrize("raw", ["", "/", "folder/", "C:\\"])
def test_no_name_is_a_missing_file(raw: str) -> None:
    with pytest.raises(MissingFileError):
        filenames.clean(raw)


@pytest.mark.parametrize(
    "raw",
    [
        ".",
        "..",
        "a/..",
        "a\0.jpg",
        "a\nb",
        "\x7f",
        "a\x85b",
        "\x9f",
        "\ud800",
        "a\ufffe",
        "\uffff",
        "é" * 128,
        "x" * 256,
    ],
)
def test_a_name_that_cannot_be_a_key_is_refused(raw: str) -> None:
    with pytest.raises(BadFilenameError):
        filenames.clean(raw)


@given(ANY_TEXT)
def test_whatever_passes_can_be_a_key_and_travel_in_a_message(raw: str) -> None:
    try:
        name = filenames.clean(raw)
    except InputError:
        return
    assert raw.endswith(name)
    assert not set(name) & {"/", "\\"}
    assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in name)
    message = Request(id=str(UUID(int=0)), key=name, version="v" * 36, reply_to="q" * 80, sent_at=1700000000.123456)
    assert len(message.encode().encode()) <= 1024


@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing(raw: str) -> None:
    try:
        name = filenames.clean(raw)
    except InputError:
        return
    assert filenames.clean(name) == name
