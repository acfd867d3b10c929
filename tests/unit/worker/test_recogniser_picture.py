"""Decoding: every format, mode and orientation, and nothing but BadImageError for the rest."""

import io
import struct
import zlib

import numpy as np
import pytest
from facecore.errors import BadImageError
from faceworker.recogniser.picture import MAX_SIDE_PX, decode
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from support.fakes.faces import FACES, image_file

MAX_PIXELS = 1_000_000
LOSSLESS = ("PNG", "TIFF", "BMP")
ORIENTED = ("JPEG", "PNG", "WEBP", "TIFF")


def decoded(content: bytes) -> Image.Image:
    return decode(content, max_pixels=MAX_PIXELS)


def quadrants() -> Image.Image:
    """24 x 16, with another colour in each corner."""
    image = Image.new("RGB", (24, 16), "red")
    for colour, place in (("lime", (12, 0)), ("blue", (0, 8)), ("white", (12, 8))):
        image.paste(colour, (*place, place[0] + 12, place[1] + 8))
    return image


def difference(left: Image.Image, right: Image.Image) -> float:
    assert left.size == right.size
    return float(np.abs(np.asarray(left, dtype=float) - np.asarray(right, dtype=float)).mean())


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "MPO"])
def test_every_format_is_read(file_format: str) -> None:
    image = decoded(image_file(quadrants(), file_format))
    assert (image.mode, image.size) == ("RGB", (24, 16))
    assert difference(image, quadrants()) < 30


@pytest.mark.parametrize("file_format", ["ICO", "PPM", "TGA", "PDF", "EPS", "JPEG2000"])
def test_other_formats_are_refused(file_format: str) -> None:
    with pytest.raises(BadImageError):
        decoded(image_file(quadrants(), file_format))


@pytest.mark.parametrize("file_format", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(file_format: str, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that turns upright into stored
    stored = quadrants() if orientation == 1 else quadrants().transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decoded(image_file(stored, file_format, exif=exif))
    assert difference(image, quadrants()) < 40


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(decoded(image_file(quadrants(), "PNG", exif=exif)), quadrants()) == 0


def test_damaged_exif_does_not_lose_the_picture() -> None:
    content = image_file(quadrants(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f" + b"\xff" * 20)
    assert decoded(content).size == (24, 16)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "I;16", "CMYK", "YCbCr", "F", "I"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    file_format = "TIFF" if mode in ("CMYK", "YCbCr", "F", "I", "LA") else "PNG"
    grey = Image.linear_gradient("L")
    source = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    image = decoded(image_file(source, file_format))
    assert image.mode == "RGB"
    assert difference(image, grey.convert("RGB")) < (130 if mode == "1" else 5)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.array([[0, 257 * 100], [257 * 200, 65535]], dtype=np.uint16)
    image = decoded(image_file(Image.fromarray(values), "PNG"))
    assert np.asarray(image)[..., 0].tolist() == [[0, 100], [200, 255]]


def test_cmyk_jpeg_keeps_its_colours() -> None:
    image = decoded(image_file(quadrants().convert("CMYK"), "JPEG", quality=95))
    assert difference(image, quadrants()) < 40


def test_transparent_pixels_are_white_whatever_they_hide() -> None:
    image = decoded(image_file(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG"))
    assert image.getcolors() == [(64, (255, 255, 255))]


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    assert decoded(image_file(image, "PNG", transparency=0)).getcolors() == [(64, (255, 255, 255))]


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_frame_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    image = decoded(image_file(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert difference(image, frames[0]) < 10


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_large_pictures_are_scaled_down(file_format: str) -> None:
    image = decoded(image_file(quadrants().resize((1200, 800), Image.Resampling.NEAREST), file_format))
    assert image.size == (MAX_SIDE_PX, MAX_SIDE_PX * 2 // 3)
    assert difference(image, quadrants().resize(image.size, Image.Resampling.NEAREST)) < 5


@pytest.mark.parametrize("size", [(1, 1), (1, 50_000), (50_000, 1), (2, 3)])
def test_odd_shapes_are_decoded(size: tuple[int, int]) -> None:
    image = decoded(image_file(Image.new("RGB", size, "red"), "PNG"))
    assert max(image.size) <= MAX_SIDE_PX
    assert min(image.size) >= 1


def png_header(width: int, height: int) -> bytes:
    """A PNG that says its size and then has almost nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 100))]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(1001, 1000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(BadImageError, match=r"over the limit|bomb"):
        decoded(png_header(*size))


def test_the_limit_itself_passes() -> None:
    assert decode(image_file(Image.new("1", (1000, 1000)), "PNG"), max_pixels=1_000_000).size == (800, 800)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(file_format: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = image_file(Image.fromarray(noise), file_format)
    with pytest.raises(BadImageError):
        decoded(content[: int(len(content) * part)])


def test_what_is_no_image_is_told_what_would_be() -> None:
    with pytest.raises(BadImageError, match=r"not an image of a known format.*JPEG, PNG"):
        decoded(b"%PDF-1.7")


@given(st.binary(max_size=300))
@example(b"")
@example(b"\xff\xd8\xff")
@example(b"GIF89a" + b"\0" * 10)
def test_any_bytes_at_all_are_a_picture_or_a_bad_image(content: bytes) -> None:
    try:
        assert decoded(content).mode == "RGB"
    except BadImageError as error:
        assert str(error)


SEEDS = [image_file(quadrants(), name) for name in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")]


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8))
def test_flipped_bytes_are_a_picture_or_a_bad_image(content: bytes, flips: list[tuple[float, int]]) -> None:
    damaged = bytearray(content)
    for place, value in flips:
        damaged[int(place * len(damaged))] = value
    try:
        assert decoded(bytes(damaged)).mode == "RGB"
    except BadImageError as error:
        assert str(error)


def test_metadata_of_the_demo_photographs_is_gone() -> None:
    for file in FACES.rglob("*.jpg"):
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            assert not image.getexif()
            assert max(image.size) <= 800
