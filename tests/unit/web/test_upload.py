"""Reading an image out of a form, whole or in pieces, honest or not."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from facecore.errors import BadFilenameError, InputError, MissingFileError, TooLargeError, UploadTimeoutError
from facecore.messages import Request
from faceweb import upload
from faceweb.spool import MemoryBudget
from faceweb.upload import ENVELOPE_BYTES, MAX_PARTS, Upload, clean_filename
from hypothesis import given
from hypothesis import strategies as st
from support.fakes.web import BOUNDARY, FORM, form, soon

LIMIT_BYTES = 1000
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


class Body:
    """A request's body in pieces, which notes how much of it was taken."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += 1
            yield piece


async def reading(
    body: AsyncIterator[bytes],
    budget: MemoryBudget,
    content_type: str | None = FORM["content-type"],
    length: str | None = None,
    timeout_s: float = 10,
) -> Upload:
    given = {"content-type": content_type, "content-length": length}
    headers = {name: value for name, value in given.items() if value is not None}
    return await upload.read(headers, body, max_upload_bytes=LIMIT_BYTES, timeout_s=timeout_s, budget=budget)


def read(
    *pieces: bytes, content_type: str | None = FORM["content-type"], length: str | None = None
) -> tuple[str, bytes]:
    """Name and content of the image in a body; checks that no memory stays taken."""
    budget = MemoryBudget()
    try:
        body = aiter(Body(*pieces))
        with soon(reading(body, budget, content_type, length)) as got:
            return got.filename, got.spool.content.read()
    finally:
        assert budget.taken_bytes == 0


@given(st.binary(min_size=1, max_size=LIMIT_BYTES), st.integers(1, 300))
def test_an_image_is_read_whole_however_it_is_cut(content: bytes, piece_bytes: int) -> None:
    body = form(content=content)
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    assert read(*pieces) == ("face.jpg", content)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="inputFile"; filename="a b.jpg"', "a b.jpg"),
        ("name=inputFile; filename=plain.jpg", "plain.jpg"),
        ('filename="first.jpg"; name="inputFile"', "first.jpg"),
        ('name="inputFile"; filename="naïve 人.jpg"', "naïve 人.jpg"),
        ('name="inputFile"; filename="C:\\dir\\face.jpg"', "face.jpg"),
        ('name="inputFile"; filename="semi;colon.jpg"', "semi;colon.jpg"),
        ("name=\"inputFile\"; filename*=utf-8''na%C3%AFve%20x.jpg", "naïve x.jpg"),
        ("name=\"inputFile\"; filename*=ISO-8859-1'en'na%EFve.jpg", "naïve.jpg"),
        ('name="inputFile"; filename="plain.jpg"; filename*=utf-8\'\'other.jpg', "plain.jpg"),
    ],
)
def test_names_come_in_many_forms(disposition: str, name: str) -> None:
    assert read(form(disposition)) == (name, b"pixels")


def test_a_name_that_is_not_utf8_is_read_as_latin1() -> None:
    assert read(form().replace(b"face", b"na\xefve")) == ("naïve.jpg", b"pixels")


@pytest.mark.parametrize(
    ("disposition", "content"),
    [
        ('name="other"; filename="face.jpg"', b"pixels"),
        ('name="inputfile"; filename="face.jpg"', b"pixels"),
        ('name="inputFile"', b"pixels"),
        ('name="inputFile"; filename=""', b"pixels"),
        ('name="inputFile"; filename="folder/"', b"pixels"),
        ('name="inputFile"; filename="face.jpg"', b""),
        ('filename="face.jpg"', b"pixels"),
        ("", b"pixels"),
        ('name="inputFile"; filename*=nonsense', b"pixels"),
    ],
)
def test_a_form_without_a_usable_file_is_a_missing_file(disposition: str, content: bytes) -> None:
    with pytest.raises(MissingFileError):
        read(form(disposition, content))


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/mixed; boundary=frontier",
        "multipart/form-data; boundary=" + "x" * 300,
        "multipart/form-data; boundary=another",
    ],
)
def test_what_is_not_this_form_is_a_missing_file(content_type: str | None) -> None:
    with pytest.raises(MissingFileError):
        read(form(), content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        f"--{BOUNDARY}--\r\n".encode(),
        form()[:-6],
        form()[:60],
        form().replace(b"Content-Disposition:", b"Content Disposition\0:"),
        form().replace(b"\r\n\r\n", b"\r\n" + b"X: " + b"x" * 5000 + b"\r\n\r\n", 1),
        form().replace(b"\r\n\r\n", b"\r\nX: y" * 20 + b"\r\n\r\n", 1),
        form()[: -len(f"--{BOUNDARY}--\r\n")] * (MAX_PARTS + 1) + f"--{BOUNDARY}--\r\n".encode(),
    ],
)
def test_a_malformed_form_is_a_missing_file(body: bytes) -> None:
    with pytest.raises(MissingFileError):
        read(body)


def test_two_files_at_once_are_refused_rather_than_one_dropped() -> None:
    twice = form()[: -len(f"--{BOUNDARY}--\r\n")] + form(content=b"others")
    with pytest.raises(MissingFileError, match="2 fields"):
        read(twice)


def test_other_fields_and_files_are_skipped() -> None:
    others = form('name="note"', b"hello") + form('name="raw"; filename="b.bin"', b"bytes")
    ending = f"--{BOUNDARY}--\r\n".encode()
    assert read(others.replace(ending, b"") + form()) == ("face.jpg", b"pixels")


def test_control_characters_in_the_name_are_refused() -> None:
    with pytest.raises(BadFilenameError):
        read(form('name="inputFile"; filename="a\tb.jpg"'))


def test_the_limit_is_on_the_file_and_exact() -> None:
    assert len(read(form(content=b"x" * LIMIT_BYTES))[1]) == LIMIT_BYTES
    with pytest.raises(TooLargeError):
        read(form(content=b"x" * (LIMIT_BYTES + 1)))


def test_an_announced_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    body = Body(form())
    length = str(LIMIT_BYTES + ENVELOPE_BYTES + 1)
    with pytest.raises(TooLargeError):
        soon(reading(aiter(body), MemoryBudget(), length=length))
    assert body.taken == 0


@pytest.mark.parametrize(
    "disposition", ['name="inputFile"; filename="a.jpg"', 'name="other"', 'name="o"; filename="b"']
)
def test_a_body_over_the_limit_is_refused_while_it_is_read(disposition: str) -> None:
    body = Body(form(disposition)[:-20], *[b"x" * 1000] * 1000)
    with pytest.raises(TooLargeError):
        soon(reading(aiter(body), MemoryBudget()))
    assert body.taken * 1000 <= LIMIT_BYTES + ENVELOPE_BYTES + 3000


def test_an_upload_that_stalls_is_ended_and_holds_no_memory() -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield form()[:-20]
        await asyncio.sleep(10)

    budget = MemoryBudget()
    with pytest.raises(UploadTimeoutError):
        soon(reading(stalling(), budget, timeout_s=0.05))
    assert budget.taken_bytes == 0


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 60))
def test_no_garbage_does_more_than_be_refused(garbage: bytes, where: int, cut: int) -> None:
    body = form()
    broken = body[:where] + garbage + body[where + cut :]
    try:
        name, content = read(broken, b"tail")
    except InputError:
        return
    assert name
    assert content


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_no_content_type_does_more_than_be_refused(content_type: str) -> None:
    with pytest.raises(InputError):
        read(form(), content_type=f"multipart/form-data; {content_type}")


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
    assert clean_filename(raw) == name


@pytest.mark.parametrize("raw", ["", "/", "folder/", "C:\\"])
def test_no_name_is_a_missing_file(raw: str) -> None:
    with pytest.raises(MissingFileError):
        clean_filename(raw)


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
        clean_filename(raw)


@given(ANY_TEXT)
def test_whatever_passes_can_be_a_key_and_travel_in_a_message(raw: str) -> None:
    try:
        name = clean_filename(raw)
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
        name = clean_filename(raw)
    except InputError:
        return
    assert clean_filename(name) == name
