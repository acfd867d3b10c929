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
"""Time between two looks at another one's lease."""
MARGIN_S = 2.0
"""How long before its end a lease is no longer relied on, for a call to EC2 that is under way."""
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})

log = get_logger(__name__)


class Lease(Protocol):
    """The right to act."""

    def acquire(self) -> tuple[bool, int]:
        """Whether it is ours now, and how many calls to AWS it took to know."""

    def release(self) -> None:
        """Gives it up, so that the next controller need not wait; raises AWS errors."""


class NoLease:
    """Always ours: for a dry run, which changes nothing."""

    def acquire(self) -> tuple[bool, int]:
        """See Lease."""
        return True, 0

    def release(self) -> None:
        """Nothing."""


class S3Lease:
    """A lease by S3's conditional writes. Its end is told by S3's clock alone, so no two clocks need to agree."""

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
        """See Lease. One call every 10 s while it is ours, up to three every 5 s while it is not."""
        now = self._clock()
        if self._due_at is not None and now < self._due_at:
            return self._is_ours(now), 0
        calls = 1
        try:
            if self._etag:
                self._renew(now)
            else:
                calls = self._take(now)
        except AwsError as error:
            self._say("lease_failed", code=error.aws_code or type(error).__name__, error=str(error))
        if not self._is_ours(now):
            self._etag = ""
            self._due_at = now + STAND_BY_S
        return self._is_ours(now), calls

    def release(self) -> None:
        """See Lease."""
        if self._etag:
            self._put("released", IfMatch=self._etag)
            self._etag = ""

    def _is_ours(self, now: float) -> bool:
        return bool(self._etag) and now < self._ends_at - MARGIN_S

    def _renew(self, now: float) -> None:
        etag = self._put("held", IfMatch=self._etag)
        if etag is None and (found := self._look()).owner == self._owner:
            # The answer to a former write was lost: the object is ours all the same.
            etag = self._put("held", IfMatch=found.etag)
        if etag is None:
            self._etag = ""
            self._say("lease_lost")
            return
        self._hold(etag, now)

    def _take(self, now: float) -> int:
        etag, calls = self._put("held", IfNoneMatch="*"), 1
        if etag is None:
            found, calls = self._look(), 2
            if not (found.is_over or found.owner == self._owner):
                self._say("standing_by", holder=found.owner)
                return calls
            etag, calls = self._put("held", IfMatch=found.etag), 3
        if etag is not None:
            self._hold(etag, now)
            self._say("lease_taken")
        return calls

    def _hold(self, etag: str, now: float) -> None:
        # Counted from before the write, which S3 dates later.
        self._etag, self._ends_at, self._due_at = etag, now + TERM_S, now + RENEW_S

    def _put(self, status: str, **condition: Any) -> str | None:
        """The object's new ETag; None where the condition did not hold."""
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

    def _say(self, event: str, **facts: str) -> None:
        if event != self._status:
            self._status = event
            log.info(event, owner=self._owner, **facts)


class _Found:
    """Another one's lease, or a former one of our own, as S3 describes it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.etag: str = answer["ETag"]
        self.owner: str = answer["Metadata"].get("owner", "")
        written: datetime = answer["LastModified"]
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if told is None:
            raise UnavailableError(f"look at the lease {KEY}: the answer has no date")
        age_s = (parsedate_to_datetime(told) - written).total_seconds()
        self.is_over = answer["Metadata"].get("status") == "released" or age_s > TERM_S
