"""The spool: a folder of a bucket in which batches wait until the stream takes them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from onefold.adapters.compression import pack, unpack
from onefold.domain.errors import StreamUnavailable, Unavailable
from onefold.use_cases.collect import KeyedBatch

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "spool/"
UNPACKED_BYTES_MAX: Final = 64 * 1_024 * 1_024
_GONE: Final = frozenset(["NoSuchKey", "404"])


class S3Spool:
    """A `Spool` in a bucket. One object holds what one request could not append."""

    def __init__(self, connect: Callable[[], "S3Client"], bucket_name: str) -> None:
        """Take a way to get a client: most collectors never spool, and making one for S3 costs 50 ms of CPU."""
        self._connect = connect
        self._bucket_name = bucket_name

    def append(self, batches: Sequence[KeyedBatch], *, received_at: int) -> None:
        """Keep the batches in one object, named by its content, so that a repeated write is the same object.

        Raises:
            StreamUnavailable: The bucket did not take it either.
        """
        body = pack(list(batches))
        hour = datetime.fromtimestamp(received_at / 1_000, UTC).strftime("%Y/%m/%d/%H")
        key = f"{PREFIX}{hour}/{received_at}-{blake2b(body, digest_size=16).hexdigest()}"
        try:
            self._connect().put_object(Bucket=self._bucket_name, Key=key, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise StreamUnavailable("Neither the stream nor the spool takes events") from error

    def load(self, key: str) -> list[KeyedBatch] | None:
        """Read one object; None where there is none any more.

        Raises:
            BodyInvalid: The object is none of the spool's.
            Unavailable: The bucket does not answer.
        """
        try:
            body = self._connect().get_object(Bucket=self._bucket_name, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise Unavailable("The spool cannot be read") from error
        except BotoCoreError as error:
            raise Unavailable("The spool cannot be read") from error
        return unpack(body, list[KeyedBatch], bytes_max=UNPACKED_BYTES_MAX)

    def delete(self, key: str) -> None:
        """Forget one object, there or not.

        Raises:
            Unavailable: The bucket does not answer.
        """
        try:
            self._connect().delete_object(Bucket=self._bucket_name, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("The spool cannot be emptied") from error
