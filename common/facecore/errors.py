"""The error tree of the whole system.

FaceError                       AwsError marks those that come from AWS (*)
├── PermanentError              asking again gives the same answer
│   ├── SettingsError           a program's configuration is wrong
│   ├── DecodeError             a message that does not follow the contract
│   ├── EncodeError             a message that cannot be written within the contract's limits
│   ├── GalleryError            a gallery that cannot be read or does not fit the model
│   ├── WeightsError            a model's weights cannot be fetched or are not what they should be
│   ├── NotFoundError        * AWS knows no such object, queue, bucket or instance
│   ├── AccessError          * AWS denies the call: credentials or permissions
│   ├── RefusedError         * AWS refused the call for another reason
│   └── InputError              the client's input; `code` is the stable word in its answer
│       ├── MissingFileError    missing_file
│       ├── BadFilenameError    bad_filename
│       ├── TooLargeError       too_large
│       ├── BadImageError       bad_image
│       └── NoFaceError         no_face
└── RetryableError              the same call may succeed later
    ├── UnavailableError     * unavailable: AWS cannot be reached or failed on its side
    │   └── ThrottledError      AWS asks us to slow down
    ├── CapacityError        * EC2 has no machine of this kind in this place now
    ├── DepthUnknownError       a queue's depth could not be read
    ├── OverloadedError         overloaded: too many requests are waiting
    ├── UploadTimeoutError      slow_upload: the client did not send its file in time
    └── ResultTimeoutError      timeout: no result came in time
"""

from typing import ClassVar


class FaceError(Exception):
    """Root of all errors that this project raises on purpose."""


class PermanentError(FaceError):
    """Asking again gives the same answer."""


class RetryableError(FaceError):
    """The same call may succeed later."""


class SettingsError(PermanentError):
    """A program's configuration is wrong; the message names each variable and what it takes."""


class DecodeError(PermanentError):
    """A message that does not follow the contract."""


class EncodeError(PermanentError):
    """A message that cannot be written within the contract's limits."""


class GalleryError(PermanentError):
    """A gallery that cannot be read or does not fit the model."""


class WeightsError(PermanentError):
    """A model's weights cannot be fetched or are not what they should be."""


class AwsError(FaceError):
    """Something that AWS said or failed to say; `aws_code` is its error code, empty if no answer came.

    `facecore.aws.translated` raises its subclasses, each of them permanent or retryable.
    """

    def __init__(self, message: str, aws_code: str = "") -> None:
        super().__init__(message)
        self.aws_code = aws_code


class NotFoundError(AwsError, PermanentError):
    """AWS knows no such object, queue, bucket or instance."""


class AccessError(AwsError, PermanentError):
    """AWS denies the call: credentials are missing, wrong, expired, or lack a permission."""


class RefusedError(AwsError, PermanentError):
    """AWS refused the call for a reason of its own; the message quotes it."""


class InputError(PermanentError):
    """The client's input cannot be processed; `code` is the stable word in its answer."""

    code: ClassVar[str]


class MissingFileError(InputError):
    """The form has no `inputFile`, or it has no name or no content."""

    code = "missing_file"


class BadFilenameError(InputError):
    """The file's name holds control characters, is over 255 bytes long, or names a folder."""

    code = "bad_filename"


class TooLargeError(InputError):
    """The upload is over the limit in bytes."""

    code = "too_large"


class BadImageError(InputError):
    """Not an image that can be decoded, or over the limit in pixels."""

    code = "bad_image"


class NoFaceError(InputError):
    """No face was found on the image."""

    code = "no_face"


class UnavailableError(AwsError, RetryableError):
    """AWS cannot be reached or failed on its side."""

    code = "unavailable"


class ThrottledError(UnavailableError):
    """AWS asks us to slow down."""


class CapacityError(AwsError, RetryableError):
    """EC2 has no machine of this kind in this place now."""


class DepthUnknownError(RetryableError):
    """A queue's depth could not be read, which must never count as zero."""


class OverloadedError(RetryableError):
    """Too many requests are waiting."""

    code = "overloaded"


class UploadTimeoutError(RetryableError):
    """The client did not send its file in time."""

    code = "slow_upload"


class ResultTimeoutError(RetryableError):
    """No result came in time."""

    code = "timeout"


#: Codes that a worker may put into a reply, with the error each stands for.
RESULT_ERRORS: dict[str, type[InputError]] = {cls.code: cls for cls in (TooLargeError, BadImageError, NoFaceError)}
