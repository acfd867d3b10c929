"""From hostile bytes to an upright RGB picture of a bounded size."""

from __future__ import annotations

import io
import warnings

import numpy as np
from facecore.errors import BadImageError
from PIL import ExifTags, Image, UnidentifiedImageError

# What Pillow may try; its other readers never see the bytes. Its JPEG reader takes MPO files too.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
# Longer side of a decoded picture. Detection takes time by the pixel (0.1 s of one core), and the smallest face that
# it finds, 20 px, is then a fortieth of the picture.
MAX_SIDE_PX = 800
# What undoes each orientation of EXIF 2.32, section 4.6.4.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(content: bytes, *, max_pixels: int) -> Image.Image:
    """The first frame of `content`, upright, RGB, with sides of at most 800 px.

    Raises BadImageError for anything but a whole image of a known format, and for over `max_pixels` pixels, which are
    counted from the header before anything is decoded.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata; what matters of it raises.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if (pixels := image.width * image.height) > max_pixels:
                    size = f"{image.width} x {image.height} = {pixels} pixels"
                    raise BadImageError(f"the image has {size}, over the limit of {max_pixels}")
                # A JPEG is decoded at an eighth, a quarter or half of its size where that is enough.
                image.draft(None, _fitted(image.size))
                image.load()
                small = _resizable(image)
                if small.size != _fitted(small.size):
                    small = small.resize(_fitted(small.size), Image.Resampling.BICUBIC, reducing_gap=2.0)
                undo = _UPRIGHT.get(_orientation(image))
                return _rgb(small) if undo is None else _rgb(small).transpose(undo)
    except BadImageError:
        raise
    except UnidentifiedImageError as error:
        raise BadImageError(f"the file is not an image of a known format ({', '.join(FORMATS)})") from error
    # Pillow's readers raise nearly every built-in error for hostile bytes, MemoryError among them.
    except Exception as error:
        raise BadImageError(f"the image cannot be decoded: {error or type(error).__name__}") from error


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    factor = min(1, MAX_SIDE_PX / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resizable(image: Image.Image) -> Image.Image:
    """The image in a mode whose pixels can be averaged: not palette indices, single bits or 16-bit words."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I;16"):
        # 65,535 = 255 x 257. Pillow's own conversion to 8 bits would clip.
        return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        # No format fixes the range of 32 bits or floats: black for the least value, white for the most.
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        least, most = float(values.min()), float(values.max())
        scaled = (values - least) * (255 / (most - least or 1))
        image = Image.fromarray(np.rint(scaled).astype(np.uint8))
    if image.has_transparency_data:
        # What a transparent pixel hides is arbitrary; on white it looks as on a page.
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; upright where the EXIF block is damaged, as viewers show it."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError, TypeError, OSError, LookupError):
        return 1
