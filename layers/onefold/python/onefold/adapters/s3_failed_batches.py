"""Batches that an event-source mapping gave up: Lambda's objects in the spool bucket."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from onefold.adapters.aws_requests import passing_failures
from onefold.domain.errors import BodyInvalid
from onefold.use_cases.redrive import FailedBatch, FailedRecord

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX: Final = "aws/lambda/"  # chosen by Lambda
MARKS_PREFIX: Final = "aws/lambda/redriven/"  # of ours, so that marks expire with what they are about


class S3FailedBatches:
    """`FailedBatches` below `aws/lambda/` of a bucket."""

    def __init__(self, client: "S3Client", bucket_name: str, verb_by_function: Mapping[str, str]) -> None:
        """Take the bucket, and what each deployed function is called in the code."""
        self._client, self._bucket_name, self._verbs = client, bucket_name, verb_by_function

    def keys(self) -> Iterator[str]:
        """Every batch that was set aside and has not expired, in the order of their names.

        Raises:
            Unavailable: S3 is throttling, failing or out of reach.
        """
        with passing_failures("S3"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket_name, Prefix=PREFIX):
                for found in page.get("Contents", []):
                    if not found["Key"].startswith(MARKS_PREFIX):
                        yield found["Key"]

    def load(self, key: str) -> FailedBatch:
        """One batch, with its records.

        Raises:
            BodyInvalid: The object is none of Lambda's.
            Unavailable: As `keys`.
        """
        with passing_failures("S3"):
            body = self._client.get_object(Bucket=self._bucket_name, Key=key)["Body"].read()
        try:
            return self._parse(key, json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BodyInvalid("failed_batch_unreadable", f"{key} is no batch that Lambda set aside") from error

    def _parse(self, key: str, document: Mapping[str, Any]) -> FailedBatch:
        name = document["requestContext"]["functionArn"].rpartition(":function:")[2].partition(":")[0]
        batch = document.get("KinesisBatchInfo")
        records = json.loads(document["payload"])["Records"]
        return FailedBatch(
            key=key,
            function=self._verbs.get(name, name),
            function_name=name,
            condition=document["requestContext"]["condition"],
            shard=(batch or document["DDBStreamBatchInfo"])["shardId"],
            failed_at=document["timestamp"],
            records=tuple(_record(record) for record in records) if batch is not None else (),
            changes=() if batch is not None else tuple(records),
        )


def _record(record: Mapping[str, Any]) -> FailedRecord:
    kinesis = record["kinesis"]
    return FailedRecord(
        shard=record["eventID"].partition(":")[0],
        sequence=kinesis["sequenceNumber"],
        partition_key=kinesis["partitionKey"],
        arrived_at_ms=round(float(kinesis["approximateArrivalTimestamp"]) * 1_000),
        data=base64.b64decode(kinesis["data"], validate=True),
    )
