"""Marks in S3: small objects written under the state that was read."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.exceptions import ClientError

from onefold.adapters.aws_requests import error_code, passing_failures
from onefold.domain.errors import VersionConflict
from onefold.domain.quarantine import Mark

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REPLAYS_PREFIX: Final = "quarantine/replays/"  # beside the table's days, and gone with them
_GONE: Final = frozenset(["NoSuchKey", "404"])
_LOST: Final = frozenset(["PreconditionFailed", "ConditionalRequestConflict", "412", "409"])
_decode = msgspec.json.Decoder(Mark).decode


class S3Marks:
    """`Marks` below a prefix of a bucket. The tag is S3's ETag."""

    def __init__(self, connect: "Callable[[], S3Client]", bucket_name: str, prefix: str) -> None:
        self._connect, self._bucket_name, self._prefix = connect, bucket_name, prefix

    def load(self, name: str) -> tuple[Mark, str] | None:
        """The mark and its tag; None where there is none.

        Raises:
            Unavailable: S3 is throttling, failing or out of reach.
        """
        try:
            with passing_failures("S3"):
                answer = self._connect().get_object(Bucket=self._bucket_name, Key=self._prefix + name)
        except ClientError as error:
            if error_code(error) in _GONE:
                return None
            raise
        return _decode(answer["Body"].read()), answer["ETag"]

    def store(self, name: str, mark: Mark, *, after: str) -> str:
        """Write it if the stored one's tag is still `after`; returns the new tag.

        Raises:
            VersionConflict: Somebody else wrote first.
            Unavailable: As `load`.
        """
        condition: dict[str, Any] = {"IfMatch": after} if after else {"IfNoneMatch": "*"}
        try:
            with passing_failures("S3"):
                answer = self._connect().put_object(
                    Bucket=self._bucket_name, Key=self._prefix + name, Body=msgspec.json.encode(mark), **condition
                )
        except ClientError as error:
            if error_code(error) in _LOST | _GONE:
                raise VersionConflict("Another writer changed the mark") from error
            raise
        return answer["ETag"]
