"""The two ways in over HTTP: one for events, open to every write key, one for profiles, closed without a token."""

import json

from tests.infra.assembly import Assembly, Resource

JWT = "JWT"


def test_the_collector_takes_every_path_at_the_root_of_its_host(prod: Assembly) -> None:
    api = _api(prod, "onefold-prod-collector")
    integrations = {each.logical_id: each for each in _of_api(prod, api, "AWS::ApiGatewayV2::Integration")}

    answered_by = {}
    for route in _of_api(prod, api, "AWS::ApiGatewayV2::Route"):
        integration = integrations[route.properties["Target"]["Fn::Join"][1][1]["Ref"]]
        answered_by[route.properties["RouteKey"]] = prod.readable(integration.properties["IntegrationUri"])
        assert route.properties.get("AuthorizationType", "NONE") == "NONE"
        assert "AuthorizerId" not in route.properties
    assert answered_by == {"$default": "CollectFunction", "POST /v1/webhooks/{source}": "ReceiveFunction"}
    assert "CorsConfiguration" not in api.properties  # the function answers; a gateway's CORS would answer before it


ROUTES = {
    "GET /v1/profiles/{identifier}": ("serve", "onefold/profiles.read"),
    "GET /v1/profiles/{identifier}/{collection}": ("serve", "onefold/profiles.read"),
    "GET /v1/identity/explain": ("resolve", "onefold/identity.read"),
    "GET /v1/identity/graph": ("resolve", "onefold/identity.read"),
    "GET /v1/identity/decisions": ("resolve", "onefold/identity.read"),
    "GET /v1/identity/decisions/{decision_id}": ("resolve", "onefold/identity.read"),
    "POST /v1/identity/preview": ("resolve", "onefold/identity.read"),
    "POST /v1/identity/decisions": ("resolve", "onefold/identity.decide"),
    "GET /v1/trace": ("inspect", "onefold/events.read"),
    "GET /v1/quarantine": ("inspect", "onefold/quarantine.read"),
    "GET /v1/quarantine/{entry}": ("inspect", "onefold/quarantine.read"),
    "POST /v1/quarantine/replays": ("replay", "onefold/quarantine.replay"),
}


def test_each_route_of_the_profile_api_has_its_function_and_its_scope(prod: Assembly) -> None:
    api = _api(prod, "onefold-prod-api")
    integrations = {each.logical_id: each for each in _of_api(prod, api, "AWS::ApiGatewayV2::Integration")}

    found = {}
    for route in _of_api(prod, api, "AWS::ApiGatewayV2::Route"):
        integration = integrations[route.properties["Target"]["Fn::Join"][1][1]["Ref"]]
        verb = prod.readable(integration.properties["IntegrationUri"]).removesuffix("Function").lower()
        (scope,) = route.properties["AuthorizationScopes"]
        found[route.properties["RouteKey"]] = (verb, scope)
        assert route.properties["AuthorizationType"] == JWT
        assert prod.readable(route.properties["AuthorizerId"]) == "ProfileApiTokens"

    assert found == ROUTES


def test_tokens_come_from_the_user_pool_for_its_client(prod: Assembly) -> None:
    (authorizer,) = prod.resources("AWS::ApiGatewayV2::Authorizer")
    jwt = authorizer.properties["JwtConfiguration"]

    assert authorizer.properties["IdentitySource"] == ["$request.header.Authorization"]
    assert prod.readable(jwt["Issuer"]) == "https://cognito-idp.{AWS::Region}.amazonaws.com/ClientsPool"
    assert [prod.readable(audience) for audience in jwt["Audience"]] == ["ClientsPoolClient"]


def test_only_programs_get_tokens(prod: Assembly) -> None:
    pool = prod.named("ClientsPool", "AWS::Cognito::UserPool").properties
    client = prod.named("ClientsPoolClient", "AWS::Cognito::UserPoolClient").properties
    server = prod.named("ClientsPoolServer", "AWS::Cognito::UserPoolResourceServer").properties

    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert client["AllowedOAuthFlows"] == ["client_credentials"]
    assert client["GenerateSecret"] is True
    assert server["Identifier"] == "onefold"
    scopes = [f"onefold/{scope['ScopeName']}" for scope in server["Scopes"]]
    assert set(scopes) == {scope for _, scope in ROUTES.values()}
    assert [prod.readable(scope) for scope in client["AllowedOAuthScopes"]] == [
        scope.replace("onefold", "ClientsPoolServer", 1) for scope in scopes
    ]


def test_stages_throttle_and_log_without_paths_and_queries(prod: Assembly) -> None:
    stages = list(prod.resources("AWS::ApiGatewayV2::Stage"))

    assert len(stages) == 2
    for stage in stages:
        assert stage.properties["StageName"] == "$default"
        assert stage.properties["AutoDeploy"] is True
        assert stage.properties["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
        logged = set(json.loads(stage.properties["AccessLogSettings"]["Format"]).values())
        assert {"$context.status", "$context.requestId"} <= logged
        assert not logged & {"$context.path", "$context.requestOverride.path", "$context.identity.sourceIp"}
        assert not prod.readable(stage.properties["AccessLogSettings"]["DestinationArn"]).endswith("*")


def _api(assembly: Assembly, name: str) -> Resource:
    (api,) = (api for api in assembly.resources("AWS::ApiGatewayV2::Api") if api.properties["Name"] == name)
    return api


def _of_api(assembly: Assembly, api: Resource, kind: str) -> list[Resource]:
    found = [
        resource for resource in assembly.resources(kind) if resource.properties["ApiId"] == {"Ref": api.logical_id}
    ]
    assert found
    return found
