"""A versioned bucket: put, get, and a check whether an object changed. `S3Bucket` is the one on AWS."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from facecore.aws import translated
from facecore.errors import RefusedError, TooLargeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's content and the ETag that changes with it."""

    content: bytes
    etag: str


class Bucket(Protocol):
    """What the programs use of a bucket. Every method raises the AWS errors of `facecore.errors`."""

    name: str

    def put(
        self,
        key: str,
        content: bytes | IO[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Stores `content` under `key` and returns its version id.

        Raises RefusedError if the bucket is not versioned, since two uploads of a name would mix.
        """

    def get(self, key: str, *, max_bytes: int, version: str | None = None) -> StoredObject:
        """The object's content; raises NotFoundError, or TooLargeError over `max_bytes`."""

    def download(self, key: str, target: IO[bytes], *, max_bytes: int) -> str:
        """Writes the object's content to `target` and returns its ETag.

        Raises NotFoundError, or TooLargeError over `max_bytes`, and OSError if `target` takes no more.
        """

    def etag(self, key: str) -> str:
        """The object's ETag; raises NotFoundError."""

    def check(self) -> None:
        """Raises unless the bucket exists and answers."""


class S3Bucket:
    """A bucket of S3, by name. See Bucket."""

    def __init__(self, client: S3Client, name: str) -> None:
        self._client = client
        self.name = name

    def put(
        self,
        key: str,
        content: bytes | IO[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """See Bucket."""
        with translated(f"store {key!r} in the bucket {self.name}"):
            answer = self._client.put_object(
                Bucket=self.name,
                Key=key,
                Body=content,
                ContentType=content_type,
                Metadata=dict(metadata or {}),
            )
        version = answer.get("VersionId")
        # "null" is the version of everything in a bucket whose versioning is suspended.
        if not version or version == "null":
            raise RefusedError(f"the bucket {self.name} is not versioned; turn its versioning on")
        return version

    def get(self, key: str, *, max_bytes: int, version: str | None = None) -> StoredObject:
        """See Bucket."""
        which = {} if version is None else {"VersionId": version}
        with translated(f"get {key!r} from the bucket {self.name}"):
            answer = self._client.get_object(Bucket=self.name, Key=key, **which)  # type: ignore[arg-type]
            with answer["Body"] as body:
                # Before it is read: the limit protects this process's memory.
                if answer["ContentLength"] > max_bytes:
                    raise TooLargeError(f"{key!r} in the bucket {self.name} is over {max_bytes} bytes")
                return StoredObject(content=body.read(), etag=answer["ETag"])

    def download(self, key: str, target: IO[bytes], *, max_bytes: int) -> str:
        """See Bucket."""
        with translated(f"get {key!r} from the bucket {self.name}"):
            answer = self._client.get_object(Bucket=self.name, Key=key)
            with answer["Body"] as body:
                if answer["ContentLength"] > max_bytes:
                    raise TooLargeError(f"{key!r} in the bucket {self.name} is over {max_bytes} bytes")
                shutil.copyfileobj(body, target, _CHUNK_BYTES)
                return answer["ETag"]

    def etag(self, key: str) -> str:
        """See Bucket."""
        with translated(f"look at {key!r} in the bucket {self.name}"):
            return self._client.head_object(Bucket=self.name, Key=key)["ETag"]

    def check(self) -> None:
        """See Bucket."""
        with translated(f"look at the bucket {self.name}"):
            self._client.head_bucket(Bucket=self.name)
