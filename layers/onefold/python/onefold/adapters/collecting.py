"""What collecting stands on: the stream, the spool for when it does not answer, and what is declared, cached."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
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
from onefold.use_cases.collect import Collector, EventLog, Sources, Spool

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
    collector = declared_collectors(definitions, IdentifierHasher(secret))(
        DefinedSources(sources),
        KinesisEventLog(stream, stream_name, sleep=time.sleep, jitter=random.random),
        S3Spool(connect_s3, spool_bucket_name),
    )
    return replace(collector, read_user_agent=read_user_agent, locate=open_geography())


def declared_collectors(
    definitions: DynamoDbDefinitions, hasher: IdentifierHasher
) -> Callable[[Sources, EventLog, Spool], Collector]:
    """Collectors that judge by what is declared, cached once for all of them. Every way in takes its own from here.

    They enrich nothing; what knows user agents or places is put in by whoever has messages of browsers.
    """
    rules, plans = defined_rules(definitions, now=time.monotonic), DefinedPlans(definitions, now=time.monotonic)

    def collector(sources: Sources, log: EventLog, spool: Spool) -> Collector:
        return Collector(
            sources=sources, log=log, spool=spool, hasher=hasher, phone=read_e164, rules=rules, plans=plans
        )

    return collector
