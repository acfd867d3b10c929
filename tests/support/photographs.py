"""Photographs with faces and variations of them, for comparing two engines on the same pictures."""

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from faceworker.recogniser.picture import decode
from PIL import Image, ImageEnhance, ImageFilter

from support.fakes.faces import FACES

MAX_PIXELS = 40_000_000


def photographs() -> dict[str, Image.Image]:
    """The project's photographs by name, decoded as a worker does, and those in FACES_FOLDER if it is set."""
    folders = [FACES, *(Path(folder) for folder in [os.environ.get("FACES_FOLDER")] if folder)]
    files = sorted(file for folder in folders for file in folder.rglob("*.jpg"))
    return {file.name: decode(file.read_bytes(), max_pixels=MAX_PIXELS) for file in files}


def variations(pictures: dict[str, Image.Image], count: int, seed: int) -> Iterator[tuple[str, Image.Image]]:
    """`count` variations by name, in turn scaled, rotated, cropped, noisy and dark; the same for the same seed."""
    random = Random(seed)
    makers = (_scaled, _rotated, _cropped, _noisy, _dark)
    names = sorted(pictures)
    for number in range(count):
        maker = makers[number % len(makers)]
        name = names[number // len(makers) % len(names)]
        yield f"{number}{maker.__name__}-{name}", maker(pictures[name], random)


def _scaled(picture: Image.Image, random: Random) -> Image.Image:
    factor = random.uniform(0.08, 1.2)
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _rotated(picture: Image.Image, random: Random) -> Image.Image:
    return picture.rotate(random.uniform(-40, 40), Image.Resampling.BICUBIC, expand=random.random() < 0.5)


def _cropped(picture: Image.Image, random: Random) -> Image.Image:
    left, top = random.randrange(picture.width // 3), random.randrange(picture.height // 3)
    right, bottom = picture.width - random.randrange(picture.width // 3), random.randrange(left + top + 1)
    return picture.crop((left, top, right, picture.height - bottom // 3))


def _noisy(picture: Image.Image, random: Random) -> Image.Image:
    noise = np.random.default_rng(random.randrange(2**32)).normal(0, random.uniform(5, 40), (*picture.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _dark(picture: Image.Image, random: Random) -> Image.Image:
    darker = ImageEnhance.Brightness(picture).enhance(random.uniform(0.08, 0.6))
    return darker.filter(ImageFilter.GaussianBlur(random.uniform(0, 2)))
