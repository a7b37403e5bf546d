"""Brings back the batches that the stream's consumers gave up, with the rights of who calls it."""

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, RenderableType

from cli.deployment import Deployment
from cli.render import answer_view
from onefold.adapters.event_records import read_records
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.lambda_functions import LambdaFunctions
from onefold.adapters.s3_failed_batches import MARKS_PREFIX, S3FailedBatches
from onefold.adapters.s3_lake import S3Lake
from onefold.adapters.s3_marks import S3Marks
from onefold.adapters.s3_spool import S3Spool
from onefold.domain.event import Refusal
from onefold.use_cases.redrive import FailedRecord, Redriven, Redriver
from onefold.use_cases.stitch import StreamRecord

COMPONENT: Final = "redrive"


def redrive_batches(deployment: Deployment, *, function: str, look_only: bool, force: bool) -> Iterator[Redriven]:
    """Look at every batch that was set aside, oldest name first, or bring each back.

    Args:
        deployment: Where they are.
        function: Only what this function gave up; all if empty.
        look_only: Tell what there is, and do nothing.
        force: Also what was brought back before.

    Raises:
        BodyInvalid: An object below `aws/lambda/` is no batch.
        Unavailable: A store did not answer; what was not told of is as it was.
    """
    batches, redriver = _redriver(deployment)
    request_id = f"redrive-{uuid.uuid4().hex[:12]}"
    for key in batches.keys():  # noqa: SIM118 - not a mapping
        found = redriver.look(key)
        if function and found.function != function:
            continue
        is_open = found.status == "waiting" or (force and found.status == "already_redriven")
        if not look_only and is_open:
            found = redriver.redrive(key, now=round(time.time() * 1_000), request_id=request_id, force=force)
        yield found


def _redriver(deployment: Deployment) -> tuple[S3FailedBatches, Redriver]:
    about, s3 = deployment.description, deployment.client("s3")
    batches = S3FailedBatches(s3, about.spool_bucket, {name: verb for verb, name in about.functions.items()})
    log = KinesisEventLog(deployment.client("kinesis"), about.stream_name, sleep=time.sleep, jitter=random.random)
    marks = S3Marks(lambda: s3, about.spool_bucket, MARKS_PREFIX)
    spool = S3Spool(lambda: s3, about.spool_bucket)
    # A local instance has its functions in its own process, out of the reach of other commands.
    functions = LambdaFunctions(deployment.client("lambda")) if deployment.instance is None else None
    return batches, Redriver(batches, marks, log, spool, S3Lake(s3, about.lake_bucket), _read, functions)


def _read(records: Sequence[FailedRecord]) -> tuple[list[StreamRecord], list[Refusal]]:
    return read_records(records, component=COMPONENT)


def redrive_view(console: Console, found: Sequence[Redriven]) -> RenderableType:
    rows = [
        (
            each.failed_at,
            each.function,
            each.status,
            str(each.records),
            str(each.events),
            str(each.unreadable),
            each.key,
        )
        for each in found
    ]
    return answer_view(console, ("given up", "by", "status", "records", "events", "unreadable", "object"), rows)
