"""What an HTTP API of API Gateway makes of a request: route, authorizer, event, answer."""

import base64
import json
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from infra.local.assembly import TemplateError
from infra.local.functions import FunctionError, Invoker
from infra.local.http_authorizer import JwtAuthorizer, Refused
from infra.local.template import Resource

PRINCIPAL = "apigateway.amazonaws.com"
_TEXT_TYPES = re.compile(r"text/|application/(json|javascript|xml|[^;]+\+(json|xml))\s*(;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in; header names in lower case, repeated ones one after another."""

    method: str
    target: str  # path and query, still encoded
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str
    port: int


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Route:
    key: str
    method: str  # or ANY
    path: re.Pattern[str]
    precedence: tuple[Any, ...]
    function: str
    authorizer: JwtAuthorizer | None
    scopes: Sequence[str]


def gateway_error(status: int, message: str, *headers: tuple[str, str]) -> Response:
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return Response(status, [("content-type", "application/json"), *headers], body)


class HttpApi:
    """One HTTP API: its routes in API Gateway's order of precedence."""

    def __init__(self, api: Resource, resources: Iterable[Resource], invoker: Invoker, *, account: str) -> None:
        self.name: str = api.properties["Name"]
        self._id = api.ref
        self._account = account
        self._invoker = invoker
        if "CorsConfiguration" in api.properties:
            raise TemplateError(f"{self.name}: the local runtime leaves CORS to the functions")
        own = [resource for resource in resources if resource.properties.get("ApiId") == api.ref]
        by_ref = {(resource.type.rpartition("::")[2], resource.ref): resource for resource in own}
        if {ref for kind, ref in by_ref if kind == "Stage"} != {"$default"}:
            raise TemplateError(f"{self.name}: the local runtime knows the stage $default, and no other")
        routes = [self._route(resource, by_ref) for (kind, _), resource in by_ref.items() if kind == "Route"]
        self.routes = sorted(routes, key=lambda route: route.precedence)

    def _route(self, route: Resource, by_ref: Mapping[tuple[str, str], Resource]) -> Route:
        key = route.properties["RouteKey"]
        method, _, path = ("ANY", "", "/{proxy+}") if key == "$default" else key.partition(" ")
        integration = by_ref["Integration", route.properties["Target"].removeprefix("integrations/")].properties
        if integration["IntegrationType"] != "AWS_PROXY" or integration.get("PayloadFormatVersion") != "2.0":
            raise TemplateError(
                f"{route.logical_id}: the local runtime runs AWS_PROXY integrations of payload format 2.0"
            )
        kind, authorizer = route.properties.get("AuthorizationType", "NONE"), None
        if kind == "JWT":
            authorizer = JwtAuthorizer(by_ref["Authorizer", route.properties["AuthorizerId"]].properties)
        elif kind != "NONE":
            raise TemplateError(f"{route.logical_id}: the local runtime knows authorization JWT and NONE, not {kind}")
        segments = path.split("/")
        ranks = tuple((part.endswith("+}"), part.startswith("{")) for part in segments)
        return Route(
            key=key,
            method=method,
            path=re.compile("/".join(_segment_pattern(part) for part in segments)),
            precedence=(key == "$default", path.endswith("+}"), ranks, method == "ANY"),
            function=self._invoker.name_of(integration["IntegrationUri"]),
            authorizer=authorizer,
            scopes=route.properties.get("AuthorizationScopes", []),
        )

    def answer(self, request: Request) -> Response:
        headers = _joined(request.headers)
        raw_path, _, query = request.target.partition("?")
        # API Gateway decodes the path before it looks at it, and takes what follows a decoded "?" for a query.
        path = unquote(raw_path).partition("?")[0]
        found = self._find(request.method, path)
        if found is None:
            return gateway_error(404, "Not Found")
        route, parameters = found
        try:
            authorized = route.authorizer.authorize(headers, route.scopes) if route.authorizer else None
        except Refused as refusal:
            return gateway_error(refusal.status, refusal.message, ("www-authenticate", refusal.challenge))
        event = self._event(request, headers, path, query, route.key)
        if parameters and route.key != "$default":
            event["pathParameters"] = parameters
        if authorized is not None:
            event["requestContext"]["authorizer"] = {"jwt": authorized}
        try:
            return _response(self._invoker.invoke(route.function, event, principal=PRINCIPAL))
        except (FunctionError, ValueError, TypeError):
            return gateway_error(500, "Internal Server Error")

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        for route in self.routes:
            found = route.path.fullmatch(path)
            if found and route.method in (method, "ANY"):
                return route, found.groupdict()
        return None

    def _event(
        self, request: Request, headers: Mapping[str, str], path: str, query: str, route_key: str
    ) -> dict[str, Any]:
        now = time.time()
        host = headers.get("host", "localhost")
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": route_key,
            "rawPath": path,
            "rawQueryString": query,
            "headers": {
                **{name: value for name, value in headers.items() if name != "cookie"},
                "x-forwarded-for": ", ".join(filter(None, (headers.get("x-forwarded-for"), request.source_ip))),
                "x-forwarded-port": str(request.port),
                "x-forwarded-proto": "http",
            },
            "requestContext": {
                "accountId": self._account,
                "apiId": self._id,
                "domainName": host,
                "domainPrefix": host.partition(".")[0],
                "http": {
                    "method": request.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": request.source_ip,
                    "userAgent": headers.get("user-agent", ""),
                },
                "requestId": uuid.uuid4().hex[:16],
                "routeKey": route_key,
                "stage": "$default",
                "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
                "timeEpoch": int(now * 1000),
            },
            "isBase64Encoded": False,
        }
        if "cookie" in headers:
            event["cookies"] = [cookie.strip() for cookie in headers["cookie"].split(";")]
        if query:
            event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
        if request.body:
            event["body"], event["isBase64Encoded"] = _event_body(headers, request.body)
        return event


def _segment_pattern(segment: str) -> str:
    if not segment.startswith("{"):
        return re.escape(segment)
    name = segment.strip("{+}")
    return f"(?P<{name}>.*)" if segment.endswith("+}") else f"(?P<{name}>[^/]+)"


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        separator = "; " if name == "cookie" else ","
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _event_body(headers: Mapping[str, str], body: bytes) -> tuple[str, bool]:
    """The body as text where its type says that it is text, otherwise in base64."""
    if _TEXT_TYPES.match(headers.get("content-type", "")) and "content-encoding" not in headers:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _response(result: Any) -> Response:
    """A handler's result as an HTTP response; without a status code it is the JSON body of a 200.

    Raises:
        ValueError, TypeError: It has a status code, and something that API Gateway cannot make a response of.
    """
    if not isinstance(result, Mapping) or "statusCode" not in result:
        text = result if isinstance(result, str) else json.dumps(result)
        return Response(200, [("content-type", "application/json")], text.encode())
    headers = [(name.lower(), _header_text(value)) for name, value in (result.get("headers") or {}).items()]
    if all(name != "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    headers += [("set-cookie", cookie) for cookie in result.get("cookies") or []]
    body = result.get("body") or ""
    if not isinstance(body, str):
        raise TypeError("the body of a response is a string")
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    return Response(int(result["statusCode"]), headers, content)


def _header_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
