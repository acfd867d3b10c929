"""Settings shared by all programs, and the one place that reads them from an environment."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from facecore.errors import SettingsError

# The longest name made of an ID is `<ID>-gallery-bucket`, and S3 takes 63 characters.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_ID_PATTERN = r"^[a-z0-9][a-z0-9-]{1,47}$"


class AwsSettings(BaseModel):
    """What every program knows: which deployment it belongs to and where AWS is.

    A program's own class inherits from this one. A field is read from `EFACE_<FIELD>`, or from the
    variable that its alias names. Instances are frozen. Build them with `load`, once, in `main()`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, use_attribute_docstrings=True)

    id: str = Field(pattern=_ID_PATTERN)
    """`<ID>` of all names: 2 to 48 of a-z, 0-9 and '-', starting with a letter or digit."""
    region: str = Field("us-east-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """AWS region."""
    endpoint_url: str | None = Field(None, alias="AWS_ENDPOINT_URL", pattern=r"^https?://[^\s/]+/?$")
    """Base URL of an AWS emulator; None for AWS itself."""
    log_level: str = Field("info", pattern=r"^(debug|info|warning|error)$")
    """Least severe level that is logged."""

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


S = TypeVar("S", bound=AwsSettings)


def load(cls: type[S], environ: Mapping[str, str]) -> S:
    """The settings of class `cls` as `environ` gives them; an empty variable counts as unset.

    Raises SettingsError, which names every variable that is missing or wrong.
    """
    variables = {name: variable(name, field) for name, field in cls.model_fields.items()}
    given = {name: environ[key] for name, key in variables.items() if environ.get(key)}
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        problems = (
            f"{variables.get(str(detail['loc'][0]), detail['loc'][0])}: {detail['msg']}"
            if detail["loc"]
            else detail["msg"]
            for detail in error.errors(include_url=False)
        )
        raise SettingsError("; ".join(problems)) from error


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable that sets the field `name`."""
    return field.alias or f"EFACE_{name.upper()}"
