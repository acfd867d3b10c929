"""The one factory of AWS clients, and the one place where botocore's errors become ours."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
from botocore import exceptions as boto
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError

from facecore.errors import (
    AccessError,
    AwsError,
    CapacityError,
    NotFoundError,
    RefusedError,
    SettingsError,
    ThrottledError,
    UnavailableError,
)
from facecore.settings import AwsSettings

# A failing call ends after MAX_ATTEMPTS tries of these lengths and the pauses between them.
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 10
LONG_POLL_S = 20
"""The longest wait that SQS's ReceiveMessage takes."""
MAX_ATTEMPTS = 4
_SERVER_ERROR = 500

_THROTTLED = frozenset(
    "Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException "
    "RequestLimitExceeded TooManyRequestsException SlowDown BandwidthLimitExceeded OverLimit "
    "EC2ThrottledException ProvisionedThroughputExceededException".split()
)
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_CAPACITY = frozenset(
    "InsufficientInstanceCapacity InsufficientHostCapacity InsufficientReservedInstanceCapacity "
    "InsufficientCapacity InsufficientAddressCapacity InsufficientFreeAddressesInSubnet "
    "InstanceLimitExceeded VcpuLimitExceeded MaxSpotInstanceCountExceeded Unsupported".split()
)
_ACCESS = frozenset(
    "AccessDenied AccessDeniedException UnauthorizedOperation AuthFailure InvalidClientTokenId "
    "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken ExpiredTokenException RequestExpired "
    "UnrecognizedClientException InvalidToken MissingAuthenticationToken OptInRequired Blocked 403 "
    "InvalidSignatureException IncompleteSignature RequestTimeTooSkewed InvalidSecurity NotAuthorized".split()
)
_NOT_FOUND = frozenset(
    "NoSuchKey NoSuchVersion NoSuchBucket NoSuchUpload QueueDoesNotExist NonExistentQueue 404 NotFound "
    "AWS.SimpleQueueService.NonExistentQueue InvalidInstanceID.NotFound InvalidAMIID.NotFound "
    "InvalidLaunchTemplateName.NotFoundException InvalidLaunchTemplateId.NotFound "
    "InvalidLaunchTemplateId.VersionNotFound".split()
)
_UNAVAILABLE = frozenset(
    "InternalError InternalFailure InternalServerError ServiceUnavailable Unavailable "
    "RequestTimeout RequestTimeoutException PriorRequestNotComplete".split()
)
_BY_CODE: dict[str, type[AwsError]] = {
    code: error
    for codes, error in (
        (_THROTTLED, ThrottledError),
        (_CAPACITY, CapacityError),
        (_ACCESS, AccessError),
        (_NOT_FOUND, NotFoundError),
        (_UNAVAILABLE, UnavailableError),
    )
    for code in codes
}
_NO_ANSWER = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    boto.MetadataRetrievalError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.ProfileNotFound,
    boto.SSOError,
    boto.LoginError,
    boto.NoAuthTokenError,
    boto.RefreshWithMFAUnsupportedError,
)


@functools.cache
def service_models() -> Loader:
    """botocore's descriptions of AWS's services."""
    # To parse them takes half the time of a first client, so a process does it once.
    return create_loader()


class Aws:
    """Makes clients that retry adaptively, give up in bounded time and share pooled connections.

    Credentials come from boto3's own chain: an instance role on EC2, variables elsewhere. Raises AccessError if that
    chain names a profile that does not exist.
    """

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        with translated("find AWS credentials"):
            session = botocore.session.get_session()
            session.register_component("data_loader", service_models())
            self._session = boto3.Session(botocore_session=session, region_name=settings.region)

    def client(self, service: str, *, max_connections: int = 10, read_timeout_s: float = READ_TIMEOUT_S) -> Any:
        """A client of `service` ("s3", "sqs", "ec2", …), safe to use from several threads.

        A client that long-polls needs a `read_timeout_s` above the poll's length. Raises SettingsError if the
        endpoint's URL names no host.
        """
        emulated = self._settings.endpoint_url is not None
        config = Config(
            # Adaptive: it slows down by itself while AWS throttles.
            retries={"mode": "adaptive", "total_max_attempts": MAX_ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            max_pool_connections=max_connections,
            tcp_keepalive=True,
            # An emulator's host name has no wildcard DNS for a host per bucket.
            s3={"addressing_style": "path" if emulated else "auto"},
        )
        try:
            with translated(f"make a client of {service}"):
                return self._session.client(  # type: ignore[call-overload]
                    service, endpoint_url=self._settings.endpoint_url, config=config
                )
        except ValueError as error:
            raise SettingsError(f"AWS_ENDPOINT_URL: {error}") from error


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns an error of botocore inside into one of ours; `doing` says what was tried on what."""
    try:
        yield
    except boto.ClientError as error:
        raise _of_answer(doing, error) from error
    except boto.BotoCoreError as error:
        raise _without_answer(doing, error) from error
    except ResponseParserError as error:
        raise UnavailableError(f"{doing}: the answer is not one of AWS: {error}") from error


def _of_answer(doing: str, error: boto.ClientError) -> AwsError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    fallback = UnavailableError if status >= _SERVER_ERROR else RefusedError
    return _BY_CODE.get(code, fallback)(f"{doing}: {error}", aws_code=code)


def _without_answer(doing: str, error: boto.BotoCoreError) -> AwsError:
    if isinstance(error, _NO_CREDENTIALS):
        return AccessError(f"{doing}: {error}")
    # The adaptive retries' own brake: it has nothing to do with EC2's capacity.
    if isinstance(error, boto.CapacityNotAvailableError):
        return ThrottledError(f"{doing}: {error}")
    if isinstance(error, _NO_ANSWER):
        return UnavailableError(f"{doing}: {error}")
    return RefusedError(f"{doing}: {error}")
