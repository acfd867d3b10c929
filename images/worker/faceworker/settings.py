"""The settings of all programs with a recogniser, and the worker's own."""

import socket
from pathlib import Path
from typing import Self

from facecore.aws import LONG_POLL_S
from facecore.settings import AwsSettings, MetricsSettings, Model, UploadSettings
from pydantic import Field, model_validator

from faceworker.recogniser import RecogniserOptions, processors
from faceworker.recogniser.models import Engine, Precision

# The release that facenet-pytorch itself fetches for pretrained="vggface2".
FACENET_WEIGHTS_URL = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt"
# Pillow warns of a decompression bomb at 89 million pixels; ours stays below.
MAX_PIXELS = 80_000_000


class RecogniserSettings(AwsSettings):
    """Which recogniser a program builds, and within which limits."""

    model: Model = Model.AUTO
    """Embedder; `auto` is the gallery's, `noop` does no work and answers unknown."""
    engine: Engine = Engine.ONNX
    """What runs the networks: `onnx`, or the reference engine, `torch`, where it is installed."""
    precision: Precision = Precision.FP32
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
        if (self.engine, self.precision) == (Engine.TORCH, Precision.INT8):
            raise ValueError("EFACE_PRECISION=int8 needs EFACE_ENGINE=onnx")
        return self

    @property
    def options(self) -> RecogniserOptions:
        """What recognisers are built with."""
        return RecogniserOptions(
            threads=self.threads or processors.available(),
            max_pixels=self.max_pixels,
            weights_url=self.weights_url,
            weights_sha256=self.weights_sha256,
            cache_dir=self.cache_dir.expanduser(),
            engine=self.engine,
            precision=self.precision,
        )


class WorkerSettings(RecogniserSettings, UploadSettings, MetricsSettings):
    """Everything a worker is told; each field comes from `EFACE_<FIELD>`."""

    model: Model = Model.FACENET
    """Embedder; `auto` is the gallery's, `noop` does no work and answers unknown."""
    instance_id: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """EC2 instance id, for replies and logs; the host's name where it is not given."""
    idle_s: int = Field(5, ge=1, le=LONG_POLL_S)
    """Seconds of a long poll; one that comes back empty ends the worker."""
    visibility_s: int = Field(6, ge=2, le=3600)
    """Seconds after which the request of a worker that died is given to another one."""
    request_limit_s: int = Field(300, ge=1, le=3600)
    """Seconds after which a request in hand counts as hung; 300 is how long the web tier waits by default."""
    gallery_refresh_s: float = Field(30, ge=0, le=86400)
    """Seconds between two looks at whether the gallery changed."""
