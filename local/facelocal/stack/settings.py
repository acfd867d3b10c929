"""What the embedded stack is configured by, and what it passes on to the programs."""

from collections.abc import Mapping
from pathlib import Path

from facecore.errors import SettingsError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

WORKER_VARIABLES = (
    "EFACE_MODEL",
    "EFACE_ENGINE",
    "EFACE_PRECISION",
    "EFACE_IDLE_S",
    "EFACE_VISIBILITY_S",
    "EFACE_THREADS",
    "EFACE_MAX_PIXELS",
    "EFACE_MAX_UPLOAD_BYTES",
    "EFACE_GALLERY_REFRESH_S",
    "EFACE_WEIGHTS_URL",
    "EFACE_WEIGHTS_SHA256",
    "EFACE_CACHE_DIR",
    "EFACE_LOG_LEVEL",
)
"""Variables that reach the workers, through the user data of their instances."""


class StackSettings(BaseModel):
    """Where the stack lives and what it answers on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    run_dir: Path = Field(Path(".run/embedded"), alias="RUN_DIR")
    """Folder of logs and state; it goes with `down`, but for the logs."""
    web_port: int = Field(8000, alias="WEB_PORT", ge=1, le=65535)
    """Port of the web tier on 127.0.0.1."""
    aws_port: int = Field(4566, alias="AWS_PORT", ge=1, le=65535)
    """Port of the AWS API on 127.0.0.1."""
    gallery: Path = Field(Path("tests/faces/gallery"), alias="GALLERY")
    """Folder of people to enrol: `<subject>/*.jpg`."""
    model: str = Field("auto", alias="EFACE_MODEL")
    """The model; `auto` takes FaceNet where its weights can be had, else dlib."""
    ready_timeout_s: float = Field(90.0, alias="READY_TIMEOUT_S", gt=0)
    """Seconds that `up` waits for the web tier."""

    @property
    def web_url(self) -> str:
        """Base URL of the web tier."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def aws_url(self) -> str:
        """Base URL of the AWS API."""
        return f"http://127.0.0.1:{self.aws_port}"


def load(environ: Mapping[str, str]) -> StackSettings:
    """The settings that `environ` gives; raises SettingsError."""
    given = {name: value for name, value in environ.items() if value}
    try:
        settings = StackSettings.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(f"{detail['loc'][0]}: {detail['msg']}" for detail in error.errors(include_url=False))
        raise SettingsError(problems) from error
    return settings.model_copy(update={"run_dir": settings.run_dir.resolve(), "gallery": settings.gallery.resolve()})
