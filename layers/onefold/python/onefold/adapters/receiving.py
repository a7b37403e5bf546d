"""The use case `receive` on AWS: every adapter that it needs, connected."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import boto3
from botocore.config import Config

from onefold.adapters.collecting import declared_collectors
from onefold.adapters.defined_mappings import DefinedMappings
from onefold.adapters.defined_sources import DefinedSources
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.adapters.ecdsa_signature import verify_p256
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.s3_spool import S3Spool
from onefold.adapters.ssm_webhook_secrets import SsmWebhookSecrets
from onefold.adapters.user_agents import read_user_agent
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.source import DEFINITION_KIND as SOURCE
from onefold.domain.source import sources_by_write_key
from onefold.domain.webhook_mapping import DEFINITION_KIND as MAPPING
from onefold.domain.webhook_mapping import payload_mappings
from onefold.use_cases.receive import Receiver

# Providers wait 5 to 30 s for an answer; a dependency that hangs is given up before, and the spool takes over.
QUICK = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


def connect_receiver(
    *,
    stream_name: str,
    spool_bucket_name: str,
    definitions_table_name: str,
    deployment_secret_arn: str,
    webhook_secrets_prefix: str,
    inflate: Callable[[bytes], bytes],
) -> Receiver:
    """Connect; reads the deployment's secret, and nothing else until something comes.

    Raises:
        Unavailable: The secret cannot be read.
    """
    table = DynamoDbDefinitions(boto3.client("dynamodb", config=QUICK), definitions_table_name)
    by_key = CachedDefinitions(lambda: table.load_current(SOURCE), sources_by_write_key, now=time.monotonic)
    mappings = CachedDefinitions(lambda: table.load_current(MAPPING), payload_mappings, now=time.monotonic)
    hasher = IdentifierHasher(
        load_deployment_secret(boto3.client("secretsmanager", config=QUICK), deployment_secret_arn)
    )
    stream = boto3.client("kinesis", config=QUICK)
    log = KinesisEventLog(stream, stream_name, sleep=time.sleep, jitter=random.random)
    connect_s3 = cache(lambda: boto3.client("s3", config=QUICK))
    sources = DefinedSources(by_key)
    secrets = SsmWebhookSecrets(boto3.client("ssm", config=QUICK), webhook_secrets_prefix, now=time.monotonic)
    collector = declared_collectors(table, hasher)(sources, log, S3Spool(connect_s3, spool_bucket_name))
    return Receiver(
        collector=replace(collector, read_user_agent=read_user_agent),
        sources=sources,
        secrets=secrets,
        mappings=DefinedMappings(mappings),
        verify_ecdsa=verify_p256,
        inflate=inflate,
    )
