"""Keeps a recogniser's memory where it was: every picture has another shape, and two caches would grow with each."""

import ctypes
import functools
import os
from collections.abc import Callable

# Over 480 pictures of random shapes, the process grew by 160 MiB and on; with both measures by 23 MiB, then no more.
_ONEDNN_CAPACITY_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_ONEDNN_CAPACITY = "64"
"""Shapes whose kernels oneDNN keeps, instead of 1,024; more of them save no time that can be measured."""


def bound_kernel_cache() -> None:
    """Limits oneDNN's cache of kernels, unless the user has; to be called before the first inference.

    The variable is the library's only setting: torch does not export its function for this.
    """
    os.environ.setdefault(_ONEDNN_CAPACITY_VARIABLE, _ONEDNN_CAPACITY)


def give_back() -> None:
    """Returns freed memory to the system: with glibc, whose heap else keeps it in fragments. Takes about 4 ms."""
    if (trim := _malloc_trim()) is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
