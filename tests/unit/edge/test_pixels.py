"""Pixels, Snowplow's protocol, merges and the collector's own description, each through the tracking API."""

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from onefold.domain.event import Event, Refusal
from onefold.domain.source import Source
from onefold.edge.collector_openapi import collector_openapi
from onefold.edge.tracking_answers import refuse
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import http_request

KEY = "key-of-mail"
TP2 = "/com.snowplowanalytics.snowplow/tp2"


class Api:
    def __init__(self) -> None:
        self.log = MemoryEventLog()
        sources = KnownSources(
            Source("mail", KEY),
            Source("shop", "key-of-shop", kind="browser", app_ids=("shop", "blog")),
            Source("old", "key-of-old", app_ids=("old",), enabled=False),
        )
        self.collector = Collector(sources, self.log, MemorySpool(), HASHER, lambda text, region: None)

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        try:
            return respond(parse_tracking_request(event), lambda: self.collector).answer
        except Exception as error:  # noqa: BLE001 - as the handler's outermost edge does
            return refuse(event, error)

    def get(self, path: str, query: str, **headers: str) -> dict[str, Any]:
        return self.answer(http_request(path, None, method="GET", query=query, headers=headers))

    @property
    def events(self) -> list[Event]:
        return [event for _, batch in self.log.batches for event in batch.events]

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for _, batch in self.log.batches for refusal in batch.refusals]


@pytest.fixture
def api() -> Api:
    return Api()


def is_pixel(answer: dict[str, Any]) -> bool:
    image = base64.b64decode(answer["body"])
    kind = answer["headers"]["Content-Type"]
    return (answer["statusCode"], kind, len(image), image[:6], answer["isBase64Encoded"]) == (
        200, "image/gif", 43, b"GIF89a", True,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/pixel/v1/track", "/v1/pixel/track", "/pixel/v1/track.gif"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_pixel_in_a_mail_records_that_it_was_opened(api: Api, path: str, encode: Any) -> None:
    message = {
        "writeKey": KEY,
        "userId": "u-1",
        "properties": {"email_id": "m-7", "subject": "Grüße?>"},
        "context": {"traits": {"email": "kim@posteo-demo.net"}},
    }

    answer = api.get(path, urlencode({"data": encode(json.dumps(message).encode()).decode()}))

    assert is_pixel(answer)
    assert "no-store" in answer["headers"]["Cache-Control"]
    [event] = api.events
    assert (event.kind, event.name, event.source) == ("track", "Email Opened", "mail")
    assert [each.value for each in event.identifiers] == ["u-1", "kim@posteo-demo.net"]
    assert json.loads(event.properties) == {"email_id": "m-7", "subject": "Grüße?>"}


def test_a_pixel_may_say_it_in_plain_fields(api: Api) -> None:
    fields = {
        "writeKey": KEY, "userId": "u-1", "event": "Leaflet Seen", "properties.leaflet": "spring",
        "context.page.url": "x",
    }  # fmt: skip

    assert is_pixel(api.get("/pixel/v1/track", urlencode(fields)))

    [event] = api.events
    assert (event.name, json.loads(event.properties)) == ("Leaflet Seen", {"leaflet": "spring"})
    assert json.loads(event.context)["page"] == {"url": "x"}


def test_a_picture_that_is_fetched_twice_in_a_moment_is_one_event_and_two_later(api: Api) -> None:
    request = http_request("/pixel/v1/track", None, method="GET", query=f"writeKey={KEY}&userId=u-1")
    for later_ms in (0, 5_000, 90_000):
        later = json.loads(json.dumps(request))
        later["requestContext"]["timeEpoch"] += later_ms
        assert is_pixel(api.answer(later))

    first, again, later = (event.message_id for event in api.events)
    assert first == again != later


def test_a_pixels_numbers_stay_as_they_were_written(api: Api) -> None:
    data = base64.b64encode(b'{"userId":12345678901234567890,"properties":{"x":3.14159265358979323846}}').decode()

    assert is_pixel(api.get("/pixel/v1/track", urlencode({"data": data, "writeKey": KEY})))

    [event] = api.events
    assert [each.value for each in event.identifiers] == ["12345678901234567890"]
    assert json.loads(event.properties) == {"x": "3.14159265358979323846"}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 401, "unauthorized"),
        ("writeKey=nobodys-key", 401, "unauthorized"),
        ("writeKey=key-of-old", 404, "source_disabled"),
        (f"writeKey={KEY}&data=A", 400, "body_unreadable"),
        (f"writeKey={KEY}&data=" + base64.b64encode(b"{").decode(), 400, "json_invalid"),
        (f"writeKey={KEY}&data=" + base64.b64encode(b"[1]").decode(), 400, "not_an_object"),
        (f"writeKey={KEY}&properties=1&properties.x=2", 400, "query_unreadable"),
        (f"writeKey={KEY}&properties.x=2&properties=1", 400, "query_unreadable"),
        ("&".join(["writeKey=" + KEY] * 501), 400, "query_unreadable"),
    ],
)
def test_a_pixel_that_cannot_be_read_says_so_to_who_looks(api: Api, query: str, status: int, code: str) -> None:
    answer = api.get("/pixel/v1/track", query)

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (status, code)
    assert api.log.batches == []


def test_a_head_request_records_nothing(api: Api) -> None:
    request = http_request("/pixel/v1/track", None, method="HEAD", query=f"writeKey={KEY}&userId=u")

    answer = api.answer(request)

    assert (answer["statusCode"], answer["headers"]["Allow"]) == (405, "GET, OPTIONS")
    assert api.log.batches == []


def test_snowplows_post_is_stored_for_the_sources_of_its_app_ids(api: Api) -> None:
    body = {"schema": "x", "data": [{"e": "pv", "aid": "shop", "eid": "1"}, {"e": "pv", "aid": "blog", "eid": "2"}]}

    answer = api.answer(http_request(TP2, body, headers={"origin": "https://shop.example"}))

    assert answer["statusCode"] == 200
    assert answer["headers"]["Access-Control-Allow-Origin"] == "https://shop.example"
    assert answer["headers"]["Access-Control-Allow-Credentials"] == "true"
    assert json.loads(answer["body"])["accepted"] == 2
    assert [(event.source, event.message_id) for event in api.events] == [("shop", "1"), ("shop", "2")]


def test_a_write_key_is_an_app_id_too_and_one_in_the_request_wins(api: Api) -> None:
    as_app_id = http_request(TP2, {"data": [{"e": "pv", "aid": KEY}]})
    beside = http_request(TP2, {"data": [{"e": "pv", "aid": "shop"}, {"e": "pv", "aid": "none"}]}, key=KEY)

    assert [api.answer(request)["statusCode"] for request in (as_app_id, beside)] == [200, 200]
    assert [event.source for event in api.events] == ["mail"] * 3


def test_events_of_an_unknown_app_beside_known_ones_go_to_the_quarantine(api: Api) -> None:
    body = {"data": [{"e": "pv", "aid": "new"}, {"e": "pv", "aid": "shop"}, {"e": "zz", "aid": "shop"}]}

    answer = api.answer(http_request(TP2, body))

    document = json.loads(answer["body"])
    assert (document["accepted"], document["quarantined"]) == (1, 2)
    assert [(each["index"], each["code"]) for each in document["events"]] == [
        (0, "app_id_unknown"),
        (2, "kind_unknown"),
    ]
    assert {refusal.body for refusal in api.refusals} == {b'{"e": "pv", "aid": "new"}', b'{"e": "zz", "aid": "shop"}'}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"data": [{"e": "pv", "aid": "new"}]}, 401, "unauthorized"),
        ({"data": [{"e": "pv"}]}, 401, "unauthorized"),
        ({"data": []}, 401, "unauthorized"),
        ({"data": [{"e": "pv", "aid": "old"}]}, 404, "source_disabled"),
        ({"batch": []}, 400, "batch_missing"),
        (b"", 400, "body_empty"),
    ],
)
def test_a_snowplow_request_of_nobodys_is_refused(api: Api, body: Any, status: int, code: str) -> None:
    answer = api.answer(http_request(TP2, body))

    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (status, code)
    assert api.log.batches == []


@pytest.mark.parametrize("path", ["/i", TP2, "/com.snowplowanalytics.snowplow/i"])
def test_snowplows_pixel_is_answered_with_an_image(api: Api, path: str) -> None:
    query = f"e=se&se_ca=mail&se_ac=open&aid=shop&uid=u-1&eid=e-1&url={quote('https://a.b/?x=1')}"

    assert is_pixel(api.get(path, query))

    [event] = api.events
    assert (event.kind, event.name, event.message_id) == ("track", "open", "e-1")
    assert [each.value for each in event.identifiers] == ["u-1"]


def test_who_wants_to_stay_unknown_to_snowplow_leaves_no_address(api: Api) -> None:
    body = {"data": [{"e": "pv", "aid": "shop"}]}

    api.answer(http_request(TP2, body))
    api.answer(http_request(TP2, body, headers={"sp-anonymous": "*"}))

    assert ["ip" in json.loads(event.context) for event in api.events] == [True, False]


@pytest.mark.parametrize("path", ["/v1/merge", "/v1/batch"])
def test_a_merge_links_its_two_identifiers(api: Api, path: str) -> None:
    sides = [{"type": "email", "value": "Kim@posteo-demo.net"}, {"type": "brazeId", "value": "b-1"}]
    message = {"type": "merge", "mergeProperties": sides, "messageId": "m-1"}

    answer = api.answer(http_request(path, {"batch": [message]} if path == "/v1/batch" else message, key=KEY))

    assert json.loads(answer["body"])["accepted"] == 1
    [event] = api.events
    assert event.kind == "alias"
    assert [(each.type, each.value) for each in event.identifiers] == [("email", "kim@posteo-demo.net")]
    assert [(each.type, each.value) for each in event.previous] == [("external_id", "brazeId:b-1")]


@pytest.mark.parametrize(
    "sides",
    [[], "x", [{"type": "email", "value": "a@b.de"}], [{"type": "email", "value": "a@b.de"}, {"value": "c"}],
     [{"type": "email", "value": "a@b.de"}, {"type": "email", "value": "nonsense"}]],
)  # fmt: skip
def test_a_merge_of_anything_but_two_is_kept_aside(api: Api, sides: Any) -> None:
    answer = api.answer(http_request("/v1/merge", {"type": "merge", "mergeProperties": sides}, key=KEY))

    [verdict] = json.loads(answer["body"])["events"]
    assert (verdict["status"], verdict["code"]) == ("quarantined", "merge_incomplete")


def test_counts_that_analytics_js_sends_about_itself_are_taken_note_of(api: Api) -> None:
    assert api.answer(http_request("/v1/m", {"series": []}))["statusCode"] == 200
    assert api.log.batches == []


def test_the_collector_describes_itself(api: Api) -> None:
    answer = api.get("/openapi.json", "")

    document = json.loads(answer["body"])
    assert document == json.loads(json.dumps(collector_openapi()))
    assert {"/v1/batch", "/v1/t", "/beacon/v1/batch", "/sourceConfig", TP2, "/i", "/pixel/v1/{kind}"} <= set(
        document["paths"]
    )
