import base64
import json
from typing import Any

import pytest

from onefold.domain.device_message import DeviceMessage, parse_device_message, read_device
from onefold.domain.errors import BodyInvalid
from onefold.domain.webhook_mapping import parse_payload_mapping

MESSAGE = DeviceMessage("things", "e30=", "m-1", 1_794_477_600_000, "thermostat-7")
MAPPING = parse_payload_mapping(
    {"format": "json", "events": [{"event": "Measured"}], "properties": {"celsius": "$.t"}, "identifiers": {}}
)


def read(document: object, client_id: str = "thermostat-7", **fields: Any) -> list[dict[str, Any]]:
    message = DeviceMessage("things", "e30=", "m-1", 1_794_477_600_000, client_id)
    batch: list[dict[str, Any]] = read_device(document, message, fields.get("mapping"))["batch"]
    return batch


def device(message: dict[str, Any]) -> str | None:
    context: dict[str, Any] = message.get("context", {})
    found: str | None = context.get("device", {}).get("id")
    return found


def test_any_object_is_an_event_of_the_device() -> None:
    [message] = read({"temperature": 21.5, "timestamp": 1_794_477_000, "event": "Measured"})

    assert (message["type"], message["event"], message["messageId"]) == ("track", "Measured", "m-1")
    assert (message["timestamp"], device(message)) == (1_794_477_000, "thermostat-7")
    assert message["properties"]["temperature"] == 21.5


@pytest.mark.parametrize(
    ("document", "client_id", "expected"),
    [
        ({}, "thermostat-7", "thermostat-7"),
        ({"deviceId": "sensor-1"}, "gateway", "sensor-1"),  # a gateway speaks for many
        ({"device_id": 12}, "gateway", "12"),
        ({"context": {"device": {"id": "sensor-2"}}}, "gateway", "sensor-2"),
        ({"type": "track", "event": "a", "context": {"device": {"id": "sensor-3"}}}, "gateway", "sensor-3"),
        ({}, "N/A", None),  # over HTTP
        ({}, "", None),
    ],
)
def test_the_device_is_the_one_named_else_the_client(document: Any, client_id: str, expected: str | None) -> None:
    [message] = read(document, client_id)

    assert device(message) == expected


def test_messages_of_the_tracking_api_are_taken_as_they_are() -> None:
    identify = {"type": "identify", "userId": "u-1", "traits": {"model": "T7"}, "messageId": "own"}
    [alone] = read(identify)
    envelope = read_device({"batch": [identify, {"type": "track", "event": "a"}], "sentAt": "x"}, MESSAGE, None)

    assert alone == identify | {"context": {"device": {"id": "thermostat-7"}}}
    assert envelope["sentAt"] == "x"
    assert [each["messageId"] for each in envelope["batch"]] == ["own", "m-1/1"]


def test_a_batch_whose_context_names_the_device_keeps_it() -> None:
    context = {"device": {"id": "sensor-1"}}
    envelope = read_device({"batch": [{"type": "track", "event": "a"}], "context": context}, MESSAGE, None)

    assert envelope["context"] == context
    assert "context" not in envelope["batch"][0]


def test_arrays_scalars_and_mappings() -> None:
    first, second = read([{"event": "a"}, 7])
    [mapped] = read({"t": 21.5, "deviceId": "sensor-1"}, mapping=MAPPING)

    assert (first["event"], second["properties"]) == ("a", {"value": 7})
    assert (mapped["event"], mapped["properties"], device(mapped)) == ("Measured", {"celsius": 21.5}, "sensor-1")


def test_what_the_rule_writes_is_read_and_what_came_back_from_the_dead_letters() -> None:
    payload = base64.b64encode(b"{}").decode()
    written = {"source": "things", "client_id": "t", "payload": payload, "message_id": "m", "received_at": 5}
    failed = {
        "ruleName": "onefold_dev_devices",
        "topic": "onefold/things/events",
        "cloudwatchTraceId": "trace",
        "clientId": "t",
        "base64OriginalPayload": payload,
        "failures": [{"failedAction": "SqsAction", "errorMessage": "no"}],
    }

    assert parse_device_message(json.dumps(written), now_ms=9) == DeviceMessage("things", payload, "m", 5, "t")
    assert parse_device_message(json.dumps(failed), now_ms=9) == DeviceMessage("things", payload, "trace", 9, "t")
    for broken in ("", "{}", '{"base64OriginalPayload": 1}', "[]"):
        with pytest.raises(BodyInvalid):
            parse_device_message(broken, now_ms=9)
    with pytest.raises(BodyInvalid):
        _ = DeviceMessage("things", "no base64", "m", 5).body
