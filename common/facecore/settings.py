"""Settings that programs share, each with one pair of bounds, and the one place that reads them from an environment."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from facecore import user_data, variables
from facecore.errors import SettingsError

MIB = 1024 * 1024
# The longest name made of an ID is `<ID>-gallery-bucket`, and S3 takes 63 characters.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_ID_PATTERN = r"^[a-z0-9][a-z0-9-]{1,47}$"
_INSTANCE_TYPE = r"[a-z0-9-]+\.[a-z0-9]+"


class Model(StrEnum):
    """What `EFACE_MODEL`, `--model` and galleries name."""

    FACENET = "facenet-vggface2"
    DLIB = "dlib-resnet-v1"
    AUTO = "auto"
    """The model that the gallery was made with; for enrolment, FaceNet if its network is there, else dlib."""
    NOOP = "noop"
    """Does no work and answers `unknown`: for measuring the tiers themselves."""


def _known_lines(text: str) -> str:
    """The text, if it consists of lines that a machine takes at boot, with names that some program reads."""
    try:
        names = user_data.parse(text)
    except SettingsError as error:
        raise ValueError(str(error)) from error
    if found := variables.complaints(names, variables.KNOWN):
        raise ValueError("; ".join(found))
    return text


AbsolutePath = Annotated[Path, AfterValidator(Path.resolve)]
EnvironmentLines = Annotated[str, AfterValidator(_known_lines)]
InstanceType = Annotated[str, Field(pattern=rf"^{_INSTANCE_TYPE}$")]
InstanceTypes = Annotated[str, Field(pattern=rf"^({_INSTANCE_TYPE}(,{_INSTANCE_TYPE})*)?$")]
MaxInstances = Annotated[int, Field(ge=0, le=10_000)]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
ReadyTimeout = Annotated[float, Field(ge=1, le=3600)]


class AwsSettings(BaseModel):
    """What every program knows: which deployment it belongs to and where AWS is.

    A program's own class inherits from this one. A field is read from `EFACE_<FIELD>`, or from the
    variable that its alias names. Instances are frozen. Build them with `load`, once, in `main()`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, use_attribute_docstrings=True)

    id: str = Field(pattern=_ID_PATTERN)
    """`<ID>` of all names: 2 to 48 of a-z, 0-9 and '-', starting with a letter or digit."""
    region: Region = "us-east-1"
    """AWS region."""
    endpoint_url: str | None = Field(None, alias="AWS_ENDPOINT_URL", pattern=r"^https?://[^\s/]+/?$")
    """Base URL of an AWS emulator; None for AWS itself."""
    log_level: str = Field("info", pattern=r"^(debug|info|warning|error)$")
    """Least severe level that is logged."""

    def shown(self) -> dict[str, object]:
        """The settings by variable as a program logs them at start, without what a URL holds of credentials."""
        values = self.model_dump(mode="json")
        return {variable(name, field): _public(values[name]) for name, field in type(self).model_fields.items()}

    @property
    def in_bucket(self) -> str:
        """Bucket of the uploaded images."""
        return f"{self.id}-in-bucket"

    @property
    def out_bucket(self) -> str:
        """Bucket of the predictions."""
        return f"{self.id}-out-bucket"

    @property
    def gallery_bucket(self) -> str:
        """Bucket of the gallery."""
        return f"{self.id}-gallery-bucket"

    @property
    def request_queue(self) -> str:
        """Queue of the requests."""
        return f"{self.id}-req-queue"

    @property
    def response_queue(self) -> str:
        """Default queue of the replies."""
        return f"{self.id}-resp-queue"

    @property
    def dead_queue(self) -> str:
        """Queue of the requests that were received three times without success."""
        return f"{self.id}-dead-queue"


class MetricsSettings(AwsSettings):
    """Of a program that serves /metrics on a port of its own."""

    metrics_port: int = Field(0, ge=0, le=65_535)
    """TCP port of /metrics; 0 for none."""
    metrics_host: str = Field("127.0.0.1", min_length=1, max_length=255)
    """Address that /metrics listens on."""


class UploadSettings(AwsSettings):
    """Of a program that takes photographs: what the web tier accepts, a worker must accept too."""

    max_upload_bytes: int = Field(10 * MIB, ge=1024, le=100 * MIB)
    """Largest photograph that is taken, in bytes."""


S = TypeVar("S", bound=BaseModel)


def load(cls: type[S], environ: Mapping[str, str]) -> S:
    """The settings of class `cls` as `environ` gives them; an empty variable counts as unset.

    Raises SettingsError, which names every variable that is missing or wrong, and every `EFACE_*` variable that no
    program reads: a misspelt name would otherwise leave its setting at the default without a word.
    """
    given = {name: value for name, value in environ.items() if value}
    by_field = {name: variable(name, field) for name, field in cls.model_fields.items()}
    problems = variables.complaints(given, variables.KNOWN | frozenset(by_field.values()))
    settings = None
    try:
        settings = cls.model_validate({name: given[key] for name, key in by_field.items() if key in given})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            # A rule over several fields has no place.
            field = str(detail["loc"][0]) if detail["loc"] else ""
            problems.append(f"{by_field.get(field, field)}: {detail['msg']}" if field else detail["msg"])
    if settings is None or problems:
        raise SettingsError("; ".join(problems))
    return settings


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable that sets the field `name`."""
    return field.alias or f"EFACE_{name.upper()}"


def _public(value: object) -> object:
    """A setting without the user, the password and the query of each URL in it, such as a presigned one."""
    if not isinstance(value, str):
        return value
    return re.sub(r"(?<=://)[^\s/?#]*@", "***@", re.sub(r"(://[^\s?]*)\?\S*", r"\1?***", value))
