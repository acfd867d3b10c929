"""Images that are strange, broken or hostile: each a result or a named error, and bounded in what it takes."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from facecore.errors import BadImageError, NoFaceError
from facecore.settings import Model
from faceworker import build
from faceworker.enrol.enrolment import enrol
from faceworker.recogniser import Recogniser, RecogniserOptions
from faceworker.recogniser.pipeline import MatchingRecogniser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.fakes.faces import CREATED_AT, FACES, image_file

OBAMA = FACES / "queries/obama2.jpg"
FUZZ_INPUTS = int(os.environ.get("FUZZ_INPUTS", "300"))
"""`make fuzz` sets 10,000."""
UNDO = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""By EXIF orientation, Image.Transpose that turns upright into stored."""


@pytest.fixture(scope="session")
def recogniser(exported_cache: Path) -> Recogniser:
    options = RecogniserOptions(1, 40_000_000, "http://127.0.0.1:9/", None, exported_cache)
    extractor = build.extractor(Model.DLIB, options)
    return MatchingRecogniser(extractor, enrol(FACES / "gallery", extractor, created_at=CREATED_AT).gallery)


@pytest.fixture(params=["1", "L"])
def huge(request: pytest.FixtureRequest) -> bytes:
    """A file of 20,000 pixels a side, which takes 400 MB of memory where it is decoded."""
    return image_file(Image.new(request.param, (20_000, 20_000)), "PNG")


@pytest.mark.timeout(20)
def test_twenty_thousand_pixels_a_side_are_refused_in_little_memory(recogniser: Recogniser, huge: bytes) -> None:
    before_mib = _peak_mib(forget=True)
    with pytest.raises(BadImageError, match=r"over the limit|bomb"):
        recogniser.recognise(huge)
    assert _peak_mib() - before_mib < 50


def _peak_mib(*, forget: bool = False) -> float:
    """The most memory that this process has held, or holds now if what was before is forgotten."""
    if forget:
        # See proc(5): 5 resets the peak, which making the file has raised above all that the test could see.
        Path("/proc/self/clear_refs").write_text("5")
    [peak_kib] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak_kib) / 1024


@pytest.mark.parametrize("tenth", range(10))
def test_a_jpeg_cut_at_every_tenth_is_refused(recogniser: Recogniser, tenth: int) -> None:
    content = OBAMA.read_bytes()
    with pytest.raises(BadImageError):
        recogniser.recognise(content[: len(content) * tenth // 10])


def test_the_first_frame_of_an_animation_is_recognised(recogniser: Recogniser) -> None:
    with Image.open(OBAMA) as image:
        frames = [image.convert("RGB"), Image.new("RGB", image.size, "teal")]
    content = image_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert recogniser.recognise(content).subject == "Barack Obama"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_one_pixel_has_no_face(recogniser: Recogniser, file_format: str) -> None:
    with pytest.raises(NoFaceError):
        recogniser.recognise(image_file(Image.new("RGB", (1, 1)), file_format))


def test_all_orientations_are_recognised_alike(recogniser: Recogniser) -> None:
    answers = []
    with Image.open(OBAMA) as image:
        for orientation, undo in UNDO.items():
            stored = image if undo is None else image.transpose(undo)
            exif = Image.Exif()
            exif[0x0112] = orientation
            answers.append(recogniser.recognise(image_file(stored, "PNG", exif=exif)))
    assert {answer.subject for answer in answers} == {"Barack Obama"}
    assert {answer.distance for answer in answers} == {answers[0].distance}


def _seeds() -> list[bytes]:
    """A small photograph with a face, in every format and in several kinds of each."""
    with Image.open(FACES / "gallery/Joe Biden/biden.jpg") as image:
        small = image.convert("RGB").crop((0, 100, 352, 452)).resize((72, 72))
    exif = Image.Exif()
    exif[0x0112] = 6
    makers: list[Callable[[], bytes]] = [
        lambda: image_file(small, "JPEG"),
        lambda: image_file(small, "JPEG", progressive=True, exif=exif),
        lambda: image_file(small.convert("CMYK"), "JPEG"),
        lambda: image_file(small, "PNG"),
        lambda: image_file(small.convert("P"), "PNG", transparency=0),
        lambda: image_file(small.convert("L"), "PNG"),
        lambda: image_file(small, "WEBP"),
        lambda: image_file(small, "WEBP", lossless=True, exif=exif),
        lambda: image_file(small, "TIFF"),
        lambda: image_file(small, "TIFF", compression="tiff_lzw"),
        lambda: image_file(small.convert("F"), "TIFF"),
        lambda: image_file(small, "GIF", save_all=True, append_images=[small.rotate(90)]),
        lambda: image_file(small, "BMP"),
        lambda: image_file(small, "MPO", save_all=True, append_images=[small]),
    ]
    return [maker() for maker in makers]


SEEDS = _seeds()
PLACES = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), PLACES, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("insert"), PLACES, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("delete"), PLACES, st.binary(min_size=1, max_size=64)),
        st.tuples(st.just("cut"), PLACES, st.just(b"")),
    ),
    max_size=6,
)


def edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    """`content` with edits, half of which fall into its first 200 bytes, where the headers are."""
    data = bytearray(content)
    for number, (kind, place, part) in enumerate(edits):
        at = int(place * min(len(data), 200 if number % 2 else len(data)))
        if kind == "cut":
            del data[at:]
        else:
            data[at : at + (0 if kind == "insert" else len(part))] = b"" if kind == "delete" else part
    return bytes(data)


@pytest.mark.timeout(3600)
@settings(max_examples=FUZZ_INPUTS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.builds(edited, st.sampled_from(SEEDS), EDITS), st.binary(max_size=400)))
def test_fuzz_any_bytes_are_recognised_or_a_named_error(recogniser: Recogniser, content: bytes) -> None:
    try:
        answer = recogniser.recognise(content)
    except (BadImageError, NoFaceError) as error:
        assert str(error)
    else:
        assert answer.distance is not None
