"""The two ways in over HTTP: one for events, open to every write key, one for profiles, closed without a token."""

import json

from tests.infra.assembly import Assembly, Resource

JWT = "JWT"


def test_the_collector_takes_every_path_at_the_root_of_its_host(prod: Assembly) -> None:
    api = _api(prod, "onefold-prod-collector")
    (route,) = _of_api(prod, api, "AWS::ApiGatewayV2::Route")
    (integration,) = _of_api(prod, api, "AWS::ApiGatewayV2::Integration")

    assert route.properties["RouteKey"] == "$default"
    assert route.properties.get("AuthorizationType", "NONE") == "NONE"
    assert "AuthorizerId" not in route.properties
    assert "CorsConfiguration" not in api.properties  # the function answers; a gateway's CORS would answer before it
    assert prod.readable(integration.properties["IntegrationUri"]) == "CollectFunction"


def test_profiles_are_read_with_the_scope_for_it(prod: Assembly) -> None:
    routes = _of_api(prod, _api(prod, "onefold-prod-api"), "AWS::ApiGatewayV2::Route")

    assert {route.properties["RouteKey"] for route in routes} == {
        "GET /v1/profiles/{identifier}",
        "GET /v1/profiles/{identifier}/{collection}",
    }
    for route in routes:
        assert route.properties["AuthorizationType"] == JWT
        assert route.properties["AuthorizationScopes"] == ["onefold/profiles.read"]
        assert prod.readable(route.properties["AuthorizerId"]) == "ProfileApiTokens"


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
    assert [scope["ScopeName"] for scope in server["Scopes"]] == ["profiles.read"]


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
