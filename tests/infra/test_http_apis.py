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


def test_each_route_asks_for_its_scope_and_leads_to_its_function(prod: Assembly) -> None:
    api = _api(prod, "onefold-prod-api")
    routes = _of_api(prod, api, "AWS::ApiGatewayV2::Route")
    functions = {
        integration.logical_id: prod.readable(integration.properties["IntegrationUri"])
        for integration in _of_api(prod, api, "AWS::ApiGatewayV2::Integration")
    }

    assert {
        route.properties["RouteKey"]: (
            functions[route.properties["Target"]["Fn::Join"][1][1]["Ref"]],
            *route.properties["AuthorizationScopes"],
        )
        for route in routes
    } == {
        "GET /v1/profiles/{identifier}": ("ServeFunction", "onefold/profiles.read"),
        "GET /v1/profiles/{identifier}/{collection}": ("ServeFunction", "onefold/profiles.read"),
        "GET /v1/identity/explain": ("ResolveFunction", "onefold/identity.read"),
        "GET /v1/identity/graph": ("ResolveFunction", "onefold/identity.read"),
        "GET /v1/identity/decisions": ("ResolveFunction", "onefold/identity.read"),
        "GET /v1/identity/decisions/{decision_id}": ("ResolveFunction", "onefold/identity.read"),
        "POST /v1/identity/preview": ("ResolveFunction", "onefold/identity.read"),
        "POST /v1/identity/decisions": ("ResolveFunction", "onefold/identity.decide"),
    }
    for route in routes:
        assert route.properties["AuthorizationType"] == JWT
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
    assert [scope["ScopeName"] for scope in server["Scopes"]] == ["profiles.read", "identity.read", "identity.decide"]


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
