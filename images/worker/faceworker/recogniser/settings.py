"""The settings that every program with a recogniser in it shares."""

from pathlib import Path
from typing import Literal, Self

from facecore.settings import AwsSettings
from pydantic import Field, model_validator

from faceworker.recogniser import processors
from faceworker.recogniser.factory import RecogniserOptions

FACENET_WEIGHTS_URL = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt"
"""The release that facenet-pytorch itself fetches for pretrained="vggface2"."""
MAX_PIXELS = 80_000_000
"""Pillow warns of a decompression bomb at 89 million pixels; ours stays below."""


class RecogniserSettings(AwsSettings):
    """Which recogniser a program builds, and within which limits."""

    model: Literal["auto", "facenet-vggface2", "dlib-resnet-v1", "noop"] = "auto"
    """Embedder; `auto` is the gallery's, `noop` does no work and answers unknown."""
    engine: Literal["onnx", "torch"] = "onnx"
    """What runs the networks: `onnx`, or the reference engine, `torch`, where it is installed."""
    precision: Literal["fp32", "int8"] = "fp32"
    """Numbers that the embedder computes with; `int8` is faster and a little less exact, on the engine `onnx` alone."""
    threads: int = Field(0, ge=0, le=64)
    """Threads that one inference uses; 0 for the processors that the process may use, container limits included."""
    max_pixels: int = Field(40_000_000, ge=10_000, le=MAX_PIXELS)
    """Largest image that is decoded, in pixels."""
    weights_url: str = Field(FACENET_WEIGHTS_URL, pattern=r"^https?://")
    """Where FaceNet's weights come from."""
    weights_sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")
    """SHA-256 that those weights must have, in hexadecimal; not compared where unset."""
    cache_dir: Path = Path("~/.cache/elastic-face")
    """Folder that keeps downloaded weights and exported networks."""

    @model_validator(mode="after")
    def _precision_of_the_engine(self) -> Self:
        if (self.engine, self.precision) == ("torch", "int8"):
            raise ValueError("EFACE_PRECISION=int8 needs EFACE_ENGINE=onnx")
        return self

    @property
    def options(self) -> RecogniserOptions:
        """What the factory takes."""
        return RecogniserOptions(
            threads=self.threads or processors.available(),
            max_pixels=self.max_pixels,
            weights_url=self.weights_url,
            weights_sha256=self.weights_sha256,
            cache_dir=self.cache_dir.expanduser(),
            engine=self.engine,
            precision=self.precision,
        )
