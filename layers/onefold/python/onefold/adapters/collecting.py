"""What collecting stands on: the stream, the spool for when it does not answer, and what is declared, cached."""

import random
import time
from functools import cache
from typing import Final

import boto3
from botocore.config import Config

from onefold.adapters.defined_plans import DefinedPlans
from onefold.adapters.defined_rules import defined_rules
from onefold.adapters.defined_sources import DefinedSources
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.maxmind_geography import open_geography
from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.s3_spool import S3Spool
from onefold.adapters.user_agents import read_user_agent
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.source import sources_by_write_key
from onefold.use_cases.collect import Collector

# A client that waits 10 s sends again, so a dependency that hangs is given up soon; the spool takes over.
QUICK: Final = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


def build_collector(
    *, stream_name: str, spool_bucket_name: str, definitions_table_name: str, deployment_secret_arn: str
) -> Collector:
    """Connect to the deployment's parts.

    Raises:
        Unavailable: The deployment's secret cannot be read.
    """
    definitions = DynamoDbDefinitions(boto3.client("dynamodb", config=QUICK), definitions_table_name)
    sources = CachedDefinitions(lambda: definitions.load_current("source"), sources_by_write_key, now=time.monotonic)
    secret = load_deployment_secret(boto3.client("secretsmanager", config=QUICK), deployment_secret_arn)
    stream = boto3.client("kinesis", config=QUICK)
    connect_s3 = cache(lambda: boto3.client("s3", config=QUICK))
    return Collector(
        sources=DefinedSources(sources),
        log=KinesisEventLog(stream, stream_name, sleep=time.sleep, jitter=random.random),
        spool=S3Spool(connect_s3, spool_bucket_name),
        hasher=IdentifierHasher(secret),
        phone=read_e164,
        rules=defined_rules(definitions, now=time.monotonic),
        plans=DefinedPlans(definitions, now=time.monotonic),
        read_user_agent=read_user_agent,
        locate=open_geography(),
    )
