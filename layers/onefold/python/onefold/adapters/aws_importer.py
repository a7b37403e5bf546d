"""The use case `import_files` on AWS's services."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import boto3

from onefold.adapters.aws_requests import client_config
from onefold.adapters.collecting import declared_collectors
from onefold.adapters.defined_imports import DefinedImports
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.s3_imports import S3ImportStore
from onefold.adapters.sqs_queue import SqsQueue
from onefold.adapters.table_files import KnownTableFiles
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.import_file import Import
from onefold.domain.source import Source
from onefold.use_cases.import_batch import Way
from onefold.use_cases.import_files import Importer, ImportRequest

# Before a run's time is over: a batch with six waits for the stream takes 16 s.
MARGIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class AwsImporter:
    """An importer, and the queue to which it gives what is left."""

    importer: Importer
    queue: SqsQueue

    def run(self, request: ImportRequest, remaining_ms: Callable[[], int]) -> Import | None:
        """Work on an import until it is done or the function's time is nearly over."""
        return replace(self.importer, out_of_time=lambda: remaining_ms() < MARGIN_MS).run(request)


def connect(*, stream_name: str, bucket_name: str, table_name: str, secret_arn: str, queue_url: str) -> AwsImporter:
    """Connect to the resources of these names."""
    config = client_config()
    definitions = DynamoDbDefinitions(boto3.client("dynamodb", config=config), table_name)
    defined = DefinedImports(definitions)
    hasher = IdentifierHasher(load_deployment_secret(boto3.client("secretsmanager", config=config), secret_arn))
    log = KinesisEventLog(boto3.client("kinesis", config=config), stream_name, sleep=time.sleep, jitter=random.random)
    collector = declared_collectors(definitions, hasher)

    def way(source: Source) -> Way:
        return Way(log, source, collector, _now_ms, time.sleep)

    importer = Importer(
        store=S3ImportStore(boto3.client("s3", config=config), bucket_name),
        files=KnownTableFiles(),
        find_mapping=defined.find_mapping,
        find_source=defined.find_source,
        way=way,
        now_ms=_now_ms,
        out_of_time=lambda: False,
    )
    return AwsImporter(importer, SqsQueue(boto3.client("sqs", config=config), queue_url))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
