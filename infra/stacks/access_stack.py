"""The way out for programs: the profile and identity APIs, their authorizer and their clients."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from aws_cdk.aws_apigatewayv2 import HttpMethod
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from constructs import Construct

from infra.constructs.clients import DECIDE_IDENTITY, READ_IDENTITY, READ_PROFILES, ApiClients
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.layers import Layers
from infra.stacks.analytics_stack import AnalyticsStack
from infra.stacks.storage_stack import StorageStack

PROFILE_ROUTES = ("/v1/profiles/{identifier}", "/v1/profiles/{identifier}/{collection}")
IDENTITY_ROUTES = (
    (HttpMethod.GET, "/v1/identity/explain", READ_IDENTITY),
    (HttpMethod.GET, "/v1/identity/graph", READ_IDENTITY),
    (HttpMethod.GET, "/v1/identity/decisions", READ_IDENTITY),
    (HttpMethod.GET, "/v1/identity/decisions/{decision_id}", READ_IDENTITY),
    (HttpMethod.POST, "/v1/identity/preview", READ_IDENTITY),
    (HttpMethod.POST, "/v1/identity/decisions", DECIDE_IDENTITY),
)


class AccessStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        storage: StorageStack,
        analytics: AnalyticsStack,
        *,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(
            scope, construct_id, env=env, description="onefold: profile and identity APIs, and their clients"
        )
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.clients = ApiClients(self, "Clients", foundation)
        self.serve = self._serve(storage)
        self.resolve_function = self._resolve_function(storage, analytics)
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

    def _resolve_function(self, storage: StorageStack, analytics: AnalyticsStack) -> OnefoldFunction:
        resolve = OnefoldFunction(
            self,
            "resolve",
            self._foundation,
            description="Explains identities, and decides about them",
            layers=self._layers.standard,
            memory_mb=1_769,  # one whole virtual CPU: a preview computes for seconds
            timeout=Duration.seconds(29),  # the API gives up after 30
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
        analytics.workgroup.grant_ask(resolve)
        analytics.catalog.grant_describe(resolve, "raw_events")
        storage.lake.grant_query(resolve)
        return resolve

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
            api.route(path, authorizer=authorizer, scopes=[self.clients.scope(READ_PROFILES)])
        for method, path, scope in IDENTITY_ROUTES:
            scopes = [self.clients.scope(scope)]
            api.route(path, authorizer=authorizer, scopes=scopes, method=method, function=self.resolve_function)
        return api
