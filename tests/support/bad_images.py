"""Uploads that a service meets in the open: broken, strange and hostile files, each with the status it must get."""

import functools
import io
import random
from collections.abc import Iterator

from PIL import Image

from support.uploads import Upload, photograph

SOURCE = "obama2.jpg"


def strange_files(count: int, seed: int) -> Iterator[tuple[Upload, int]]:
    """`count` uploads in a fixed order, with the status of the answer that each must get."""
    rng = random.Random(seed)
    makers = [
        _random_bytes, _text, _pdf_like, _truncated_jpeg, _flipped_header, _too_many_pixels, _animated, _blank_animated,
        _one_pixel, _cmyk, _sixteen_bit, _webp, _tiff, _palette, _no_face, _truncated_png,
    ]  # fmt: skip
    for i in range(count):
        content, extension, status = makers[i % len(makers)](rng)
        yield Upload(f"strange-{i:03}.{extension}", content), status


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _face() -> Image.Image:
    return Image.open(io.BytesIO(photograph(SOURCE)))


def _random_bytes(rng: random.Random) -> tuple[bytes, str, int]:
    return rng.randbytes(rng.randint(1, 5000)), "jpg", 415


def _text(rng: random.Random) -> tuple[bytes, str, int]:
    return b"This is not a photograph. " * rng.randint(1, 50), "jpg", 415


def _pdf_like(rng: random.Random) -> tuple[bytes, str, int]:
    return b"%PDF-1.7\n" + rng.randbytes(500), "pdf", 415


def _truncated_jpeg(rng: random.Random) -> tuple[bytes, str, int]:
    content = photograph(SOURCE)
    return content[: int(len(content) * rng.uniform(0.05, 0.6))], "jpg", 415


def _truncated_png(rng: random.Random) -> tuple[bytes, str, int]:
    content = _encoded(_face().reduce(3), "PNG")
    return content[: int(len(content) * rng.uniform(0.05, 0.6))], "png", 415


def _flipped_header(rng: random.Random) -> tuple[bytes, str, int]:
    return rng.randbytes(16) + photograph(SOURCE)[16:], "jpg", 415


@functools.cache  # it takes seconds, in which a worker that waits for the next upload ends
def _image_of_too_many_pixels() -> bytes:
    return _encoded(Image.new("L", (20_000, 20_000)), "PNG")


def _too_many_pixels(_rng: random.Random) -> tuple[bytes, str, int]:
    return _image_of_too_many_pixels(), "png", 415


def _animated(_rng: random.Random) -> tuple[bytes, str, int]:
    frames = [_face().reduce(2), Image.new("RGB", (200, 400))]
    return _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "gif", 200


def _blank_animated(_rng: random.Random) -> tuple[bytes, str, int]:
    frames = [Image.new("RGB", (120, 90), (shade, 0, 0)) for shade in (0, 99, 255)]
    return _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "gif", 422


def _one_pixel(_rng: random.Random) -> tuple[bytes, str, int]:
    return _encoded(Image.new("RGB", (1, 1)), "PNG"), "png", 422


def _cmyk(_rng: random.Random) -> tuple[bytes, str, int]:
    return _encoded(_face().convert("CMYK"), "JPEG"), "jpg", 200


def _sixteen_bit(_rng: random.Random) -> tuple[bytes, str, int]:
    grey = _face().convert("L").reduce(2)
    return _encoded(grey.convert("I").point(lambda value: value * 257).convert("I;16"), "PNG"), "png", 200


def _webp(_rng: random.Random) -> tuple[bytes, str, int]:
    return _encoded(_face(), "WEBP"), "webp", 200


def _tiff(_rng: random.Random) -> tuple[bytes, str, int]:
    return _encoded(_face(), "TIFF"), "tiff", 200


def _palette(_rng: random.Random) -> tuple[bytes, str, int]:
    return _encoded(_face().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), "png", 200


def _no_face(rng: random.Random) -> tuple[bytes, str, int]:
    return _encoded(Image.new("RGB", (640, 480), (rng.randrange(256), 90, 30)), "JPEG"), "jpg", 422
