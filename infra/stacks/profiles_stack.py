"""Events become profiles: stitch folds them into fragments and links them, evaluate keeps the heads' memberships."""

from aws_cdk import Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from constructs import Construct

from infra.constructs.consumers import TABLE_RECORD_AGE_MAX, StreamConsumer
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.layers import Layers
from infra.stacks.activation_stack import ActivationStack
from infra.stacks.ingest_stack import IngestStack
from infra.stacks.storage_stack import StorageStack


class ProfilesStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        storage: StorageStack,
        ingest: IngestStack,
        *,
        activation: ActivationStack,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="onefold: fragments, identities and heads")
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.stitch = self._stitch(storage, activation)
        self.stitch_consumer = self._follow_events(ingest)
        self.evaluate = self._evaluate(storage)
        self.evaluate_consumers = self._follow_profiles(storage, ingest)

    def _stitch(self, storage: StorageStack, activation: ActivationStack) -> OnefoldFunction:
        stitch = OnefoldFunction(
            self,
            "stitch",
            self._foundation,
            description="Folds events into fragments and links their identifiers",
            layers=self._layers.standard,
            memory_mb=1_769,  # one whole virtual CPU
            timeout=Duration.seconds(120),
            variables={
                "FRAGMENTS_TABLE_NAME": storage.fragments.name,
                "IDENTITIES_TABLE_NAME": storage.identities.name,
                "HEADS_TABLE_NAME": storage.heads.name,
                "TIMELINE_TABLE_NAME": storage.timeline.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "LAKE_BUCKET_NAME": storage.lake.name,
                "BUS_NAME": activation.bus.name,
            },
        )
        storage.fragments.grant_fold(stitch)
        storage.identities.grant_link(stitch)
        storage.heads.grant_link(stitch)
        storage.timeline.grant_append(stitch)
        storage.definitions.grant_read(stitch)
        storage.lake.grant_quarantine(stitch)
        activation.bus.grant_publish(stitch)
        return stitch

    def _follow_events(self, ingest: IngestStack) -> StreamConsumer:
        ingest.stream.grant_follow(self.stitch)
        return StreamConsumer(
            self.stitch,
            source_arn=ingest.stream.arn,
            set_aside=ingest.spool,
            batch_records_max=1_000,
            window=Duration.seconds(1),
            parallelization=self._foundation.environment.stitch_parallelization,
        )

    def _evaluate(self, storage: StorageStack) -> OnefoldFunction:
        evaluate = OnefoldFunction(
            self,
            "evaluate",
            self._foundation,
            description="Evaluates traits and audiences of changed profiles",
            layers=self._layers.standard,
            memory_mb=1_024,
            timeout=Duration.seconds(60),
            variables={
                "FRAGMENTS_TABLE_NAME": storage.fragments.name,
                "IDENTITIES_TABLE_NAME": storage.identities.name,
                "HEADS_TABLE_NAME": storage.heads.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
            },
        )
        storage.fragments.grant_read(evaluate)
        storage.identities.grant_read(evaluate)
        storage.heads.grant_evaluate(evaluate)
        storage.definitions.grant_read(evaluate)
        return evaluate

    def _follow_profiles(self, storage: StorageStack, ingest: IngestStack) -> list[StreamConsumer]:
        """Follow the fragments' changes, and the heads', since a merge changes a profile without any fragment."""
        consumers = []
        for construct_id, table in (("FragmentsConsumer", storage.fragments), ("HeadsConsumer", storage.heads)):
            table.grant_stream_read(self.evaluate)
            consumer = StreamConsumer(
                self.evaluate,
                source_arn=table.stream_arn,
                set_aside=ingest.spool,
                batch_records_max=100,
                window=Duration.seconds(1),
                record_age_max=TABLE_RECORD_AGE_MAX,
                construct_id=construct_id,
            )
            consumers.append(consumer)
        return consumers
