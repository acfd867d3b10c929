"""ONNX Runtime without its telemetry; whoever needs it imports it from here.

Since 1.29 its builds make an identifier of the machine, and send events about each network to their maker, unless this
variable is set before it is imported: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
