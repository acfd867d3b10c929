"""The one object of S3 that the controller's lease is, written conditionally; as S3's client has it."""

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ReadTimeoutError

from support.fakes.aws import Journal
from support.fakes.clock import Clock
from support.fakes.ec2_parts import LOST_ANSWER, refusal


class FakeLeaseBucket:
    """S3's client, as far as the lease uses it. `tests/integration` checks the lease against an emulator."""

    def __init__(self, clock: Clock, journal: Journal | None = None) -> None:
        self._clock = clock
        self._journal = journal or Journal()
        self._object: dict[str, Any] | None = None
        self.faults: list[str] = []
        self.tells_date = True

    def put_object(self, **request: Any) -> dict[str, Any]:
        self._journal.begin("put_object")
        fault = self.faults.pop(0) if self.faults else ""
        if fault and fault != LOST_ANSWER:
            raise refusal(fault, "PutObject")
        etag = self._object["ETag"] if self._object else None
        if ("IfNoneMatch" in request and etag) or request.get("IfMatch", etag) != etag:
            raise refusal("PreconditionFailed", "PutObject")
        etag = f'"{hashlib.md5(request["Body"], usedforsecurity=False).hexdigest()}"'
        self._object = {"ETag": etag, "Metadata": request["Metadata"], "LastModified": self._now()}
        self._journal.end("put_object")
        if fault:
            raise ReadTimeoutError(endpoint_url="http://s3.test")
        return {"ETag": etag}

    def head_object(self, **_request: Any) -> dict[str, Any]:
        self._journal.begin("head_object")
        if self.faults and self.faults.pop(0) not in ("", LOST_ANSWER):
            raise refusal("ServiceUnavailable", "HeadObject")
        if self._object is None:
            raise refusal("404", "HeadObject")
        self._journal.end("head_object")
        headers = {"date": format_datetime(self._now(), usegmt=True)} if self.tells_date else {}
        return {**self._object, "ResponseMetadata": {"HTTPHeaders": headers}}

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock.now_s), UTC)
