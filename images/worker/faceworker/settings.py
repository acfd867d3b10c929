"""The worker's settings."""

import socket
from typing import Literal

from facecore.aws import LONG_POLL_S
from pydantic import Field

from faceworker.recogniser.settings import RecogniserSettings

MIB = 1024 * 1024


class WorkerSettings(RecogniserSettings):
    """Everything a worker is told; each field comes from `EFACE_<FIELD>`."""

    model: Literal["auto", "facenet-vggface2", "dlib-resnet-v1", "noop"] = "facenet-vggface2"
    """Embedder; `auto` is the gallery's, `noop` does no work and answers unknown."""
    instance_id: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """EC2 instance id, for replies and logs; the host's name where it is not given."""
    idle_s: int = Field(5, ge=1, le=LONG_POLL_S)
    """Seconds of a long poll; one that comes back empty ends the worker."""
    visibility_s: int = Field(6, ge=2, le=3600)
    """Seconds after which the request of a worker that died is given to another one."""
    request_limit_s: int = Field(300, ge=1, le=3600)
    """Seconds after which a request in hand counts as hung; 300 is how long the web tier waits by default."""
    max_upload_bytes: int = Field(10 * MIB, ge=1, le=1024 * MIB)
    """Largest image in bytes that is fetched."""
    gallery_refresh_s: float = Field(30, ge=0, le=86400)
    """Seconds between two looks at whether the gallery changed."""
    metrics_port: int = Field(0, ge=0, le=65535)
    """Port of the Prometheus metrics; 0 for none."""
    metrics_host: str = Field("127.0.0.1", min_length=1)
    """Address on which the metrics are served."""
