"""An HTTP API at the root of its host: stage, access log and throttling decided once."""

import json
from collections.abc import Sequence

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_authorizers import HttpJwtAuthorizer
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation
from infra.constructs.function import OnefoldFunction, log_retention

# No query string and no path: both may carry identifiers.
ACCESS_LOG_FORMAT = {
    "request_id": "$context.requestId",
    "requested_at": "$context.requestTimeEpoch",
    "method": "$context.httpMethod",
    "route": "$context.routeKey",
    "status": "$context.status",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "integration_error": "$context.integrationErrorMessage",
    "request_bytes": "$context.requestLength",
    "response_bytes": "$context.responseLength",
}


class OnefoldHttpApi(Construct):
    """One API, for one function unless a route names another.

    The stage is `$default`, so paths begin at the host's root, where tracking libraries expect them.
    """

    def __init__(  # noqa: PLR0913 - scope and id, which every construct has, leave room for too few
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        function: OnefoldFunction,
        *,
        name: str,
        description: str,
        requests_per_second: int,
        burst_requests: int,
    ) -> None:
        super().__init__(scope, construct_id)
        self._beside: dict[str, HttpLambdaIntegration] = {}
        self._integration = HttpLambdaIntegration(f"{construct_id}Integration", function.function)
        self.api = apigateway.HttpApi(self, "Api", api_name=name, description=description, create_default_stage=False)
        self.log_group = logs.LogGroup(
            self,
            "AccessLog",
            retention=log_retention(foundation.environment.log_keep_days),
            encryption_key=foundation.key.key,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.stage = apigateway.CfnStage(
            self,
            "Stage",
            api_id=self.api.api_id,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=requests_per_second, throttling_burst_limit=burst_requests
            ),
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=self._access_log_arn, format=json.dumps(ACCESS_LOG_FORMAT)
            ),
        )

    @property
    def _access_log_arn(self) -> str:
        """ARN without the `:*` that CloudFormation's own attribute ends in and API Gateway refuses."""
        return Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=self.log_group.log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    @property
    def url(self) -> str:
        """https://… without a slash at the end."""
        return self.api.api_endpoint

    def route_everything(self, *, reason: str) -> None:
        """Send every method and path to the function, open to anyone; `reason` says what protects it instead."""
        route = apigateway.HttpRoute(
            self, "Default", http_api=self.api, route_key=apigateway.HttpRouteKey.DEFAULT, integration=self._integration
        )
        acknowledge(route, "AwsSolutions-APIG4", reason)

    def route_open(self, function: OnefoldFunction, route: str, *, reason: str) -> None:
        """Send requests of `route`, as "POST /v1/webhooks/{source}", to a function beside the API's own.

        It is open to anyone; `reason` says what protects it instead.
        """
        method, _, path = route.partition(" ")
        added = apigateway.HttpRoute(
            self,
            function.verb.capitalize(),
            http_api=self.api,
            route_key=apigateway.HttpRouteKey.with_(path, apigateway.HttpMethod(method)),
            integration=HttpLambdaIntegration(f"{function.verb.capitalize()}Integration", function.function),
        )
        acknowledge(added, "AwsSolutions-APIG4", reason)

    def route(self, path: str, *, authorizer: HttpJwtAuthorizer, scopes: Sequence[str]) -> None:
        """Send GET requests of `path` to the function if their token carries one of `scopes`."""
        self.api.add_routes(
            path=path,
            methods=[apigateway.HttpMethod.GET],
            integration=self._integration,
            authorizer=authorizer,
            authorization_scopes=list(scopes),
        )

    def route_to(
        self, function: OnefoldFunction, route: str, *, authorizer: HttpJwtAuthorizer, scopes: Sequence[str]
    ) -> None:
        """Send requests of `route`, as "GET /v1/trace", to a function beside the API's own, if their token may."""
        method, _, path = route.partition(" ")
        if function.verb not in self._beside:
            integration = HttpLambdaIntegration(f"{function.verb.capitalize()}Integration", function.function)
            self._beside[function.verb] = integration
        self.api.add_routes(
            path=path,
            methods=[apigateway.HttpMethod(method)],
            integration=self._beside[function.verb],
            authorizer=authorizer,
            authorization_scopes=list(scopes),
        )
