"""Imports what a worker with the default engine needs, for a process that forks workers which then share it."""

from faceworker.recogniser import matching, onnx_engine

SHARED = (matching, onnx_engine)
