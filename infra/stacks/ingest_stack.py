"""The way in: collector API, webhooks, devices, stream, and the spool for when the stream does not answer."""

from aws_cdk import Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.constructs.buckets import IMPORT_INBOX_PREFIX, SPOOL_PREFIX, SpoolBucket
from infra.constructs.consumers import QueueConsumer
from infra.constructs.device_rule import DeviceRule
from infra.constructs.event_stream import EventStream
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.layers import Layers
from infra.constructs.webhook_secrets import WebhookSecrets
from infra.constructs.work_queue import WorkQueue
from infra.stacks.storage_stack import StorageStack

DRAIN_TIMEOUT_S = 60
RECEIVE_TIMEOUT_S = 15
DEVICE_MESSAGES_MAX = 10  # to one invocation: the most that a queue hands over without waiting
DEVICE_CONCURRENCY_MAX = 10
DRAIN_CONCURRENCY_MAX = 2  # what was spooled because the stream is throttled must not throttle it again
IMPORT_TIMEOUT_S = 900  # the most there is; a longer import goes on in another run
IMPORT_CONCURRENCY_MAX = 2  # files are patient, and live traffic shares the stream with them
IMPORT_MEMORY_MB = 1_769  # one whole CPU


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
            description="onefold: collector, webhooks, devices, stream and spool",
            termination_protection=not foundation.environment.data_is_disposable,
        )
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.stream = EventStream(self, "Events", foundation, removable=removable)
        self.spool = SpoolBucket(self, foundation, storage.access_log, removable=removable)
        self.collect = self._collector(storage)
        self.api = self._collector_api()
        self.webhook_secrets = WebhookSecrets(self, "WebhookSecrets", foundation)
        self.devices = WorkQueue(
            self, "Devices", foundation, visibility_timeout=Duration.seconds(6 * RECEIVE_TIMEOUT_S)
        )
        self.device_rule = DeviceRule(self, "DeviceRule", foundation, self.devices)
        self.receive = self._receiver(storage)
        self.spooled = WorkQueue(self, "Spooled", foundation, visibility_timeout=Duration.seconds(6 * DRAIN_TIMEOUT_S))
        self.drain = self._drain()
        self.imports = WorkQueue(self, "Imports", foundation, visibility_timeout=Duration.seconds(6 * IMPORT_TIMEOUT_S))
        self.import_files = self._import_files(storage)

    def _collector(self, storage: StorageStack) -> OnefoldFunction:
        collect = OnefoldFunction(
            self,
            "collect",
            self._foundation,
            description="Authenticates, normalises and validates events, and writes them to the stream",
            layers=self._layers.with_geography(),
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

    def _receiver(self, storage: StorageStack) -> OnefoldFunction:
        """Webhooks and devices have a function of their own: collect starts with less, and has its rate to itself."""
        receive = OnefoldFunction(
            self,
            "receive",
            self._foundation,
            description="Checks webhooks' signatures, and makes events of them and of what devices publish",
            layers=self._layers.with_signatures(),
            memory_mb=1_024,
            timeout=Duration.seconds(RECEIVE_TIMEOUT_S),
            variables={
                "STREAM_NAME": self.stream.name,
                "SPOOL_BUCKET_NAME": self.spool.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
                "WEBHOOK_SECRETS_PREFIX": self.webhook_secrets.prefix,
            },
        )
        self.stream.grant_append(receive)
        self.spool.grant_append(receive)
        storage.definitions.grant_read(receive)
        storage.secret.grant_read(receive)
        self.webhook_secrets.grant_read(receive)
        QueueConsumer(
            receive, self.devices, batch_messages_max=DEVICE_MESSAGES_MAX, concurrency_max=DEVICE_CONCURRENCY_MAX
        )
        self.api.route_open(
            receive,
            "POST /v1/webhooks/{source}",
            reason="The function checks each request's signature, which every provider makes in its own way.",
        )
        return receive

    def _drain(self) -> OnefoldFunction:
        environment = self._foundation.environment
        drain = OnefoldFunction(
            self,
            "drain",
            self._foundation,
            description="Brings spooled events back to the stream",
            layers=self._layers.standard,
            memory_mb=512,
            timeout=Duration.seconds(DRAIN_TIMEOUT_S),
            variables={
                "STREAM_NAME": self.stream.name,
                "SPOOL_BUCKET_NAME": self.spool.name,
                # Each of those that may run side by side gets its part.
                "RECORDS_PER_SECOND_MAX": str(environment.drain_records_per_second // DRAIN_CONCURRENCY_MAX),
                "BYTES_PER_SECOND_MAX": str(environment.drain_bytes_per_second // DRAIN_CONCURRENCY_MAX),
            },
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

    def _import_files(self, storage: StorageStack) -> OnefoldFunction:
        import_files = OnefoldFunction(
            self,
            "import_files",
            self._foundation,
            description="Turns the rows of dropped files into events",
            layers=self._layers.with_columnar(),
            memory_mb=IMPORT_MEMORY_MB,
            timeout=Duration.seconds(IMPORT_TIMEOUT_S),
            variables={
                "STREAM_NAME": self.stream.name,
                "SPOOL_BUCKET_NAME": self.spool.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
                "IMPORTS_QUEUE_URL": self.imports.url,
            },
        )
        self.stream.grant_append(import_files)
        self.spool.grant_import(import_files)
        storage.definitions.grant_read(import_files)
        storage.secret.grant_read(import_files)
        self.imports.add_rule(
            "FilesDropped",
            description="A file to import was dropped",
            pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {"bucket": {"name": [self.spool.name]}, "object": {"key": [{"prefix": IMPORT_INBOX_PREFIX}]}},
            },
        )
        self.imports.grant_requeue(import_files)
        QueueConsumer(import_files, self.imports, batch_messages_max=1, concurrency_max=IMPORT_CONCURRENCY_MAX)
        return import_files
