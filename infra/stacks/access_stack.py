"""The way out for programs: the profile and identity APIs, their authorizer and their clients."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from constructs import Construct

from infra.constructs.buckets import QUARANTINE_PREFIX, RAW_PREFIX
from infra.constructs.clients import ApiClients
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.layers import Layers
from infra.stacks.analytics_stack import AnalyticsStack
from infra.stacks.ingest_stack import IngestStack
from infra.stacks.storage_stack import StorageStack

PROFILE_ROUTES = ("/v1/profiles/{identifier}", "/v1/profiles/{identifier}/{collection}")
IDENTITY_ROUTES = {
    "GET /v1/identity/explain": "identity.read",
    "GET /v1/identity/graph": "identity.read",
    "GET /v1/identity/decisions": "identity.read",
    "GET /v1/identity/decisions/{decision_id}": "identity.read",
    "POST /v1/identity/preview": "identity.read",
    "POST /v1/identity/decisions": "identity.decide",
}
INSPECT_ROUTES = {
    "GET /v1/trace": "events.read",
    "GET /v1/quarantine": "quarantine.read",
    "GET /v1/quarantine/{entry}": "quarantine.read",
}
REPLAY_ROUTES = {"POST /v1/quarantine/replays": "quarantine.replay"}
QUESTION_TIMEOUT = Duration.seconds(29)  # a question to Athena takes seconds; the gateway waits for 30


class AccessStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        storage: StorageStack,
        *,
        ingest: IngestStack,
        analytics: AnalyticsStack,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(
            scope, construct_id, env=env, description="onefold: profile and identity APIs, and their clients"
        )
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.clients = ApiClients(self, "Clients", foundation)
        self.serve = self._serve(storage)
        self.resolve_function = self._resolve(storage, analytics)
        self.inspect = self._inspect(storage, analytics)
        self.replay = self._replay(storage, ingest, analytics)
        self.api = self._profile_api()

    def _serve(self, storage: StorageStack) -> OnefoldFunction:
        serve = OnefoldFunction(
            self,
            "serve",
            self._foundation,
            description="Answers what is known of a profile",
            layers=self._layers.standard,
            memory_mb=1_024,
            timeout=Duration.seconds(15),
            variables={
                "FRAGMENTS_TABLE_NAME": storage.fragments.name,
                "IDENTITIES_TABLE_NAME": storage.identities.name,
                "HEADS_TABLE_NAME": storage.heads.name,
                "TIMELINE_TABLE_NAME": storage.timeline.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
            },
        )
        storage.fragments.grant_read(serve)
        storage.identities.grant_read(serve)
        storage.heads.grant_read(serve)
        storage.timeline.grant_read(serve)
        storage.definitions.grant_read(serve)
        storage.secret.grant_read(serve)
        return serve

    def _resolve(self, storage: StorageStack, analytics: AnalyticsStack) -> OnefoldFunction:
        resolve = OnefoldFunction(
            self,
            "resolve",
            self._foundation,
            description="Explains identities, and decides about them",
            layers=self._layers.standard,
            memory_mb=1_769,  # one whole virtual CPU: a preview computes for seconds
            timeout=QUESTION_TIMEOUT,
            variables={
                "IDENTITIES_TABLE_NAME": storage.identities.name,
                "HEADS_TABLE_NAME": storage.heads.name,
                "DECISIONS_TABLE_NAME": storage.decisions.name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
                "WORKGROUP_NAME": analytics.workgroup.name,
                "DATABASE_NAME": analytics.catalog.database_name,
            },
        )
        storage.identities.grant_link(resolve)
        storage.heads.grant_link(resolve)
        storage.decisions.grant_decide(resolve)
        storage.definitions.grant_read(resolve)
        storage.secret.grant_read(resolve)
        analytics.workgroup.grant_ask(resolve, tables=("raw_events",))
        storage.lake.grant_query(resolve, RAW_PREFIX)
        return resolve

    def _inspect(self, storage: StorageStack, analytics: AnalyticsStack) -> OnefoldFunction:
        inspect = OnefoldFunction(
            self,
            "inspect",
            self._foundation,
            description="Answers what became of a message, and what the quarantine holds",
            layers=self._layers.standard,
            memory_mb=1_024,
            timeout=QUESTION_TIMEOUT,
            variables={
                "FRAGMENTS_TABLE_NAME": storage.fragments.name,
                "IDENTITIES_TABLE_NAME": storage.identities.name,
                "HEADS_TABLE_NAME": storage.heads.name,
                "TIMELINE_TABLE_NAME": storage.timeline.name,
                "LAKE_BUCKET_NAME": storage.lake.name,
                "WORKGROUP_NAME": analytics.workgroup.name,
                "DATABASE_NAME": analytics.catalog.database_name,
            },
        )
        storage.fragments.grant_read(inspect)
        storage.identities.grant_read(inspect)
        storage.heads.grant_read(inspect)
        storage.timeline.grant_read(inspect)
        storage.lake.grant_query(inspect, RAW_PREFIX, QUARANTINE_PREFIX)
        analytics.workgroup.grant_ask(inspect, tables=("raw_events", "quarantine"))
        return inspect

    def _replay(self, storage: StorageStack, ingest: IngestStack, analytics: AnalyticsStack) -> OnefoldFunction:
        replay = OnefoldFunction(
            self,
            "replay",
            self._foundation,
            description="Repairs refused messages and sends them again",
            layers=self._layers.standard,
            memory_mb=1_024,
            timeout=QUESTION_TIMEOUT,
            variables={
                "STREAM_NAME": ingest.stream.name,
                "SPOOL_BUCKET_NAME": ingest.spool.name,
                "LAKE_BUCKET_NAME": storage.lake.name,
                "WORKGROUP_NAME": analytics.workgroup.name,
                "DATABASE_NAME": analytics.catalog.database_name,
                "DEFINITIONS_TABLE_NAME": storage.definitions.name,
                "DEPLOYMENT_SECRET_ARN": storage.secret.arn,
            },
        )
        storage.lake.grant_query(replay, QUARANTINE_PREFIX)
        storage.lake.grant_mark(replay)
        analytics.workgroup.grant_ask(replay, tables=("quarantine",))
        ingest.stream.grant_append(replay)
        ingest.spool.grant_append(replay)
        storage.definitions.grant_read(replay)
        storage.secret.grant_read(replay)
        return replay

    def _profile_api(self) -> OnefoldHttpApi:
        environment = self._foundation.environment
        api = OnefoldHttpApi(
            self,
            "ProfileApi",
            self._foundation,
            self.serve,
            name=f"onefold-{environment.name}-api",
            description="onefold: profiles and identities",
            requests_per_second=environment.api_requests_per_second,
            burst_requests=environment.api_burst_requests,
        )
        authorizer = HttpJwtAuthorizer(
            "Tokens",
            f"https://cognito-idp.{Aws.REGION}.amazonaws.com/{self.clients.user_pool_id}",
            jwt_audience=[self.clients.client_id],
        )
        for path in PROFILE_ROUTES:
            api.route(path, authorizer=authorizer, scopes=[self.clients.scope("profiles.read")])
        beside = (
            (self.resolve_function, IDENTITY_ROUTES),
            (self.inspect, INSPECT_ROUTES),
            (self.replay, REPLAY_ROUTES),
        )
        for function, routes in beside:
            for route, scope in routes.items():
                api.route_to(function, route, authorizer=authorizer, scopes=[self.clients.scope(scope)])
        return api
