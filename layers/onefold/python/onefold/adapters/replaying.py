"""What a replay stands on: the collector as live messages meet it, and the quarantine."""

import random
import time
from dataclasses import replace

import boto3

from onefold.adapters.athena_history import AthenaHistory
from onefold.adapters.aws_requests import client_config
from onefold.adapters.collecting import declared_collectors
from onefold.adapters.compression import unpack
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.maxmind_geography import open_geography
from onefold.adapters.s3_marks import REPLAYS_PREFIX, S3Marks
from onefold.adapters.s3_spool import S3Spool
from onefold.adapters.sources_by_name import SourcesByName
from onefold.adapters.user_agents import read_user_agent
from onefold.domain.event import EventBatch
from onefold.domain.identifier import IdentifierHasher
from onefold.use_cases.quarantine import Replayer


def build_replayer(
    *,
    stream_name: str,
    spool_bucket_name: str,
    lake_bucket_name: str,
    workgroup_name: str,
    database_name: str,
    definitions_table_name: str,
    deployment_secret_arn: str,
) -> Replayer:
    """Connect to the deployment's parts.

    Raises:
        Unavailable: The deployment's secret cannot be read.
    """
    s3, dynamodb = boto3.client("s3", config=client_config()), boto3.client("dynamodb", config=client_config())
    athena, kinesis = boto3.client("athena", config=client_config()), boto3.client("kinesis", config=client_config())
    definitions = DynamoDbDefinitions(dynamodb, definitions_table_name)
    sources = SourcesByName(lambda: definitions.load_current("source"))
    secret = load_deployment_secret(boto3.client("secretsmanager"), deployment_secret_arn)
    collector = declared_collectors(definitions, IdentifierHasher(secret))(
        sources,
        KinesisEventLog(kinesis, stream_name, sleep=time.sleep, jitter=random.random),
        S3Spool(lambda: s3, spool_bucket_name),
    )
    return Replayer(
        entries=AthenaHistory(athena, workgroup_name, database_name),
        marks=S3Marks(lambda: s3, lake_bucket_name, REPLAYS_PREFIX),
        sources=sources,
        collector=replace(collector, read_user_agent=read_user_agent, locate=open_geography()),
        unpack_record=lambda data: unpack(data, EventBatch),
    )
