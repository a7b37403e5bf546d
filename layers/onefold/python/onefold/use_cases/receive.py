"""Receive: what others send in forms of their own, webhooks and devices, becomes events on the way of all events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from onefold.domain.device_message import DeviceMessage, read_device
from onefold.domain.errors import EventInvalid, PayloadTooLarge, Unauthorized, Unavailable
from onefold.domain.event import Refusal
from onefold.domain.json_numbers import exact_float
from onefold.domain.json_text import DECODING_ERRORS, decoding_refusal, replace_lone_surrogates
from onefold.domain.message import Arrival
from onefold.domain.message_id import made_message_id
from onefold.domain.parcel import BODY_BYTES_MAX, EVENTS_MAX, OBJECTS_MAX
from onefold.domain.source import NAME, Source
from onefold.domain.webhook_mapping import PayloadMapping, read_mapped, read_unmapped
from onefold.domain.webhook_message import Json
from onefold.domain.webhook_secret import WebhookSecrets
from onefold.domain.webhook_sendgrid import read_sendgrid
from onefold.domain.webhook_shopify import read_shopify
from onefold.domain.webhook_signature import EcdsaVerifier, Proof, read_proof, verify_signature
from onefold.domain.webhook_stripe import read_stripe
from onefold.domain.webhook_zendesk import read_zendesk
from onefold.use_cases.collect import REFUSAL_BODY_BYTES_MAX, Collector, CollectRequest, Outcome, group

SECRET_MAX_AGE_S: Final = 300.0
# A secret may have been replaced a moment ago, but a stranger's guesses must not become reads.
SECRET_RECHECK_S: Final = 10.0
UNKNOWN_SOURCE: Final = "unknown"  # stands for a name that can be none of a source
COMPONENT: Final = "receive"


class NamedSources(Protocol):
    def named(self, name: str) -> Source | None:
        """The declared source of this name.

        Raises:
            Unavailable: The definitions have never been read and cannot be.
        """


class Secrets(Protocol):
    def load(self, source: str, *, max_age_s: float) -> WebhookSecrets | None:
        """The signing secrets of a source as they were at most `max_age_s` ago; None where none was set.

        Raises:
            Unavailable: They have never been read and cannot be.
        """


class Mappings(Protocol):
    def find(self, name: str) -> PayloadMapping | None:
        """The declared mapping of this name.

        Raises:
            Unavailable: The definitions have never been read and cannot be.
        """


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One POST of a provider. Header names are in lower case; `body` is as it was signed, before any inflating."""

    source: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Receiver:
    """The use case with what it needs; `inflate` undoes a body's gzip, if it has any."""

    collector: Collector
    sources: NamedSources
    secrets: Secrets
    mappings: Mappings
    verify_ecdsa: EcdsaVerifier
    inflate: Callable[[bytes], bytes]

    def receive_webhook(self, request: WebhookRequest) -> Outcome:
        """Store what a genuine request says; a body that cannot be read goes to the quarantine.

        Raises:
            Unauthorized: No such source takes webhooks, or the signature does not prove the origin; nothing is stored.
            PayloadTooLarge: Likewise.
            Unavailable: Its secret or mapping is not there yet, or it could not be stored: send it again.
        """
        if len(request.body) > BODY_BYTES_MAX:
            raise PayloadTooLarge("body_too_large", f"Send at most {BODY_BYTES_MAX} bytes a request")
        source = self.sources.named(request.source)
        if source is None or source.webhook is None:
            raise Unauthorized("source_unknown", "No source of this name takes webhooks: declare it with `webhook`")
        _refuse_disabled(source)
        self._verify(source, request)
        body = self.inflate(request.body)
        mapping = self._mapping(source)
        try:
            documents = _documents(_decode(body))
        except EventInvalid as error:
            return self._quarantine(error, source.name, body, request.arrival)
        sent_id = _sent_id(source, request.headers)
        messages: list[Json] = []
        for place, document in enumerate(documents):
            message_id = sent_id if place == 0 or not sent_id else f"{sent_id}/{place}"
            messages += _messages(source, mapping, request.headers, document, message_id)
        return self._collect(source, {"batch": messages}, request.arrival, body)

    def receive_device(self, message: DeviceMessage) -> Outcome:
        """Store what a device published; what cannot be read, or comes for no source, goes to the quarantine.

        Raises:
            BodyInvalid: The rule's message is broken.
            Unavailable: It could not be stored: deliver the message again.
        """
        body, arrival = message.body, Arrival(message.received_at)
        name = message.source if NAME.fullmatch(message.source) else UNKNOWN_SOURCE
        source = self.sources.named(name)
        if source is None or not source.devices or not source.enabled:
            detail = "The topic names no source with `devices: true`: declare it, and apply"
            outcome = self._quarantine(EventInvalid("source_unknown", detail), name, body, arrival)
            outcome.source = UNKNOWN_SOURCE  # a topic's word is no dimension of a metric
            return outcome
        mapping = self._mapping(source)
        try:
            inflated = self.inflate(body)
            envelope = read_device(_decode(inflated), message, mapping)
        except EventInvalid as error:
            return self._quarantine(error, source.name, body, arrival)
        return self._collect(source, envelope, arrival, inflated)

    def _verify(self, source: Source, request: WebhookRequest) -> None:
        """See that the request is genuine; a secret that does not fit is read again, for it may be an old one."""
        assert source.webhook is not None  # noqa: S101 - seen to by the caller
        proof = read_proof(source.webhook, source.webhook_signature, request.headers, request.body, self.verify_ecdsa)
        now_ms = request.arrival.received_at
        known = self.secrets.load(source.name, max_age_s=SECRET_MAX_AGE_S)
        try:
            _check(source, proof, known, now_ms)
        except Unauthorized:
            fresh = self.secrets.load(source.name, max_age_s=SECRET_RECHECK_S)
            if fresh is None:
                raise Unavailable(f"{source.name} has no secret: `onefold secret set {source.name}`") from None
            if fresh == known:
                raise
            _check(source, proof, fresh, now_ms)

    def _mapping(self, source: Source) -> PayloadMapping | None:
        if not source.mapping:
            return None
        mapping = self.mappings.find(source.mapping)
        if mapping is None:
            raise Unavailable(f"{source.name} names the mapping {source.mapping}, which is not applied")
        return mapping

    def _collect(self, source: Source, envelope: Json, arrival: Arrival, body: bytes) -> Outcome:
        """Send messages the way of all; a request that is too large as a whole is kept as it came."""
        encoded = _encoder.encode(envelope)
        too_many = len(envelope["batch"]) > EVENTS_MAX or encoded.count(b"{") + encoded.count(b"[") > OBJECTS_MAX
        if too_many or len(encoded) > BODY_BYTES_MAX:
            error = EventInvalid("body_too_large", "What was received says more than one request may: send it in parts")
            return self._quarantine(error, source.name, body, arrival)
        if not envelope["batch"]:
            return Outcome(source.name)
        return self.collector.collect(CollectRequest(encoded, None, (source.write_key,), arrival))

    def _quarantine(self, error: EventInvalid, source: str, body: bytes, arrival: Arrival) -> Outcome:
        detail = error.detail
        if len(body) > REFUSAL_BODY_BYTES_MAX:
            detail += f". Of its {len(body)} bytes the first {REFUSAL_BODY_BYTES_MAX} are kept"
        refusal = Refusal(
            message_id=made_message_id(source, body),
            source=source,
            reason=error.reason,
            detail=detail,
            body=body[:REFUSAL_BODY_BYTES_MAX],
            received_at=arrival.received_at,
            component=COMPONENT,
        )
        left = self.collector.log.append(group([], [refusal]))
        if left:
            self.collector.spool.append(left, received_at=arrival.received_at)
        return Outcome(source, refused=[(0, refusal)], spooled=len(left))


_decoder = msgspec.json.Decoder(float_hook=exact_float)
_encoder = msgspec.json.Encoder(decimal_format="number")


def _check(source: Source, proof: Proof, secrets: WebhookSecrets | None, now_ms: int) -> None:
    valid = secrets.valid_at(now_ms / 1_000) if secrets else ()
    verify_signature(proof, valid, now_ms=now_ms, tolerance_s=source.webhook_tolerance_s)


def _refuse_disabled(source: Source) -> None:
    if not source.enabled:
        raise Unauthorized("source_disabled", "This source is disabled")


def _decode(body: bytes) -> object:
    """A body's JSON, if need be with lone surrogates replaced.

    Raises:
        EventInvalid: It is none.
    """
    try:
        return _decoder.decode(body)
    except DECODING_ERRORS as error:
        mended = replace_lone_surrogates(body)
        if mended == body:
            raise decoding_refusal(error, "The body") from error
    try:
        return _decoder.decode(mended)
    except DECODING_ERRORS as error:
        raise decoding_refusal(error, "The body") from error


def _documents(body: object) -> list[Json]:
    """The objects of a body: itself, or the elements of an array.

    Raises:
        EventInvalid: It is neither.
    """
    elements = body if isinstance(body, list) else [body]
    documents = [element for element in elements if isinstance(element, dict)]
    if len(documents) < len(elements):
        raise EventInvalid("not_an_object", "The body is neither a JSON object nor an array of objects")
    return documents


def _messages(
    source: Source, mapping: PayloadMapping | None, headers: Mapping[str, str], document: Json, message_id: str
) -> list[Json]:
    """The messages of one document: in the words of its mapping, else of its provider."""
    if mapping is not None:
        return read_mapped(mapping, document, message_id=message_id)
    if source.webhook == "stripe":
        return read_stripe(document)
    if source.webhook == "shopify":
        return read_shopify(document, topic=headers.get("x-shopify-topic", ""), event_id=message_id)
    if source.webhook == "zendesk":
        return read_zendesk(document, invocation_id=message_id)
    if source.webhook == "sendgrid":
        return read_sendgrid(document)
    return read_unmapped(document, message_id=message_id)


def _sent_id(source: Source, headers: Mapping[str, str]) -> str:
    """The id that the request itself has, which its repeats have too; empty where there is none."""
    own = source.webhook_signature
    names = {
        "shopify": "x-shopify-event-id",
        "zendesk": "x-zendesk-webhook-invocation-id",
        "generic": "webhook-id" if own is None else own.id_header.lower(),
    }
    return headers.get(names.get(source.webhook or "", ""), "").strip()
