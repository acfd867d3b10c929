"""Runs exported networks with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from facecore.errors import WeightsError
from numpy.typing import NDArray

from faceworker.recogniser.exported import EXPORT_FORMAT, FORMAT_KEY, WEIGHTS_KEY

Run = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], ...]]
_ERRORS_ONLY = 3


def load(file: Path, threads: int, weights_sha256: str | None = None) -> Run:
    """The network in `file`, on the CPU: it takes float32 pixels [n, height, width, 3] and gives its outputs.

    Raises WeightsError where the file is missing, damaged or of another export, and where `weights_sha256` is given
    and the network was made of other weights.
    """
    if not file.exists():
        raise WeightsError(f"there is no {file}: make it with `python -m faceworker.export`")
    try:
        session = onnxruntime.InferenceSession(file, _options(threads), providers=["CPUExecutionProvider"])
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


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # An arena keeps the most that any picture took, for ever, and each picture has another shape.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    # Threads that wait for work in a loop take it from the other workers of the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
