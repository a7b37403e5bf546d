"""What people who run onefold look at: alarms, a dashboard, and where everything is."""

from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, Stack
from aws_cdk import Environment as CdkEnvironment
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.consumers import StreamConsumer
from infra.constructs.dashboard import FlowDashboard
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.work_queue import WorkQueue
from infra.stacks.access_stack import AccessStack
from infra.stacks.activation_stack import ActivationStack
from infra.stacks.analytics_stack import AnalyticsStack
from infra.stacks.ingest_stack import IngestStack
from infra.stacks.profiles_stack import ProfilesStack
from infra.stacks.storage_stack import StorageStack


@dataclass(frozen=True, slots=True)
class Watched:
    """The stacks whose resources are watched and described."""

    storage: StorageStack
    ingest: IngestStack
    profiles: ProfilesStack
    activation: ActivationStack
    analytics: AnalyticsStack
    access: AccessStack

    @property
    def functions(self) -> list[OnefoldFunction]:
        """Every function, in the order in which an event meets them."""
        return [
            self.ingest.collect,
            self.ingest.receive,
            self.ingest.drain,
            self.ingest.import_files,
            self.profiles.stitch,
            self.analytics.archive,
            self.profiles.evaluate,
            self.activation.activate,
            self.activation.deliver,
            self.access.serve,
            self.access.resolve_function,
            self.access.inspect,
            self.access.replay,
        ]

    @property
    def consumers(self) -> list[tuple[OnefoldFunction, list[StreamConsumer]]]:
        return [
            (self.profiles.stitch, [self.profiles.stitch_consumer]),
            (self.analytics.archive, [self.analytics.archive_consumer]),
            (self.profiles.evaluate, self.profiles.evaluate_consumers),
            (self.activation.activate, [self.activation.activate_consumer]),
        ]

    @property
    def apis(self) -> dict[str, OnefoldHttpApi]:
        return {"collector": self.ingest.api, "profile": self.access.api}

    @property
    def queues(self) -> dict[str, WorkQueue]:
        return {
            "spooled": self.ingest.spooled,
            "imports": self.ingest.imports,
            "devices": self.ingest.devices,
            "deliveries": self.activation.deliveries,
        }


class OperationsStack(Stack):
    def __init__(
        self, scope: Construct, construct_id: str, foundation: Foundation, watched: Watched, *, env: CdkEnvironment
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="onefold: alarms, dashboard, description")
        self.alarms = self._alarms(foundation, watched)
        FlowDashboard(
            self,
            "Flow",
            alarms=self.alarms,
            apis=watched.apis,
            stream=watched.ingest.stream,
            functions=watched.functions,
            consumers=[function for function, _ in watched.consumers],
            queues=watched.queues,
        )
        ssm.StringParameter(
            self,
            "Deployment",
            parameter_name=f"/onefold/{foundation.environment.name}/deployment",
            description="onefold: where everything is, for the command line",
            string_value=self.to_json_string(_description(foundation, watched)),
        )

    def _alarms(self, foundation: Foundation, watched: Watched) -> Alarms:
        alarms = Alarms(self, "Alarms", foundation)
        for function in watched.functions:
            alarms.watch_function(function)
        for function, consumers in watched.consumers:
            alarms.watch_consumer(function, consumers)
        for name, queue in watched.queues.items():
            alarms.watch_queue(name, queue)
        for name, api in watched.apis.items():
            alarms.watch_api(name, api)
        alarms.watch_stream(watched.ingest.stream)
        alarms.watch_spool(watched.ingest.spooled)
        alarms.watch_outcomes()
        return alarms


def _description(foundation: Foundation, watched: Watched) -> dict[str, Any]:
    """Collect names and addresses, no secrets; keys as the command line reads them."""
    return {
        "environment": foundation.environment.name,
        "region": Aws.REGION,
        "collector_url": watched.ingest.api.url,
        "api_url": watched.access.api.url,
        "token_url": watched.access.clients.token_url,
        "user_pool_id": watched.access.clients.user_pool_id,
        "user_pool_client_id": watched.access.clients.client_id,
        "stream_name": watched.ingest.stream.name,
        "lake_bucket": watched.storage.lake.name,
        "spool_bucket": watched.ingest.spool.name,
        "bus_name": watched.activation.bus.name,
        "deployment_secret_arn": watched.storage.secret.arn,
        "key_arn": foundation.key.arn,
        "webhook_secrets_prefix": watched.ingest.webhook_secrets.prefix,
        "glue_database": watched.analytics.catalog.database_name,
        "workgroup": watched.analytics.workgroup.name,
        "tables": {name: table.name for name, table in watched.storage.table_by_name.items()},
        "functions": {function.verb: function.name for function in watched.functions},
        "deliveries_dlq_url": watched.activation.deliveries.dead_letters.queue_url,
    }
