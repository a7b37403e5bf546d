"""Transitions leave the house: activate publishes what was stored, deliver brings it to destinations."""

from aws_cdk import Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.constructs.consumers import TABLE_RECORD_AGE_MAX, QueueConsumer, StreamConsumer
from infra.constructs.event_bus import DETAIL_TYPES, EVENT_SOURCE, EventBus
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.layers import Layers
from infra.constructs.work_queue import WorkQueue
from infra.stacks.ingest_stack import IngestStack
from infra.stacks.storage_stack import StorageStack

DELIVER_TIMEOUT_S = 60
DELIVER_CONCURRENCY_MAX = 10


class ActivationStack(Stack):
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
        super().__init__(scope, construct_id, env=env, description="onefold: bus, activation and deliveries")
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.bus = EventBus(self, "Bus", foundation)
        self.deliveries = WorkQueue(
            self, "Deliveries", foundation, visibility_timeout=Duration.seconds(6 * DELIVER_TIMEOUT_S)
        )
        self.activate = self._activate(storage)
        self.activate_consumer = StreamConsumer(
            self.activate,
            source_arn=storage.heads.stream_arn,
            set_aside=ingest.spool,
            batch_records_max=100,
            record_age_max=TABLE_RECORD_AGE_MAX,
        )
        self.deliver = self._deliver(storage)

    def _activate(self, storage: StorageStack) -> OnefoldFunction:
        activate = OnefoldFunction(
            self,
            "activate",
            self._foundation,
            description="Publishes the transitions that the heads' stream shows",
            layers=self._layers.standard,
            memory_mb=512,
            timeout=Duration.seconds(60),
            variables={"BUS_NAME": self.bus.name},
        )
        storage.heads.grant_stream_read(activate)
        self.bus.grant_publish(activate)
        return activate

    def _deliver(self, storage: StorageStack) -> OnefoldFunction:
        deliver = OnefoldFunction(
            self,
            "deliver",
            self._foundation,
            description="Sends transitions to destinations",
            layers=self._layers.standard,
            memory_mb=512,
            timeout=Duration.seconds(DELIVER_TIMEOUT_S),
            variables={
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
            },
        )
        storage.definitions.grant_read(deliver)
        storage.secret.grant_read(deliver)
        self.deliveries.add_rule(
            "TransitionsPublished",
            description="Transitions that destinations may want",
            bus_name=self.bus.name,
            pattern={"source": [EVENT_SOURCE], "detail-type": list(DETAIL_TYPES)},
        )
        QueueConsumer(deliver, self.deliveries, batch_messages_max=10, concurrency_max=DELIVER_CONCURRENCY_MAX)
        return deliver
