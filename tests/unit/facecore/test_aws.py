"""The boundary to AWS: every error that botocore has becomes the one of ours that was chosen for it."""

from collections.abc import Iterator

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from facecore import errors
from facecore.aws import MAX_ATTEMPTS, Aws, translated
from facecore.errors import AwsError, FaceError, SettingsError
from facecore.settings import AwsSettings

# Every class of botocore, and what it means to us. A class that a new botocore adds has to be put here first.
MEANINGS = {
    errors.UnavailableError: """
        HTTPClientError ConnectionClosedError ReadTimeoutError ResponseStreamingError ConnectionError
        EndpointConnectionError SSLError ConnectTimeoutError ProxyConnectionError IncompleteReadError
        MetadataRetrievalError ChecksumError FlexibleChecksumError""",
    errors.ThrottledError: "CapacityNotAvailableError",
    errors.AccessError: """
        NoCredentialsError NoAuthTokenError TokenRetrievalError PartialCredentialsError CredentialRetrievalError
        ProfileNotFound RefreshWithMFAUnsupportedError SSOError SSOTokenLoadError UnauthorizedSSOTokenError
        LoginError LoginRefreshRequired LoginInsufficientPermissions LoginTokenLoadError
        LoginAuthorizationCodeError""",
    errors.RefusedError: """
        DataNotFoundError UnknownServiceError UnknownRegionError ApiVersionNotFoundError InvalidIMDSEndpointError
        InvalidIMDSEndpointModeError UnknownTokenProviderError UnknownSignatureVersionError
        ServiceNotInRegionError BaseEndpointResolverError NoRegionError EndpointVariantError UnknownEndpointError
        UnknownFIPSEndpointError ConfigParseError ConfigNotFound MissingParametersError ValidationError
        UnknownKeyError RangeError UnknownParameterError InvalidRegionError AliasConflictParameterError
        ParamValidationError UnknownServiceStyle PaginationError OperationNotPageableError UnseekableStreamError
        WaiterError InvalidExpressionError UnknownCredentialError WaiterConfigError UnknownClientMethodError
        UnsupportedSignatureVersionError InvalidDNSNameError InvalidS3AddressingStyleError UnsupportedS3ArnError
        UnsupportedS3ControlArnError InvalidHostLabelError UnsupportedOutpostResourceError
        UnsupportedS3ConfigurationError UnsupportedS3AccesspointConfigurationError
        InvalidEndpointDiscoveryConfigurationError UnsupportedS3ControlConfigurationError
        InvalidRetryConfigurationError InvalidMaxRetryAttemptsError InvalidRetryModeError
        InvalidS3UsEast1RegionalEndpointConfigError InvalidSTSRegionalEndpointsConfigError StubResponseError
        StubAssertionError UnStubbedResponseError InvalidConfigError InfiniteLoopConfigError MD5UnavailableError
        MissingDependencyException InvalidProxiesConfigError InvalidDefaultsMode AwsChunkedWrapperError
        InvalidEndpointConfigurationError EndpointProviderError EndpointResolutionError
        UnknownEndpointResolutionBuiltInName InvalidChecksumConfigError UnsupportedServiceProtocolsError""",
}
MEANING = {name: meaning for meaning, names in MEANINGS.items() for name in names.split()}


def subclasses(cls: type[boto.BotoCoreError]) -> Iterator[type[boto.BotoCoreError]]:
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


BOTO_ERRORS = sorted(
    {cls for cls in subclasses(boto.BotoCoreError) if cls.__module__ == boto.__name__}, key=lambda cls: cls.__name__
)


def answer(code: str, status: int) -> boto.ClientError:
    response = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(response, "AnyOperation")


def translation(error: Exception) -> AwsError:
    with pytest.raises(AwsError) as caught, translated("try something"):
        raise error
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith("try something: ")
    return caught.value


def test_every_class_of_botocore_has_a_meaning() -> None:
    assert {cls.__name__ for cls in BOTO_ERRORS} == set(MEANING)


@pytest.mark.parametrize("cls", BOTO_ERRORS, ids=lambda cls: cls.__name__)
def test_an_error_without_an_answer_is_translated(cls: type[boto.BotoCoreError]) -> None:
    error = cls.__new__(cls)
    Exception.__init__(error, "why")
    assert type(translation(error)) is MEANING[cls.__name__]


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("RequestLimitExceeded", 503, errors.ThrottledError),
        ("SlowDown", 503, errors.ThrottledError),
        ("ThrottlingException", 400, errors.ThrottledError),
        ("InsufficientInstanceCapacity", 500, errors.CapacityError),
        ("VcpuLimitExceeded", 400, errors.CapacityError),
        ("Unsupported", 400, errors.CapacityError),
        ("AccessDenied", 403, errors.AccessError),
        ("UnauthorizedOperation", 403, errors.AccessError),
        ("ExpiredToken", 400, errors.AccessError),
        ("InvalidSignatureException", 403, errors.AccessError),
        ("403", 403, errors.AccessError),
        ("NoSuchKey", 404, errors.NotFoundError),
        ("NoSuchVersion", 404, errors.NotFoundError),
        ("404", 404, errors.NotFoundError),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, errors.NotFoundError),
        ("InvalidInstanceID.NotFound", 400, errors.NotFoundError),
        ("InternalError", 500, errors.UnavailableError),
        ("RequestTimeout", 400, errors.UnavailableError),
        ("NeverHeardOf", 502, errors.UnavailableError),
        ("", 503, errors.UnavailableError),
        ("InvalidParameterValue", 400, errors.RefusedError),
        ("IncorrectInstanceState", 400, errors.RefusedError),
        ("", 0, errors.RefusedError),
    ],
)
def test_an_answer_is_translated_by_its_code_and_then_by_its_status(
    code: str, status: int, meaning: type[AwsError]
) -> None:
    error = translation(answer(code, status))
    assert type(error) is meaning
    assert error.aws_code == code


def test_an_answer_without_any_detail_is_a_refusal() -> None:
    assert type(translation(boto.ClientError({}, "AnyOperation"))) is errors.RefusedError


def test_an_answer_that_is_not_of_aws_is_unavailable() -> None:
    assert type(translation(ResponseParserError("<html>"))) is errors.UnavailableError


def test_errors_that_are_not_of_aws_pass() -> None:
    with pytest.raises(KeyError), translated("try something"):
        raise KeyError("a bug of ours")


def settings(**fields: str) -> AwsSettings:
    return AwsSettings(**({"id": "test", "endpoint_url": "http://127.0.0.1:9"} | fields))


def test_a_client_is_bounded_in_time_and_attempts() -> None:
    config = Aws(settings()).client("sqs", max_connections=7, read_timeout_s=30).meta.config
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (3, 30, 7)
    assert config.retries["mode"] == "adaptive"
    assert config.retries["total_max_attempts"] == MAX_ATTEMPTS


def test_an_emulator_is_asked_at_its_own_address() -> None:
    client = Aws(settings(region="eu-west-1")).client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:9"
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.config.s3["addressing_style"] == "path"


def test_aws_itself_is_asked_without_an_emulator() -> None:
    client = Aws(AwsSettings(id="test")).client("sqs")
    assert client.meta.endpoint_url == "https://sqs.us-east-1.amazonaws.com"


def test_an_endpoint_without_a_host_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL"):
        Aws(settings(endpoint_url="http://-")).client("sqs")


def test_a_profile_that_does_not_exist_is_an_access_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(errors.AccessError, match="no-such-profile"):
        Aws(settings()).client("sqs")


def test_a_port_without_a_listener_is_unavailable() -> None:
    with pytest.raises(errors.UnavailableError) as caught, translated("list queues"):
        Aws(settings()).client("sqs", read_timeout_s=1).list_queues()
    assert isinstance(caught.value, FaceError)
