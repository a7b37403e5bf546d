"""The way in: collector API, stream, and the spool for when the stream does not answer."""

from aws_cdk import Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.constructs.buckets import SPOOL_PREFIX, SpoolBucket
from infra.constructs.consumers import QueueConsumer
from infra.constructs.event_stream import EventStream
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.layers import Layers
from infra.constructs.work_queue import WorkQueue
from infra.stacks.storage_stack import StorageStack

DRAIN_TIMEOUT_S = 60
DRAIN_CONCURRENCY_MAX = 2  # what was spooled because the stream is throttled must not throttle it again


class IngestStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        storage: StorageStack,
        *,
        removable: bool,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            description="onefold: collector, stream and spool",
            termination_protection=not foundation.environment.data_is_disposable,
        )
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.stream = EventStream(self, "Events", foundation, removable=removable)
        self.spool = SpoolBucket(self, foundation, storage.access_log, removable=removable)
        self.collect = self._collector(storage)
        self.api = self._collector_api()
        self.spooled = WorkQueue(self, "Spooled", foundation, visibility_timeout=Duration.seconds(6 * DRAIN_TIMEOUT_S))
        self.drain = self._drain()

    def _collector(self, storage: StorageStack) -> OnefoldFunction:
        collect = OnefoldFunction(
            self,
            "collect",
            self._foundation,
            description="Authenticates, normalises and validates events, and writes them to the stream",
            layers=self._layers.standard,
            memory_mb=1_024,
            timeout=Duration.seconds(15),
            variables={
                "STREAM_NAME": self.stream.name,
                "SPOOL_BUCKET_NAME": self.spool.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
            },
        )
        self.stream.grant_append(collect)
        self.spool.grant_append(collect)
        storage.definitions.grant_read(collect)
        storage.secret.grant_read(collect)
        return collect

    def _collector_api(self) -> OnefoldHttpApi:
        environment = self._foundation.environment
        api = OnefoldHttpApi(
            self,
            "CollectorApi",
            self._foundation,
            self.collect,
            name=f"onefold-{environment.name}-collector",
            description="onefold: where sources send their events",
            requests_per_second=environment.collector_requests_per_second,
            burst_requests=environment.collector_burst_requests,
        )
        api.route_everything(
            reason="The function checks each source's write key, which tracking libraries send in ways that no "
            "gateway authorizer reads: as Basic user, in the body, in the query of a pixel."
        )
        return api

    def _drain(self) -> OnefoldFunction:
        drain = OnefoldFunction(
            self,
            "drain",
            self._foundation,
            description="Brings spooled events back to the stream",
            layers=self._layers.standard,
            memory_mb=512,
            timeout=Duration.seconds(DRAIN_TIMEOUT_S),
            variables={"STREAM_NAME": self.stream.name, "SPOOL_BUCKET_NAME": self.spool.name},
        )
        self.stream.grant_append(drain)
        self.spool.grant_drain(drain)
        self.spooled.add_rule(
            "EventsSpooled",
            description="Events were spooled because the stream would not take them",
            pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": [self.spool.name]}, "object": {"key": [{"prefix": SPOOL_PREFIX}]}},
            },
        )
        QueueConsumer(drain, self.spooled, batch_messages_max=1, concurrency_max=DRAIN_CONCURRENCY_MAX)
        return drain
