"""Quarantine of single stream records, for functions without pyarrow: the whole record as JSON, beside the table."""

import base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from onefold.adapters.aws_requests import passing_failures
from onefold.domain.event import Refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Quarantine:
    """`quarantine/records/` of the lake bucket: outside the folders that the table `quarantine` reads as Parquet.

    The archive reads the same stream and shows the same refusals in that table; here they lie under the name of the
    function that could not use them, ready to be repaired and sent again.
    """

    def __init__(self, connect: "Callable[[], S3Client]", bucket_name: str) -> None:
        """Take how to get a client: few sandboxes ever need it, and making one costs tens of milliseconds."""
        self._connect, self._bucket_name = connect, bucket_name

    def keep(self, refusals: Iterable[Refusal]) -> None:
        """Keep each under its message id; the same again overwrites.

        Raises:
            Unavailable: Not all were kept.
        """
        for refusal in refusals:
            document = msgspec.structs.asdict(refusal) | {
                "body": base64.b64encode(refusal.body).decode(),
                "envelope": refusal.envelope.decode(),
            }
            day = datetime.fromtimestamp(refusal.received_at / 1_000, UTC).strftime("dt=%Y-%m-%d")
            key = f"quarantine/records/{refusal.component}/{day}/{refusal.message_id}.json"
            with passing_failures("S3"):
                self._connect().put_object(Bucket=self._bucket_name, Key=key, Body=msgspec.json.encode(document))
