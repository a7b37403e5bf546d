"""What a device published, as the topic rule hands it over, and how it becomes messages of the tracking API."""

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Final

import msgspec

from onefold.domain.errors import BodyInvalid
from onefold.domain.event import KINDS
from onefold.domain.webhook_mapping import PayloadMapping, read_mapped
from onefold.domain.webhook_message import Json, table, text, track

NAME: Final = "Device Message Received"  # where a payload gives no name in `event`
NO_CLIENT: Final = frozenset(["", "n/a"])  # what the rule says of a message that came over HTTP


class DeviceMessage(msgspec.Struct, frozen=True):
    """One message: what the rule's SELECT writes.

    Attributes:
        source: The topic's second segment, unchecked.
        payload: As published, in base64.
        client_id: Under which the device is connected; its certificate's policy says which it may use.
        message_id: Made by the rule, once for each time that something is published.
        received_at: When the rule saw it: Unix epoch, milliseconds.
    """

    source: str
    payload: str
    message_id: str
    received_at: int
    client_id: str = ""

    @property
    def body(self) -> bytes:
        """The payload's bytes.

        Raises:
            BodyInvalid: It is not base64, so the rule is not ours.
        """
        try:
            return b64decode(self.payload, validate=True)
        except (Base64Error, ValueError) as error:
            raise BodyInvalid("body_unreadable", "The rule's message holds no base64") from error


class _Failure(msgspec.Struct, frozen=True, rename="camel"):
    """What AWS IoT says of a message that it could not put into the queue; it lies among the dead letters."""

    topic: str
    base64_original_payload: str
    cloudwatch_trace_id: str
    client_id: str = ""

    def message(self, now_ms: int) -> DeviceMessage:
        levels = self.topic.split("/")
        source = levels[1] if len(levels) > 1 else ""
        return DeviceMessage(source, self.base64_original_payload, self.cloudwatch_trace_id, now_ms, self.client_id)


_messages_of_rule = msgspec.json.Decoder(DeviceMessage)
_failures_of_rule = msgspec.json.Decoder(_Failure)


def parse_device_message(text_of_rule: str, *, now_ms: int) -> DeviceMessage:
    """Read what the rule put into the queue, or what came back from the dead letters, which has no time of its own.

    Raises:
        BodyInvalid: It is none of the rule's messages.
    """
    try:
        if '"base64OriginalPayload"' in text_of_rule:
            return _failures_of_rule.decode(text_of_rule).message(now_ms)
        return _messages_of_rule.decode(text_of_rule)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyInvalid("message_unreadable", "The message is none of the topic rule's") from error


def read_device(document: object, message: DeviceMessage, mapping: PayloadMapping | None) -> Json:
    """The body of a batch call for one payload.

    A message of the tracking API, or a batch of them, is taken as it is; anything else becomes track events, by the
    mapping if there is one. The device is the one that a payload names (a gateway speaks for many), else the client.
    """
    envelope = table(document)
    batch = envelope.get("batch")
    elements = batch if isinstance(batch, list) else document if isinstance(document, list) else [document]
    messages: list[Json] = []
    for place, element in enumerate(elements):
        message_id = message.message_id if len(elements) == 1 else f"{message.message_id}/{place}"
        messages += _messages(element, message_id, mapping)
    is_batch = elements is batch
    shared: Json = {name: envelope[name] for name in ("context", "sentAt") if is_batch and name in envelope}
    if not table(table(shared.get("context")).get("device")).get("id"):
        messages = [_of_device(each, message.client_id) for each in messages]
    return {"batch": messages, **shared}


def _messages(element: object, message_id: str, mapping: PayloadMapping | None) -> list[Json]:
    fields = element if isinstance(element, dict) else {"value": element}
    if fields.get("type") in KINDS:
        return [{"messageId": message_id, **fields}]
    if mapping is not None:
        device = {"deviceId": device_id(fields)} if device_id(fields) else {}
        return [each | device for each in read_mapped(mapping, fields, message_id=message_id)]
    own = {name: fields[name] for name in ("messageId", "timestamp", "context", "userId") if name in fields}
    device = {"deviceId": device_id(fields)} if device_id(fields) else {}
    return [track(text(fields.get("event")) or NAME, fields) | {"messageId": message_id, **own, **device}]


def device_id(fields: Json) -> str:
    """The device that a payload names."""
    context = table(table(fields.get("context")).get("device"))
    return text(fields.get("deviceId")) or text(fields.get("device_id")) or text(context.get("id"))


def _of_device(message: Json, client_id: str) -> Json:
    """The message with its device where the tracking API looks for it."""
    named = device_id(message) or ("" if client_id.lower() in NO_CLIENT else client_id)
    if not named:
        return message
    context = table(message.get("context"))
    device = {**table(context.get("device")), "id": named}
    return {**message, "context": {**context, "device": device}}
