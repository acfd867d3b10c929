"""Area resampling: what PyTorch's own gives."""

import numpy as np
import torch
from faceworker.recogniser.resampling import AreaSampler
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

SIDES = st.integers(1, 90)


def by_torch(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    return interpolate(planes, size=(height, width), mode="area")[0].permute(1, 2, 0).numpy()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_a_picture_is_resized_as_torch_does(height: int, width: int, to_height: int, to_width: int) -> None:
    pixels = noise(height, width)
    expected = by_torch(pixels, to_height, to_width)
    assert np.allclose(AreaSampler(pixels).resized(to_height, to_width), expected, rtol=0, atol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 59), st.integers(0, 59), st.integers(1, 60), st.integers(1, 60), st.sampled_from([24, 48]))
def test_crops_are_resized_as_torch_does(left: int, top: int, width: int, height: int, side: int) -> None:
    pixels = noise(60, 60)
    right, bottom = min(60, left + width), min(60, top + height)
    crops = AreaSampler(pixels).crops(np.array([[left, top, right, bottom]]), side)
    assert np.allclose(crops[0], by_torch(pixels[top:bottom, left:right], side, side), rtol=0, atol=1e-4)


def test_a_window_without_a_pixel_gives_no_crop() -> None:
    windows = np.array([[5, 5, 5, 9], [0, 0, 4, 4], [3, 9, 8, 2]])
    assert AreaSampler(noise(10, 10)).crops(windows, 24).shape == (1, 24, 24, 3)


def test_the_largest_picture_does_not_overflow() -> None:
    white = np.full((800, 800, 3), 255, dtype=np.uint8)
    assert (AreaSampler(white).resized(12, 12) == 255).all()
