"""Buckets: one contract, kept by S3 as the emulator has it and by the fake that unit tests use."""

import io
import uuid

import pytest
from facecore.aws import Aws
from facecore.errors import NotFoundError, RefusedError, TooLargeError
from facecore.objects import S3Bucket
from facecore.settings import AwsSettings
from support.fakes.aws import FakeBucket

MIB = 1024 * 1024


@pytest.fixture(params=["s3", "fake"])
def bucket(request: pytest.FixtureRequest) -> S3Bucket | FakeBucket:
    """The same contract twice."""
    if request.param == "fake":
        return FakeBucket("images")
    settings: AwsSettings = request.getfixturevalue("deployment")
    return S3Bucket(Aws(settings).client("s3"), settings.in_bucket)


@pytest.mark.parametrize("key", ["a.jpg", "Zoë & co (1)+%41.jpg", "ünï cödé 人.png", "'quoted\".jpg", "a b"])
def test_what_is_put_is_got(bucket: S3Bucket | FakeBucket, key: str) -> None:
    version = bucket.put(key, b"\x00\xffimage", content_type="image/jpeg", metadata={"request-id": "r1"})
    assert bucket.get(key, version=version, max_bytes=MIB).content == b"\x00\xffimage"


def test_versions_keep_two_uploads_of_a_name_apart(bucket: S3Bucket | FakeBucket) -> None:
    first, second = bucket.put("face.jpg", b"Anna"), bucket.put("face.jpg", b"Bertil")
    assert first != second
    assert bucket.get("face.jpg", version=first, max_bytes=MIB).content == b"Anna"
    assert bucket.get("face.jpg", version=second, max_bytes=MIB).content == b"Bertil"
    assert bucket.get("face.jpg", max_bytes=MIB).content == b"Bertil"


def test_what_is_put_is_downloaded(bucket: S3Bucket | FakeBucket) -> None:
    content = bytes(range(256)) * 10_000
    bucket.put("gallery.npz", content)
    target = io.BytesIO()
    assert bucket.download("gallery.npz", target, max_bytes=len(content)) == bucket.etag("gallery.npz")
    assert target.getvalue() == content
    with pytest.raises(TooLargeError):
        bucket.download("gallery.npz", io.BytesIO(), max_bytes=len(content) - 1)
    with pytest.raises(NotFoundError):
        bucket.download("none.npz", io.BytesIO(), max_bytes=1)


def test_the_etag_changes_with_the_content(bucket: S3Bucket | FakeBucket) -> None:
    bucket.put("gallery.npz", b"one")
    before = bucket.etag("gallery.npz")
    assert bucket.get("gallery.npz", max_bytes=MIB).etag == before
    bucket.put("gallery.npz", b"two")
    assert bucket.etag("gallery.npz") != before


def test_an_object_at_the_limit_is_got_and_over_it_is_not(bucket: S3Bucket | FakeBucket) -> None:
    bucket.put("image", b"12345")
    assert bucket.get("image", max_bytes=5).content == b"12345"
    with pytest.raises(TooLargeError, match="over 4 bytes"):
        bucket.get("image", max_bytes=4)


def test_what_is_not_there_is_not_found(bucket: S3Bucket | FakeBucket) -> None:
    bucket.put("there", b"x")
    with pytest.raises(NotFoundError):
        bucket.get("missing", max_bytes=MIB)
    with pytest.raises(NotFoundError):
        bucket.etag("missing")
    with pytest.raises(NotFoundError):
        bucket.get("there", version=str(uuid.uuid4()), max_bytes=MIB)


def test_a_file_is_put_as_it_is_read(bucket: S3Bucket | FakeBucket) -> None:
    version = bucket.put("big", io.BytesIO(bytes(MIB)))
    assert len(bucket.get("big", version=version, max_bytes=MIB).content) == MIB


def test_type_and_metadata_are_kept(deployment: AwsSettings) -> None:
    s3 = Aws(deployment).client("s3")
    bucket = S3Bucket(s3, deployment.out_bucket)
    bucket.put("a.jpg", b"Anna", content_type="text/plain", metadata={"request-id": "r1"})
    head = s3.head_object(Bucket=bucket.name, Key="a.jpg")
    assert (head["ContentType"], head["Metadata"]) == ("text/plain", {"request-id": "r1"})


def test_a_bucket_that_does_not_exist_is_not_found(deployment: AwsSettings) -> None:
    bucket = S3Bucket(Aws(deployment).client("s3"), "no-such-bucket")
    for call in (bucket.check, lambda: bucket.put("k", b""), lambda: bucket.get("k", max_bytes=1)):
        with pytest.raises(NotFoundError, match="no-such-bucket"):
            call()


def test_a_bucket_that_answers_passes_its_check(bucket: S3Bucket | FakeBucket) -> None:
    bucket.check()


@pytest.mark.parametrize("status", [None, "Suspended"])
def test_a_bucket_without_versions_is_refused(deployment: AwsSettings, status: str | None) -> None:
    s3, name = Aws(deployment).client("s3"), f"plain-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    if status:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    with pytest.raises(RefusedError, match="versioning"):
        S3Bucket(s3, name).put("a.jpg", b"image")
