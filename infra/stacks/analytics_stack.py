"""The history: archive writes it as Parquet, Glue describes it, Athena answers SQL over it."""

from aws_cdk import Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.constructs.buckets import RAW_PREFIX, REBUILT_PREFIX
from infra.constructs.consumers import StreamConsumer
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.lake_catalog import LakeCatalog
from infra.constructs.layers import Layers
from infra.constructs.query_workgroup import QueryWorkgroup
from infra.constructs.spark_job import SparkJob
from infra.stacks.ingest_stack import IngestStack
from infra.stacks.storage_stack import StorageStack


class AnalyticsStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        storage: StorageStack,
        ingest: IngestStack,
        *,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="onefold: history in Parquet, catalog and queries")
        self.archive = self._archive(foundation, storage)
        ingest.stream.grant_follow(self.archive)
        self.archive_consumer = StreamConsumer(
            self.archive,
            source_arn=ingest.stream.arn,
            set_aside=ingest.spool,
            batch_records_max=10_000,
            window=Duration.seconds(60),
        )
        self.catalog = LakeCatalog(self, "Catalog", foundation, storage.lake)
        self.workgroup = QueryWorkgroup(self, "Workgroup", foundation, storage.lake, self.catalog)
        self.rebuild_profiles = self._rebuild_profiles(foundation, storage)

    def _rebuild_profiles(self, foundation: Foundation, storage: StorageStack) -> SparkJob:
        job = SparkJob(
            self,
            "rebuild_profiles",
            foundation,
            description="Rebuilds fragments, heads and identities from the history, beside the live tables",
            arguments={
                "--source": f"s3://{storage.lake.name}/{RAW_PREFIX}",
                "--target": f"s3://{storage.lake.name}/{REBUILT_PREFIX}profiles",
                "--definitions-table": storage.definitions.name,
                "--decisions-table": storage.decisions.name,
            },
        )
        storage.lake.grant_rebuild(job)
        storage.definitions.grant_read(job)
        storage.decisions.grant_replay(job)
        return job

    def _archive(self, foundation: Foundation, storage: StorageStack) -> OnefoldFunction:
        archive = OnefoldFunction(
            self,
            "archive",
            foundation,
            description="Writes events to the lake as Parquet",
            layers=Layers(self, "Layers", foundation).with_columnar(),
            memory_mb=2_048,  # a batch of 6 MB, decompressed, as Python values and again as Arrow columns
            timeout=Duration.seconds(300),
            variables={"LAKE_BUCKET_NAME": storage.lake.name},
        )
        storage.lake.grant_archive(archive)
        return archive
