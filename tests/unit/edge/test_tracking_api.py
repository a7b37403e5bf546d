import base64
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest

from onefold.domain.errors import BodyInvalid, PayloadTooLarge, StreamUnavailable, Unauthorized
from onefold.domain.parcel import BODY_BYTES_MAX
from onefold.domain.source import Source
from onefold.edge.tracking_answers import refuse
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import inflate, parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import RECEIVED_AT, http_request

KEY = "key-of-web"
MESSAGE = {"type": "track", "event": "Product Viewed", "userId": "u1", "messageId": "m1"}
ALL_ACCEPTED = {"success": True, "accepted": 1, "repeated": 0, "quarantined": 0, "suppressed": 0}
ORIGIN = {"origin": "https://shop.example"}


class Api:
    def __init__(self) -> None:
        self.log = MemoryEventLog()
        sources = KnownSources(Source("web", KEY, kind="browser"), Source("old", "key-of-old", enabled=False))
        self.collector = Collector(sources, self.log, MemorySpool(), HASHER, lambda text, region: None)

    def answer(self, event: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        try:
            answer = respond(parse_tracking_request(event), lambda: self.collector).answer
        except Exception as error:  # noqa: BLE001 - as the handler's outermost edge does
            answer = refuse(event, error)
        return answer["statusCode"], answer["headers"], json.loads(answer["body"]) if answer["body"] else None


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.mark.parametrize(
    "route", ["track", "identify", "page", "screen", "group", "alias", "t", "i", "p", "s", "g", "a"]
)
def test_every_route_of_one_message_takes_it_as_its_kind(api: Api, route: str) -> None:
    body = MESSAGE | {"groupId": "g1", "previousId": "old"}

    status, _, document = api.answer(http_request(f"/v1/{route}", body, key=KEY))

    assert (status, document) == (200, ALL_ACCEPTED)
    [(_, batch)] = api.log.batches
    assert batch.events[0].kind[0] == route[0]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch", "/v1/batch/"])
def test_every_route_of_a_batch_takes_it(api: Api, path: str) -> None:
    status, _, document = api.answer(http_request(path, {"batch": [MESSAGE]}, key=KEY))

    assert (status, document["accepted"]) == (200, 1)


def test_the_key_is_found_in_each_of_its_places(api: Api) -> None:
    batch = {"batch": [MESSAGE]}
    bearer = {"authorization": "Bearer token", "x-retry-count": "2"}
    requests = [
        http_request("/v1/batch", batch, key=KEY),
        http_request("/v1/batch", batch | {"writeKey": KEY}),
        http_request("/v1/batch", batch | {"writeKey": KEY}, compressed=True),
        http_request("/v1/batch", batch | {"writeKey": KEY}, headers=bearer),
        http_request("/v1/batch", batch | {"writeKey": KEY}, headers={"authorization": "Basic ???"}),
        http_request("/v1/batch", batch, headers={"X-Write-Key": KEY}),
        http_request("/beacon/v1/batch", batch, query=f"writeKey={KEY}", headers={"content-type": "text/plain"}),
        http_request("/v1/t", MESSAGE | {"writeKey": KEY}),
    ]

    assert [api.answer(request)[0] for request in requests] == [200] * len(requests)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "GZIP"},
        {},
    ],
)
def test_gzip_is_seen_by_its_first_bytes(api: Api, headers: dict[str, str]) -> None:
    request = http_request("/v1/batch", {"batch": [MESSAGE]}, key=KEY, compressed=True, headers=headers)

    assert api.answer(request)[0] == 200


def test_a_body_that_a_proxy_has_inflated_already_is_taken_as_it_is(api: Api) -> None:
    request = http_request("/v1/batch", {"batch": [MESSAGE]}, key=KEY, headers={"content-encoding": "gzip"})

    assert api.answer(request)[0] == 200


def test_deflate_is_understood_where_it_is_named(api: Api) -> None:
    body = zlib.compress(json.dumps({"batch": [MESSAGE]}).encode())

    assert api.answer(http_request("/v1/batch", body, key=KEY, headers={"content-encoding": "deflate"}))[0] == 200


def test_verdicts_name_only_what_was_not_accepted(api: Api) -> None:
    body = {"batch": [MESSAGE, MESSAGE, {"type": "track", "messageId": "m2"}]}

    status, _, document = api.answer(http_request("/v1/batch", body, key=KEY))

    assert (status, document["success"]) == (200, True)
    assert (document["accepted"], document["repeated"], document["quarantined"]) == (1, 1, 1)
    assert document["events"][0] == {"index": 1, "status": "repeated"}
    quarantined = document["events"][1]
    assert (quarantined["index"], quarantined["status"]) == (2, "quarantined")
    assert (quarantined["messageId"], quarantined["code"]) == ("m2", "event_name_missing")


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (http_request("/v1/batch", {"batch": []}, key="nobody's"), 401, "unauthorized"),
        (http_request("/v1/batch", {"batch": []}), 401, "unauthorized"),
        (http_request("/v1/batch", {"batch": []}, key="key-of-old"), 404, "source_disabled"),
        (http_request("/v1/batch", b"{", key=KEY), 400, "batch_missing"),
        (http_request("/v1/track", b"{", key=KEY), 400, "json_invalid"),
        (http_request("/v1/track", None, key=KEY), 400, "body_empty"),
        (http_request("/v1/batch", None, key=KEY), 400, "body_empty"),
        (http_request("/v1/batch", b" \n", key=KEY), 400, "body_empty"),
        (http_request("/v1/batch", b"", key=KEY, compressed=True), 400, "body_empty"),
        (http_request("/v1/batch", None, key=KEY, headers={"content-encoding": "gzip"}), 400, "body_empty"),
        (http_request("/v1/batch", None, key=KEY, headers={"content-encoding": "deflate"}), 400, "body_empty"),
        (http_request("/v1/batch", b"nonsense", key=KEY, headers={"content-encoding": "gzip"}), 400, "not_gzip"),
        (http_request("/v1/batch", b"\x00\xff", key=KEY, headers={"Content-Encoding": "GZIP"}), 400, "not_gzip"),
        (http_request("/v1/batch", b"\x1f\x8bnonsense", key=KEY), 400, "body_unreadable"),
        (http_request("/v1/batch", gzip.compress(b"{}")[:-6], key=KEY), 400, "body_unreadable"),
        (http_request("/v1/batch", gzip.compress(gzip.compress(b"{}")), key=KEY), 400, "batch_missing"),
        (http_request("/v1/batch", {"batch": []}, key=KEY) | {"isBase64Encoded": True}, 400, "body_unreadable"),
        (http_request("/v1/batch", bytes(BODY_BYTES_MAX + 1), key=KEY, compressed=True), 413, "body_too_large"),
        (http_request("/v2/batch", {"batch": []}, key=KEY), 404, "not_found"),
        (http_request("/", None, method="GET"), 404, "not_found"),
        (http_request("/v1/batch", None, method="GET"), 405, "method_not_allowed"),
        (http_request("/v1/batch", {}, method="DELETE"), 405, "method_not_allowed"),
        (http_request("/sourceConfig", {}, method="POST"), 405, "method_not_allowed"),
        (http_request("/v1/projects/nobody/settings", None, method="GET"), 401, "unauthorized"),
        (http_request("/v1/projects/a/b/settings", None, method="GET"), 404, "not_found"),
        (http_request("/sourceConfig", None, method="GET"), 401, "unauthorized"),
    ],
)
def test_every_refusal_has_the_code_the_message_and_the_headers_that_sdks_need(
    api: Api, request_: dict[str, Any], status: int, code: str
) -> None:
    request_["headers"] |= ORIGIN

    answered, headers, document = api.answer(request_)

    assert (answered, document["success"], document["code"]) == (status, False, code)
    assert document["message"]
    assert headers["Access-Control-Allow-Origin"] == ORIGIN["origin"]
    assert headers["Content-Type"] == "application/json"
    assert api.log.batches == []


def test_an_unknown_key_is_told_in_the_words_on_which_mobile_sdks_stop() -> None:
    answer = refuse({}, Unauthorized("write_key_invalid", "Invalid write key"))

    assert "invalid write key" in json.loads(answer["body"])["message"].lower()


@pytest.mark.parametrize(("error", "status"), [(StreamUnavailable("no"), 503), (ZeroDivisionError("secret"), 500)])
def test_what_was_not_stored_is_asked_for_again_in_both_headers(error: Exception, status: int) -> None:
    answer = refuse({"headers": {"Origin": ORIGIN["origin"]}}, error)

    assert answer["statusCode"] == status
    assert answer["headers"]["Retry-After"] == answer["headers"]["X-RateLimit-Reset"] == "2"
    assert answer["headers"]["Access-Control-Allow-Origin"] == ORIGIN["origin"]
    assert "secret" not in answer["body"]


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t", "/sourceConfig/", "/v1/projects/K/settings", "/anything"])
def test_a_preflight_is_answered_without_a_key_or_a_collector(path: str) -> None:
    request = parse_tracking_request(http_request(path, None, method="OPTIONS", headers=ORIGIN))

    def no_collector() -> Collector:
        raise AssertionError("a preflight needs none")

    answer = respond(request, no_collector).answer

    assert answer["statusCode"] in {200, 204}
    headers = answer["headers"]
    assert headers["Access-Control-Allow-Origin"] == ORIGIN["origin"]
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"
    assert int(headers["Access-Control-Max-Age"]) >= 600
    allowed = {name.strip().lower() for name in headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "anonymousid", "sentat", "x-retry-count", "x-write-key"} <= allowed
    exposed = {name.strip() for name in headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {"Retry-After", "X-RateLimit-Reset"}
    assert "POST" in headers["Access-Control-Allow-Methods"]


def test_an_answer_to_nobodys_origin_is_open_without_credentials(api: Api) -> None:
    _, headers, _ = api.answer(http_request("/health", None, method="GET"))

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers


def test_health_needs_nothing(api: Api) -> None:
    assert api.answer(http_request("/health", None, method="GET"))[0::2] == (200, {"success": True})


def test_segments_browser_sdk_gets_the_settings_without_which_it_sends_nothing(api: Api) -> None:
    status, headers, document = api.answer(http_request(f"/v1/projects/{KEY}/settings", None, method="GET"))

    assert status == 200
    assert headers["Cache-Control"].startswith("public, max-age=")
    assert list(document["integrations"]) == ["Segment.io"]
    segment = document["integrations"]["Segment.io"]
    assert (segment["apiKey"], segment["apiHost"], segment["protocol"]) == (KEY, "collect.example.com/v1", "https")
    assert document["metrics"] == {"sampleRate": 0}


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/"])
def test_rudderstacks_sdk_gets_the_source_without_which_it_sends_nothing(api: Api, path: str) -> None:
    for request in (
        http_request(path, None, method="GET", key=KEY),
        http_request(path, None, method="GET", query=f"p=npm&writeKey={KEY}&v=3"),
    ):
        status, _, document = api.answer(request)

        assert status == 200
        source = document["source"]
        assert (source["id"], source["writeKey"], source["enabled"], source["destinations"]) == ("web", KEY, True, [])
        assert isinstance(source["config"], dict)


def test_a_request_is_read_whole() -> None:
    request = parse_tracking_request(
        http_request("/v1/t", MESSAGE, headers={"User-Agent": "Browser/1.0"}, query="a=1&a=2")
    )

    assert (request.arrival.received_at, request.arrival.address) == (RECEIVED_AT, "203.0.113.7")
    assert (request.arrival.user_agent, request.query()) == ("Browser/1.0", {"a": "1"})
    assert "u1" not in repr(request)


def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(200 * 1_024 * 1_024), compresslevel=9)
    assert len(bomb) < 250_000

    tracemalloc.start()
    with pytest.raises(PayloadTooLarge):
        inflate(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 3 * BODY_BYTES_MAX


def test_a_body_of_exactly_the_limit_is_let_through() -> None:
    assert len(inflate(gzip.compress(bytes(BODY_BYTES_MAX)))) == BODY_BYTES_MAX


@pytest.mark.parametrize("body", [b"\x1f\x8b", b"", b"\x1f\x8b\x08\x00", base64.b64encode(b"x")])
def test_damaged_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        inflate(body)
