"""Area resampling of one picture, at many scales and of many crops, from sums that are computed once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


class AreaSampler:
    """Means over windows of a picture, as PyTorch's `interpolate(mode="area")` computes them."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        """Takes an RGB picture, uint8 [height, width, 3]."""
        height, width = pixels.shape[:2]
        self.shape = height, width
        # Sums of whole numbers: each mean is the exact one, rounded once to float32. At 255 a pixel, the sums of up to
        # 8 million pixels fit into 32 bits.
        self._sums = np.zeros((height + 1, width + 1, 3), dtype=np.int32)
        rows = self._sums[1:, 1:]
        np.cumsum(pixels, axis=1, dtype=np.int32, out=rows)
        # Row by row: numpy's own sum down the columns takes three times as long.
        for above, row in pairwise(rows):
            np.add(row, above, out=row)

    def resized(self, height: int, width: int) -> NDArray[np.float32]:
        """The whole picture at another size: float32 [height, width, 3]."""
        top, bottom = _edges(np.zeros(1, dtype=np.int64), np.array([self.shape[0]]), height)
        left, right = _edges(np.zeros(1, dtype=np.int64), np.array([self.shape[1]]), width)
        lines = self._sums.reshape(len(self._sums), -1)
        rows = lines.take(bottom[0], axis=0)
        rows -= lines.take(top[0], axis=0)
        # Number by number: numpy has no fast way to take three at once.
        sums = rows.take(_colours(right[0]), axis=1)
        sums -= rows.take(_colours(left[0]), axis=1)
        means: NDArray[np.float32] = sums.astype(np.float32)
        heights, widths = (bottom - top)[0].astype(np.float32), (right - left)[0].astype(np.float32)
        means /= heights[:, None] * np.repeat(widths, 3)
        return means.reshape(height, width, 3)

    def crops(self, windows: NDArray[np.int64], side_px: int) -> NDArray[np.float32]:
        """Squares of `side_px` of the windows [n, 4] (left, top, right, bottom): float32 [m, side_px, side_px, 3].

        A window without a pixel in the picture gives no crop, as upstream has it, so that m may be below n.
        """
        windows = windows[(windows[:, 2] > windows[:, 0]) & (windows[:, 3] > windows[:, 1])]
        left, right = _edges(windows[:, 0], windows[:, 2], side_px)
        top, bottom = _edges(windows[:, 1], windows[:, 3], side_px)
        row = self.shape[1] + 1
        flat = self._sums.reshape(-1, 3)
        below, above = bottom[:, :, None] * row, top[:, :, None] * row
        sums = flat.take(below + right[:, None], axis=0)
        sums -= flat.take(above + right[:, None], axis=0)
        sums -= flat.take(below + left[:, None], axis=0)
        sums += flat.take(above + left[:, None], axis=0)
        means: NDArray[np.float32] = sums.astype(np.float32)
        heights, widths = (bottom - top).astype(np.float32), (right - left).astype(np.float32)
        flat_means = means.reshape(*means.shape[:2], -1)
        flat_means /= heights[:, :, None] * np.repeat(widths, 3, axis=1)[:, None]
        return means


def _colours(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the three numbers of each of `pixels` are in a line of them."""
    return (pixels[:, None] * 3 + np.arange(3)).ravel()


def _edges(start: NDArray[np.int64], end: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each of `count` windows over [start, end) begins and ends: two of [n, count].

    The windows are those of PyTorch's adaptive average pooling: floor(i·size/count) to ceil((i + 1)·size/count).
    """
    size = (end - start)[:, None]
    steps = np.arange(count)
    return start[:, None] + steps * size // count, start[:, None] + -(-(steps + 1) * size // count)
