"""The way out for programs: the profile API, its authorizer and its clients."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import Environment as CdkEnvironment
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from constructs import Construct

from infra.constructs.clients import ApiClients
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.layers import Layers
from infra.stacks.storage_stack import StorageStack

ROUTES = ("/v1/profiles/{identifier}", "/v1/profiles/{identifier}/{collection}")


class AccessStack(Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        storage: StorageStack,
        *,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(scope, construct_id, env=env, description="onefold: profile API and its clients")
        self._foundation = foundation
        self._layers = Layers(self, "Layers", foundation)
        self.clients = ApiClients(self, "Clients", foundation)
        self.serve = self._serve(storage)
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

    def _profile_api(self) -> OnefoldHttpApi:
        environment = self._foundation.environment
        api = OnefoldHttpApi(
            self,
            "ProfileApi",
            self._foundation,
            self.serve,
            name=f"onefold-{environment.name}-api",
            description="onefold: profiles",
            requests_per_second=environment.api_requests_per_second,
            burst_requests=environment.api_burst_requests,
        )
        authorizer = HttpJwtAuthorizer(
            "Tokens",
            f"https://cognito-idp.{Aws.REGION}.amazonaws.com/{self.clients.user_pool_id}",
            jwt_audience=[self.clients.client_id],
        )
        for path in ROUTES:
            api.route(path, authorizer=authorizer, scopes=[self.clients.read_profiles])
        return api
