"""Keeps the process's heap within bounds: every picture has another shape, and freed memory stays in fragments."""

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

_GROWTH_BYTES = 64 * 1024 * 1024
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# glibc takes no larger threshold than this one.
_LARGEST_KEPT_BYTES = 32 * 1024 * 1024
_STATM = Path("/proc/self/statm")


class Growth:
    """Keeps freed memory for the next picture, up to 64 MiB of it."""

    # To get the same pages from the system again at each picture takes a third of the time of a large one.

    def __init__(self) -> None:
        """Gives back what loading took, and measures growth from there."""
        if (set_option := _glibc("mallopt")) is not None:
            set_option(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
            set_option(_M_TRIM_THRESHOLD, 2 * _GROWTH_BYTES)
        self._bound_bytes = 0
        self.check()

    def check(self) -> None:
        """Returns freed memory to the system if the process has grown; call it after each picture, it takes 20 µs."""
        if _resident_bytes() > self._bound_bytes:
            give_back()
            self._bound_bytes = _resident_bytes() + _GROWTH_BYTES


def give_back() -> None:
    """Returns freed memory to the system, with glibc; it takes about 4 ms, and more to get the same memory again."""
    if (trim := _glibc("malloc_trim")) is not None:
        trim(0)


def _resident_bytes() -> int:
    """Memory of the process; 0 on other systems than Linux, where there is no glibc to give anything back."""
    try:
        fields = _STATM.read_bytes().split()
    except FileNotFoundError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@functools.cache
def _glibc(function: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), function, None)
