import base64
import json
from typing import Any

import pytest

from onefold.domain.errors import BodyInvalid, EventInvalid, PayloadTooLarge
from onefold.domain.message import Message
from onefold.domain.parcel import EVENTS_MAX
from onefold.domain.snowplow import AppParcel, open_snowplow
from onefold.domain.source import app_key

SCHEMA = "iglu:com.snowplowanalytics.snowplow/{}/jsonschema/1-0-0"
COMMON = {"aid": "shop", "eid": "e-1", "dtm": "1794477600000", "stm": "1794477601000", "tv": "js-4.10.1", "p": "web"}


def body(*events: dict[str, Any]) -> bytes:
    return json.dumps({"schema": SCHEMA.format("payload_data"), "data": events}).encode()


def encoded(value: object, *, padded: bool = True) -> str:
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return text if padded else text.rstrip("=")


def self_describing(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"schema": SCHEMA.format("unstruct_event"), "data": {"schema": SCHEMA.format(name), "data": data}}


def contexts(*entities: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": SCHEMA.format("contexts"),
        "data": [{"schema": SCHEMA.format(name), "data": data} for name, data in entities],
    }


def opened(*events: dict[str, Any]) -> list[Message | EventInvalid]:
    [part] = open_snowplow(body(*events))
    return part.parcel.messages


def read(**parameters: str) -> Message:
    [message] = opened(COMMON | parameters)
    assert isinstance(message, Message), message
    return message


def test_a_page_view_is_a_page_of_the_device_and_the_person() -> None:
    message = read(
        e="pv", duid="d-1", uid="u-1", page="Hats", url="https://shop.example/hats?utm_source=news", refr="https://a.b/"
    )

    assert (message.type, message.name, message.message_id) == ("page", "Hats", "e-1")
    assert (message.anonymous_id, message.user_id) == ("d-1", "u-1")
    assert (message.original_timestamp, message.sent_at) == (1_794_477_600_000, 1_794_477_601_000)
    page = {
        "url": "https://shop.example/hats?utm_source=news",
        "title": "Hats",
        "referrer": "https://a.b/",
        "path": "/hats",
        "search": "?utm_source=news",
    }
    assert message.properties == message.context["page"] == page
    assert message.context["library"] == {"name": "snowplow-js", "version": "4.10.1"}
    assert message.context["channel"] == "web"


def test_a_true_time_is_not_corrected_by_the_devices_clock() -> None:
    message = read(e="pv", ttm="1794400000000")

    assert (message.original_timestamp, message.sent_at) == (1_794_400_000_000, None)


def test_a_structured_event_is_named_by_its_action() -> None:
    message = read(e="se", se_ca="video", se_ac="play", se_la="intro", se_va="12.5")

    assert (message.type, message.event) == ("track", "play")
    assert message.properties == {"category": "video", "action": "play", "label": "intro", "value": 12.5}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("as_base64", [True, False])
def test_a_self_describing_event_is_named_by_its_schema_and_keeps_its_entities(
    *, as_base64: bool, padded: bool
) -> None:
    event = self_describing("link_click", {"targetUrl": "https://shop.example/ü?a"})
    entities = contexts(("web_page", {"id": "w-1"}))
    inside = (
        {"ue_px": encoded(event, padded=padded), "cx": encoded(entities, padded=padded)}
        if as_base64
        else {"ue_pr": json.dumps(event), "co": json.dumps(entities)}
    )

    message = read(e="ue", **inside)

    assert (message.type, message.event) == ("track", "link_click")
    assert message.properties == {"targetUrl": "https://shop.example/ü?a"}
    assert message.context["snowplow"]["event"] == SCHEMA.format("link_click")
    assert message.context["snowplow"]["contexts"] == entities["data"]


def test_a_screen_view_is_a_screen_of_the_device_that_the_session_names() -> None:
    entities = contexts(
        ("client_session", {"userId": "device-7"}), ("mobile_context", {"osType": "ios", "appleIdfv": "idfv-1"})
    )

    message = read(e="ue", ue_px=encoded(self_describing("screen_view", {"name": "Basket"})), cx=encoded(entities))

    assert (message.type, message.name, message.anonymous_id) == ("screen", "Basket", "device-7")
    assert (message.context["device"], message.context["os"]) == ({"id": "idfv-1"}, {"name": "ios"})


def test_a_transaction_of_the_commerce_plugin_is_an_order() -> None:
    entities = contexts(
        ("transaction", {"transaction_id": "o-1", "revenue": 13, "currency": "EUR", "shipping": 1, "tax": None}),
        ("product", {"id": "p-1", "price": 12, "quantity": 1, "category": "Hats"}),
        ("user", {"id": "u-9", "email": "kim@posteo-demo.net", "is_guest": False}),
    )
    event = self_describing("snowplow_ecommerce_action", {"type": "transaction"})

    message = read(e="ue", ue_px=encoded(event), cx=encoded(entities))

    assert (message.event, message.user_id) == ("Order Completed", "u-9")
    assert message.properties == {
        "order_id": "o-1",
        "total": 13,
        "currency": "EUR",
        "shipping": 1,
        "products": [{"product_id": "p-1", "price": 12, "quantity": 1, "category": "Hats"}],
    }
    assert message.context["externalIds"] == [{"type": "email", "id": "kim@posteo-demo.net"}]


def test_one_product_stands_beside_the_other_properties() -> None:
    entities = contexts(("product", {"id": "p-1", "price": 12}), ("cart", {"cart_id": "c-1", "total_value": 12}))
    event = self_describing("snowplow_ecommerce_action", {"type": "add_to_cart"})

    message = read(e="ue", ue_px=encoded(event), cx=encoded(entities))

    assert message.event == "Product Added"
    assert message.properties == {"product_id": "p-1", "price": 12, "cart_id": "c-1", "value": 12}


def test_a_transaction_of_the_protocol_is_an_order() -> None:
    message = read(e="tr", tr_id="o-2", tr_tt="19.90", tr_cu="EUR", tr_tx="3.18")

    assert message.event == "Order Completed"
    assert message.properties == {"order_id": "o-2", "total": 19.9, "currency": "EUR", "tax": 3.18}


def test_what_another_vendor_calls_a_user_names_nobody() -> None:
    entities = {"data": [{"schema": "iglu:com.acme/user/jsonschema/1-0-0", "data": {"id": "1", "email": "a@b.de"}}]}

    message = read(e="pv", cx=encoded(entities))

    assert message.user_id is None
    assert "externalIds" not in message.context
    assert message.context["snowplow"]["contexts"] == entities["data"]


def test_parameters_that_have_no_other_place_are_kept_under_their_own_names() -> None:
    message = read(e="pv", sid="s-1", vid="3", tnuid="n-1", vp="800x600", res="1920x1080", lang="de", something="else")

    kept = message.context["snowplow"]
    assert {name: kept[name] for name in ("sid", "vid", "tnuid", "vp", "something")} == {
        "sid": "s-1", "vid": "3", "tnuid": "n-1", "vp": "800x600", "something": "else",
    }  # fmt: skip
    assert (message.context["screen"], message.context["locale"]) == ({"width": 1920, "height": 1080}, "de")


def test_a_queue_that_apps_share_is_sorted_by_app_and_keeps_its_places() -> None:
    events = [{"aid": "a", "e": "pv"}, {"aid": "b", "e": "pv"}, {"e": "pv"}, {"aid": "a", "e": "pv"}]

    parts = open_snowplow(body(*events))

    assert [(part.app_id, part.indexes, part.parcel.write_key) for part in parts] == [
        ("a", [0, 3], app_key("a")),
        ("b", [1, 2], app_key("b")),
    ]
    assert parts[1].parcel.text(1) == b'{"e": "pv"}'


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"e": "xx"}, "kind_unknown"),
        ({}, "kind_unknown"),
        ({"e": "ue"}, "embedded_missing"),
        ({"e": "ue", "ue_px": encoded({"data": 1})}, "embedded_missing"),
        ({"e": "ue", "ue_px": 7}, "embedded_unreadable"),
        ({"e": "ue", "ue_px": "ä"}, "embedded_unreadable"),
        ({"e": "ue", "ue_px": "A"}, "embedded_unreadable"),
        ({"e": "pv", "cx": encoded(1)[:-1] + "!"}, "embedded_unreadable"),
        ({"e": "pv", "co": "{"}, "json_invalid"),
        ({"e": "pv", "co": '{"data":[NaN]}'}, "json_invalid"),
        ({"e": "pv", "co": "[" * 2_000}, "nesting_too_deep"),
        ({"e": "pv", "co": '{"a":1e999}'}, "number_out_of_range"),
    ],
)
def test_an_unusable_event_is_refused_by_itself(bad: dict[str, Any], reason: str) -> None:
    refused, good = opened(bad, COMMON | {"e": "pv"})

    assert isinstance(refused, EventInvalid)
    assert refused.reason == reason
    assert isinstance(good, Message)


@pytest.mark.parametrize("bad", [b"1", b'"x"', b"[]", b"null", b'{"e":NaN}', b'{"e":"\xff"}'])
def test_an_element_that_is_no_object_is_refused_by_itself(bad: bytes) -> None:
    text = b'{"data":[' + bad + b',{"e":"pv","aid":"shop"}]}'

    [part] = open_snowplow(text)

    first, second = part.parcel.messages
    assert isinstance(first, EventInvalid)
    assert isinstance(second, Message)
    assert part.parcel.text(0) == bad


@pytest.mark.parametrize("bad", [b"", b"{", b"{}", b"[]", b'{"data":1}', b'{"data":{}}', b"nonsense"])
def test_a_body_without_events_is_refused_as_a_whole(bad: bytes) -> None:
    with pytest.raises(BodyInvalid):
        open_snowplow(bad)


def test_no_events_are_none() -> None:
    assert [part.parcel.messages for part in open_snowplow(b'{"data":[]}')] == [[]]


def test_too_many_events_are_refused_as_a_whole() -> None:
    with pytest.raises(PayloadTooLarge):
        open_snowplow(body(*[{"e": "pv"}] * (EVENTS_MAX + 1)))


def test_half_a_character_is_replaced_and_a_nul_inside_base64_is_seen() -> None:
    event = encoded(self_describing("a", {"x": "\ud83d", "y": "\0"}))

    [part] = open_snowplow(body({"e": "ue", "ue_px": event}))

    assert isinstance(part, AppParcel)
    [message] = part.parcel.messages
    assert isinstance(message, Message)
    assert message.properties["x"] == "\ufffd"
    assert (part.parcel.repaired, part.parcel.nul) == (frozenset([0]), True)
