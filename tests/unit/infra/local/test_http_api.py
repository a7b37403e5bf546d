import base64
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.local.http_api import BODY_BYTES_MAX
from infra.local.runtime import LocalRuntime
from tests.unit.infra.local.small_stacks import function, http_api, runtime_of

ECHO = "def handle(event, context):\n    return event\n"
ANSWER = """
import json
def handle(event, context):
    wanted = json.loads(event["body"])
    if wanted == "raise":
        raise ValueError
    return wanted
"""
SCOPE = "shop/profiles.read"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    routes = {
        "GET /v1/profiles/{identifier}": "echo",
        "GET /v1/profiles/me": "echo",
        "ANY /v1/profiles/{identifier}": "echo",
        "GET /v1/{proxy+}": "echo",
        "POST /answer": "answer",
    }
    resources = {
        **function("echo"),
        **function("answer", Timeout=1),
        **http_api("collector", {"$default": "echo"}),
        **http_api("shop", routes),
        **http_api("private", {"GET /v1/secrets": "echo"}, scopes=[SCOPE]),
    }
    with runtime_of(tmp_path_factory.mktemp("http"), resources, {"echo": ECHO, "answer": ANSWER}) as running:
        yield running


def call(runtime: LocalRuntime, api: str, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, runtime.api_urls[api] + path, **options)


def answered(runtime: LocalRuntime, wanted: Any) -> httpx.Response:
    return call(runtime, "shop", "POST", "/answer", json=wanted)


def test_an_event_has_format_2(runtime: LocalRuntime) -> None:
    headers = [("X-Tag", "a"), ("x-tag", "b"), ("Cookie", "one=1; two=2"), ("User-Agent", "test")]
    path = "/v1/batch%20x?a=1&a=2&b=%C3%A9&empty="
    event = call(runtime, "collector", "POST", path, headers=headers, json={"k": 1}).json()

    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "$default"
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/v1/batch x"
    assert event["rawQueryString"] == "a=1&a=2&b=%C3%A9&empty="
    assert event["queryStringParameters"] == {"a": "1,2", "b": "é", "empty": ""}
    assert event["headers"]["x-tag"] == "a,b"
    assert event["cookies"] == ["one=1", "two=2"]
    assert "cookie" not in event["headers"]
    assert all(name == name.lower() for name in event["headers"])
    assert event["body"] == '{"k":1}'
    assert event["isBase64Encoded"] is False
    assert "pathParameters" not in event
    assert event["requestContext"]["http"] == {
        "method": "POST",
        "path": "/v1/batch x",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test",
    }
    assert event["requestContext"]["stage"] == "$default"
    assert event["requestContext"]["accountId"] == "123456789012"
    assert abs(event["requestContext"]["timeEpoch"] / 1000 - time.time()) < 60


@pytest.mark.parametrize(
    ("content_type", "encoding", "content", "encoded"),
    [
        ("application/json; charset=utf-8", None, b"{}", False),
        ("text/plain;charset=UTF-8", None, "é".encode(), False),
        ("application/vnd.api+json", None, b"{}", False),
        ("application/octet-stream", None, b"plain", True),
        ("application/x-www-form-urlencoded", None, b"a=1", True),
        ("application/json", "gzip", b"\x1f\x8b", True),
        ("application/json", None, b"\xff", True),
        (None, None, b"plain", True),
    ],
)
def test_text_comes_as_text_and_the_rest_in_base64(
    runtime: LocalRuntime, content_type: str | None, encoding: str | None, content: bytes, *, encoded: bool
) -> None:
    given = {"content-type": content_type, "content-encoding": encoding}
    headers = {name: value for name, value in given.items() if value is not None}
    event = call(runtime, "collector", "POST", "/", headers=headers, content=content).json()

    assert event["isBase64Encoded"] is encoded
    assert event["body"] == (base64.b64encode(content).decode() if encoded else content.decode())


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/v1/profiles/me", "GET /v1/profiles/me", None),
        ("GET", "/v1/profiles/email%3Aa%40b", "GET /v1/profiles/{identifier}", {"identifier": "email:a@b"}),
        ("PUT", "/v1/profiles/x", "ANY /v1/profiles/{identifier}", {"identifier": "x"}),
        ("GET", "/v1/profiles/x/events", "GET /v1/{proxy+}", {"proxy": "profiles/x/events"}),
    ],
)
def test_the_most_specific_route_answers(
    runtime: LocalRuntime, method: str, path: str, route: str, parameters: dict[str, str] | None
) -> None:
    event = call(runtime, "shop", method, path).json()

    assert event["routeKey"] == route
    assert event.get("pathParameters") == parameters


@pytest.mark.parametrize(("method", "path"), [("GET", "/other"), ("POST", "/v1/x")])
def test_what_no_route_takes_is_not_found(runtime: LocalRuntime, method: str, path: str) -> None:
    response = call(runtime, "shop", method, path)

    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
    assert response.headers["content-type"] == "application/json"


def test_a_token_opens_the_route_and_its_claims_are_told(runtime: LocalRuntime) -> None:
    headers = {"authorization": f"Bearer {runtime.token([SCOPE, 'other'])}"}
    response = call(runtime, "private", "GET", "/v1/secrets", headers=headers)

    assert response.status_code == 200
    authorizer = response.json()["requestContext"]["authorizer"]["jwt"]
    assert authorizer["claims"]["scope"] == f"{SCOPE} other"
    assert isinstance(authorizer["claims"]["exp"], str)
    assert authorizer["scopes"] == [SCOPE]


@pytest.mark.parametrize("token", ["", "Bearer nonsense", "Bearer {token}", "{token}"])
def test_no_valid_token_is_unauthorized(runtime: LocalRuntime, token: str) -> None:
    valid = runtime.token([SCOPE])
    tampered = valid[:-10] + "AAAAAAAAAA"
    headers = {"authorization": token.format(token=tampered)} if token else {}
    response = call(runtime, "private", "GET", "/v1/secrets", headers=headers)

    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_token_without_the_scope_is_forbidden(runtime: LocalRuntime) -> None:
    headers = {"authorization": f"Bearer {runtime.token(['other'])}"}
    response = call(runtime, "private", "GET", "/v1/secrets", headers=headers)

    assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})


def test_an_expired_token_is_unauthorized(runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"authorization": f"Bearer {runtime.token([SCOPE])}"}
    assert call(runtime, "private", "GET", "/v1/secrets", headers=headers).status_code == 200
    now = time.time()
    monkeypatch.setattr("infra.local.http_authorizer.time.time", lambda: now + 3601)

    assert call(runtime, "private", "GET", "/v1/secrets", headers=headers).status_code == 401


def test_a_result_becomes_a_response(runtime: LocalRuntime) -> None:
    content = base64.b64encode(b"\x00\xff").decode()
    wanted = {
        "statusCode": 202,
        "headers": {"X-Count": 3, "Content-Type": "image/gif"},
        "cookies": ["a=1", "b=2"],
        "body": content,
        "isBase64Encoded": True,
    }
    response = answered(runtime, wanted)

    assert (response.status_code, response.content) == (202, b"\x00\xff")
    assert response.headers["x-count"] == "3"
    assert response.headers["content-type"] == "image/gif"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_result_without_a_status_is_json(runtime: LocalRuntime) -> None:
    response = answered(runtime, {"hello": "world"})

    assert (response.status_code, response.json()) == (200, {"hello": "world"})
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("wanted", ["raise", {"statusCode": "x"}, {"statusCode": 200, "body": {"a": 1}}])
def test_what_fails_in_the_function_is_an_internal_error(runtime: LocalRuntime, wanted: Any) -> None:
    response = answered(runtime, wanted)

    assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})


def test_a_large_body_is_refused(runtime: LocalRuntime) -> None:
    response = call(runtime, "collector", "POST", "/", content=bytes(BODY_BYTES_MAX + 1))

    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})


def test_a_chunked_body_arrives_whole(runtime: LocalRuntime) -> None:
    event = call(
        runtime, "collector", "POST", "/", content=iter([b"one,", b"two"]), headers={"content-type": "text/plain"}
    ).json()

    assert event["body"] == "one,two"


def test_a_large_body_in_chunks_is_refused(runtime: LocalRuntime) -> None:
    chunk = bytes(1024 * 1024)
    response = call(runtime, "collector", "POST", "/", content=(chunk for _ in range(BODY_BYTES_MAX // len(chunk) + 1)))

    assert (response.status_code, response.json()) == (413, {"message": "Request Entity Too Large"})


def test_connections_stay_open_for_the_next_request(runtime: LocalRuntime) -> None:
    address = runtime.api_urls["collector"].removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        for _ in range(2):
            connection.sendall(b"GET /x HTTP/1.1\r\nHost: here\r\n\r\n")
            head, _, rest = connection.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(rest)["headers"]["host"] == "here"


def test_an_api_without_a_permission_to_invoke_cannot(runtime: LocalRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(runtime, "collector", "GET", "/").status_code == 200
    monkeypatch.setattr(runtime.invoker, "_callers", {"echo": {"events.amazonaws.com"}})

    assert call(runtime, "collector", "GET", "/").status_code == 500
