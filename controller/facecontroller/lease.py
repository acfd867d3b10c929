"""The lease that lets one controller act and makes any other stand by: one object in S3, written conditionally."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from facecore.aws import translated
from facecore.errors import AwsError, UnavailableError
from facecore.logs import get_logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "controller/lease"
"""No photograph can have this name: theirs have no slash, and they are in another bucket."""
TERM_S = 20.0
"""How long a lease holds without being renewed."""
RENEW_S = 10.0
STAND_BY_S = 5.0
"""Time between two looks at another controller's lease."""
MARGIN_S = 2.0
"""How long before its end a lease is no longer relied on, for a call to EC2 that is under way."""
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})

log = get_logger(__name__)


class Lease(Protocol):
    """The right to act."""

    def acquire(self) -> tuple[bool, int]:
        """Takes or renews the lease if that is due.

        Returns whether this controller holds it now, and how many calls to AWS that took.
        """

    def release(self) -> None:
        """Gives the lease up, so that the next controller need not wait; raises AWS errors."""


class NoLease:
    """Always held: for a dry run, which changes nothing."""

    def acquire(self) -> tuple[bool, int]:
        """See Lease."""
        return True, 0

    def release(self) -> None:
        """See Lease."""


class S3Lease:
    """A lease by S3's conditional writes. Only S3's clock tells when it ends, so no two clocks need to agree."""

    def __init__(self, s3: S3Client, bucket: str, owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._owner = owner
        self._clock = clock
        self._etag = ""
        self._ends_at = 0.0
        self._due_at: float | None = None
        self._writes = 0
        self._status = ""

    def acquire(self) -> tuple[bool, int]:
        """See Lease. One call every 10 s while it is held, up to three every 5 s while it is not."""
        now = self._clock()
        if self._due_at is not None and now < self._due_at:
            return self._is_held(now), 0
        renews, calls = bool(self._etag), 1
        try:
            etag = self._put("held", IfMatch=self._etag) if renews else self._put("held", IfNoneMatch="*")
            if etag is None:
                found, calls = self._look(), 2
                # It is ours with another ETag if the answer to a former write was lost. A lease that ended is free, but
                # not to the one that lost it: another controller may have acted meanwhile.
                if found.owner == self._owner or (found.is_over and not renews):
                    etag, calls = self._put("held", IfMatch=found.etag), 3
                elif not renews:
                    self._log_once("standing_by", holder=found.owner)
            if etag is not None:
                # Counted from before the write, which S3 dates later.
                self._etag, self._ends_at, self._due_at = etag, now + TERM_S, now + RENEW_S
                if not renews:
                    self._log_once("lease_taken")
            elif renews:
                self._etag = ""
                self._log_once("lease_lost")
        except AwsError as error:
            self._log_once("lease_failed", code=error.aws_code or type(error).__name__, error=str(error))
        if not self._is_held(now):
            self._etag = ""
            self._due_at = now + STAND_BY_S
        return self._is_held(now), calls

    def release(self) -> None:
        """See Lease."""
        if self._etag:
            self._put("released", IfMatch=self._etag)
            self._etag = ""

    def _is_held(self, now: float) -> bool:
        return bool(self._etag) and now < self._ends_at - MARGIN_S

    def _put(self, status: str, **condition: Any) -> str | None:
        """Writes the object and returns its new ETag; None if the condition did not hold."""
        self._writes += 1
        # The ETag is made of the content, so that no two writes may be alike.
        content = json.dumps({"owner": self._owner, "write": self._writes, "status": status})
        try:
            with translated(f"write the lease {KEY} in {self._bucket}"):
                return self._s3.put_object(
                    Bucket=self._bucket,
                    Key=KEY,
                    Body=content.encode(),
                    Metadata={"owner": self._owner, "status": status},
                    **condition,
                )["ETag"]
        except AwsError as error:
            if error.aws_code in _TAKEN:
                return None
            raise

    def _look(self) -> _Found:
        with translated(f"look at the lease {KEY} in {self._bucket}"):
            answer: Any = self._s3.head_object(Bucket=self._bucket, Key=KEY)
        return _Found(answer)

    def _log_once(self, event: str, **facts: str) -> None:
        if event != self._status:
            self._status = event
            log.info(event, owner=self._owner, **facts)


class _Found:
    """The lease of another controller, or a former one of our own, as S3 describes it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.etag: str = answer["ETag"]
        self.owner: str = answer["Metadata"].get("owner", "")
        written: datetime = answer["LastModified"]
        # Both times are S3's own, so that this host's clock does not matter.
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if told is None:
            raise UnavailableError(f"look at the lease {KEY}: the answer has no date")
        age_s = (parsedate_to_datetime(told) - written).total_seconds()
        self.is_over = answer["Metadata"].get("status") == "released" or age_s > TERM_S
