"""The web tier's settings."""

from facecore.settings import UploadSettings
from pydantic import Field


class WebSettings(UploadSettings):
    """What the web tier reads from its environment, once, at start."""

    host: str = Field("127.0.0.1", min_length=1, max_length=255)
    """Address to listen on; a container listens on 0.0.0.0."""
    port: int = Field(8000, ge=0, le=65535)
    """TCP port to listen on; 0 takes a free one and logs which."""
    reply_queue: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,80}$")
    """Name of the queue on which this host is answered; None for `<ID>-resp-queue`. Several web hosts need one each."""
    upload_timeout_s: float = Field(60, ge=0.1, le=600)
    """Seconds within which an upload must be complete."""
    max_waiting: int = Field(1000, ge=1, le=20_000)
    """Requests in hand at once, those whose upload is still read included; one more is refused."""
    result_timeout_s: float = Field(300, ge=0.1, le=3600)
    """Seconds that a request waits for its result once it was sent to the workers."""
    aws_threads: int = Field(16, ge=1, le=128)
    """Calls to AWS that run at once, each in a thread of its own."""
    shutdown_s: float = Field(30, ge=0, le=600)
    """Seconds that requests in hand get to finish once the program was told to stop."""

    @property
    def reply_to(self) -> str:
        """Name of the queue that workers answer on."""
        return self.reply_queue or self.response_queue
