"""The exported networks: what their files say of themselves, and ONNX Runtime, which runs them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from facecore.errors import WeightsError
from numpy.typing import NDArray

# Since 1.29 ONNX Runtime's builds make an identifier of the machine and send events about each network to their maker,
# unless this is set before the import: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

# Metadata of an exported network: SHA-256 of the weights it was made of, in hexadecimal.
WEIGHTS_KEY = "weights_sha256"
# Metadata of an exported network: the version of the export that made it.
FORMAT_KEY = "export_format"
# Changes with anything that makes other networks of the same weights.
EXPORT_FORMAT = "3"
_ERRORS_ONLY = 3

Run = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]


def load(file: Path, threads: int, weights_sha256: str | None = None) -> Run:
    """The network in `file`, on the CPU: it takes float32 pixels [n, height, width, 3] and gives its outputs.

    Raises WeightsError if the file is missing, damaged or of another export, and if `weights_sha256` is given and the
    network was made of other weights.
    """
    if not file.exists():
        raise WeightsError(f"there is no {file}: make it with `python -m faceworker.export`")
    _share_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Each picture has another shape, so that a plan for a shape's memory is hardly ever used again.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", "1")
    # A thread that sleeps takes too long to wake for each of a network's hundred nodes; one that waits in a loop for
    # longer than the time between two of them takes it from the other programs of the machine.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "200")
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's exceptions have no common root but this.
    except Exception as error:
        raise WeightsError(f"{file} cannot be loaded: {str(error)[:200]}; delete it and export it again") from error
    made_of = session.get_modelmeta().custom_metadata_map
    if made_of.get(FORMAT_KEY) != EXPORT_FORMAT:
        raise WeightsError(f"{file} is of another version: make it again with `python -m faceworker.export`")
    if weights_sha256 is not None and made_of.get(WEIGHTS_KEY) != weights_sha256.lower():
        raise WeightsError(f"{file} was made of weights of SHA-256 {made_of.get(WEIGHTS_KEY)}, not {weights_sha256}")
    name = session.get_inputs()[0].name
    return lambda pixels: tuple(session.run(None, {name: pixels}))


@functools.cache
def _share_memory() -> None:
    """Registers one arena for all networks of the process."""
    # Without an arena the system gives and takes the same pages at each picture, which doubles the time of large ones.
    # It keeps the most that any network took, which the limit of a picture's size bounds.
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    where = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(where, None)
