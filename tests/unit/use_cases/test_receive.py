"""Receive over fakes: what is stored, what is refused, what waits."""

import gzip
import json
from typing import Any

import pytest

from onefold.adapters.ecdsa_signature import verify_p256
from onefold.domain.device_message import DeviceMessage
from onefold.domain.errors import PayloadTooLarge, Unauthorized, Unavailable
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.message import Arrival
from onefold.domain.source import Source
from onefold.domain.webhook_mapping import PayloadMapping, parse_payload_mapping
from onefold.domain.webhook_secret import WebhookSecrets
from onefold.edge.webhook_api import inflate_if_packed
from onefold.use_cases.collect import Collector, Outcome
from onefold.use_cases.receive import Receiver, WebhookRequest
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import SECRET as DEPLOYMENT_SECRET
from tests.fakes.webhooks import (
    SECRET,
    encoded,
    standard_headers,
    stripe_charge,
    stripe_event,
    stripe_headers,
)

NOW_S = 1_794_477_600
ARRIVAL = Arrival(NOW_S * 1_000)
STRIPE = Source("stripe", "key-of-stripe", webhook="stripe")
LOYALTY = Source("loyalty", "key-of-loyalty", webhook="generic", mapping="loyalty")
THINGS = Source("things", "key-of-things", devices=True)
PARTNER = Source("partner", "key-of-partner", webhook="generic")
CHARGE = encoded(stripe_event("charge.succeeded", stripe_charge()))


class MemorySecrets:
    """Secrets with an age: `stored` is what a fresh read gives, `cached` what is known."""

    def __init__(self) -> None:
        self.stored: dict[str, WebhookSecrets] = {}
        self.cached: dict[str, WebhookSecrets] = {}
        self.asked: list[float] = []

    def load(self, source: str, *, max_age_s: float) -> WebhookSecrets | None:
        self.asked.append(max_age_s)
        return (self.cached if max_age_s > 60 and source in self.cached else self.stored).get(source)


class NamedSources(KnownSources):
    def named(self, name: str) -> Source | None:
        return next((each for each in (self.by_key or {}).values() if each.name == name), None)


class KnownMappings(dict[str, PayloadMapping]):
    def find(self, name: str) -> PayloadMapping | None:
        return self.get(name)


class Bench:
    """A receiver, and what it stands on."""

    def __init__(self, *sources: Source) -> None:
        self.log, self.spool, self.secrets, self.mappings = (
            MemoryEventLog(),
            MemorySpool(),
            MemorySecrets(),
            KnownMappings(),
        )
        known = NamedSources(*(sources or (STRIPE, LOYALTY, THINGS, PARTNER)))
        for source in ("stripe", "loyalty", "partner"):
            self.secrets.stored[source] = WebhookSecrets(SECRET)
        hasher = IdentifierHasher(DEPLOYMENT_SECRET)
        collector = Collector(sources=known, log=self.log, spool=self.spool, hasher=hasher, phone=lambda *_: None)
        self.receiver = Receiver(
            collector=collector,
            sources=known,
            secrets=self.secrets,
            mappings=self.mappings,
            verify_ecdsa=verify_p256,
            inflate=inflate_if_packed,
        )

    def post(self, body: bytes, headers: dict[str, str], source: str = "stripe") -> Outcome:
        lowered = {name.lower(): value for name, value in headers.items()}
        return self.receiver.receive_webhook(WebhookRequest(source, lowered, body, ARRIVAL))

    def publish(self, payload: bytes, source: str = "things", client_id: str = "t-7") -> Outcome:
        import base64

        written = base64.b64encode(payload).decode()
        return self.receiver.receive_device(DeviceMessage(source, written, "m-1", ARRIVAL.received_at, client_id))

    @property
    def events(self) -> list[Any]:
        return [event for _, batch in self.log.batches for event in batch.events]

    @property
    def refusals(self) -> list[Any]:
        return [refusal for _, batch in self.log.batches for refusal in batch.refusals]


def test_a_genuine_request_becomes_an_event_of_its_source() -> None:
    bench = Bench()

    outcome = bench.post(CHARGE, stripe_headers(CHARGE, at=NOW_S))

    assert (outcome.source, outcome.accepted) == ("stripe", 1)
    [event] = bench.events
    assert (event.name, event.message_id, event.source) == ("Order Completed", "evt_1", "stripe")
    assert [each.type for each in event.identifiers] == ["external_id", "email"]
    assert (event.at, event.clock) == (1_794_477_000_000, "as_sent")
    assert json.loads(event.properties)["total"] == 59.99


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "signature_missing"),
        (stripe_headers(CHARGE, secret="whsec_other", at=NOW_S), "signature_wrong"),
        (stripe_headers(CHARGE, at=NOW_S - 301), "signature_stale"),
        (stripe_headers(CHARGE + b" ", at=NOW_S), "signature_wrong"),
    ],
)
def test_nothing_is_stored_of_what_is_not_proved(headers: dict[str, str], reason: str) -> None:
    bench = Bench()

    with pytest.raises(Unauthorized) as refused:
        bench.post(CHARGE, headers)

    assert refused.value.reason == reason
    assert bench.log.batches == []
    assert bench.spool.objects == {}


@pytest.mark.parametrize("source", ["nobody", "things", "", "../stripe"])
def test_only_a_source_that_takes_webhooks_has_an_address(source: str) -> None:
    with pytest.raises(Unauthorized, match="declare it"):
        Bench().post(CHARGE, stripe_headers(CHARGE, at=NOW_S), source)


def test_a_disabled_source_is_refused() -> None:
    with pytest.raises(Unauthorized, match="disabled"):
        Bench(Source("stripe", "key-of-stripe", webhook="stripe", enabled=False)).post(CHARGE, {})


def test_a_secret_that_was_replaced_a_moment_ago_is_found() -> None:
    bench = Bench()
    bench.secrets.cached["stripe"] = WebhookSecrets("whsec_old")

    assert bench.post(CHARGE, stripe_headers(CHARGE, at=NOW_S)).accepted == 1
    assert len(bench.secrets.asked) == 2


def test_the_secret_before_is_good_until_its_time_has_come() -> None:
    bench = Bench()
    bench.secrets.stored["stripe"] = WebhookSecrets("whsec_new", SECRET, NOW_S + 1)
    assert bench.post(CHARGE, stripe_headers(CHARGE, at=NOW_S)).accepted == 1

    bench.secrets.stored["stripe"] = WebhookSecrets("whsec_new", SECRET, NOW_S)
    with pytest.raises(Unauthorized):
        bench.post(CHARGE, stripe_headers(CHARGE, at=NOW_S))


def test_without_a_secret_or_mapping_the_provider_shall_come_again() -> None:
    bench = Bench()
    loyalty = encoded({"type": "a"})
    signed = standard_headers(loyalty, message_id="m", at=NOW_S)
    with pytest.raises(Unavailable, match="not applied"):
        bench.post(loyalty, signed, "loyalty")
    bench.secrets.stored.clear()
    with pytest.raises(Unavailable, match="onefold secret set stripe"):
        bench.post(CHARGE, stripe_headers(CHARGE, at=NOW_S))
    assert bench.log.batches == []


def test_a_mapping_puts_a_sender_into_our_words() -> None:
    bench = Bench()
    bench.mappings["loyalty"] = parse_payload_mapping(
        {"format": "json", "events": [{"event": "Points"}], "identifiers": {"email": "$.mail"}}
    )
    body = encoded({"mail": "eva@posteo-demo.net"})

    bench.post(body, standard_headers(body, message_id="msg_1", at=NOW_S), "loyalty")

    [event] = bench.events
    assert (event.name, event.message_id) == ("Points", "msg_1")
    assert event.identifiers[0].value == "eva@posteo-demo.net"


@pytest.mark.parametrize("body", [b"\xff", b"{", b"7", b'[{"a": 1}, 2]', b'{"a": NaN}', b"", b"[" * 100_000])
def test_a_signed_body_that_cannot_be_read_is_kept_in_the_quarantine(body: bytes) -> None:
    bench = Bench()

    outcome = bench.post(body, stripe_headers(body, at=NOW_S))

    assert (outcome.accepted, len(outcome.refused)) == (0, 1)
    [refusal] = bench.refusals
    assert (refusal.source, refusal.component, refusal.body) == ("stripe", "receive", body)


def test_numbers_and_broken_pairs_arrive_as_exactly_as_they_can() -> None:
    bench = Bench()
    body = b'{"type": "x", "big": 123456789012345678901234567890, "half": "\\ud800", "nul": "\\u0000"}'

    bench.post(body, standard_headers(body, message_id="m", at=NOW_S), "partner")

    [event] = bench.events
    assert json.loads(event.properties) == {
        "type": "x",
        "big": "123456789012345678901234567890",
        "half": "\N{REPLACEMENT CHARACTER}",
        "nul": "",
    }


def test_a_packed_body_is_signed_as_it_is_sent() -> None:
    bench = Bench()
    packed = gzip.compress(CHARGE)

    assert bench.post(packed, stripe_headers(packed, at=NOW_S)).accepted == 1


def test_sizes_are_bounded() -> None:
    bench = Bench()
    large = b" " * (4 * 1_024 * 1_024 + 1)
    with pytest.raises(PayloadTooLarge):
        bench.post(large, stripe_headers(large, at=NOW_S))
    many = encoded([{"type": "x"}] * 2_501)

    outcome = bench.post(many, standard_headers(many, message_id="m", at=NOW_S), "partner")

    assert [refusal.reason for _, refusal in outcome.refused] == ["body_too_large"]
    assert bench.refusals[0].body == many
    empty = b"[]"
    assert bench.post(empty, standard_headers(empty, message_id="m", at=NOW_S), "partner").accepted == 0


def test_f01_what_the_stream_does_not_take_waits_in_the_spool_before_the_answer() -> None:
    """The stream refuses every record: they are spooled, and only when that fails too is the provider told to retry."""
    bench = Bench()
    bench.log.broken = True

    assert bench.post(CHARGE, stripe_headers(CHARGE, at=NOW_S)).spooled == 1
    assert bench.post(b"{", stripe_headers(b"{", at=NOW_S)).spooled == 1
    assert len(bench.spool.objects) == 2
    bench.spool.broken = True
    for body in (CHARGE, b"{"):
        with pytest.raises(Unavailable):
            bench.post(body, stripe_headers(body, at=NOW_S))


def test_a_device_has_its_client_id_and_the_time_of_the_rule() -> None:
    bench = Bench()

    bench.publish(b'{"temperature": 21.5}')

    [event] = bench.events
    assert [(each.type, each.value) for each in event.identifiers] == [("device_id", "t-7")]
    assert (event.name, event.message_id, event.at) == ("Device Message Received", "m-1", ARRIVAL.received_at)


@pytest.mark.parametrize(
    ("payload", "source", "reason"),
    [
        (b"\xff", "things", "json_invalid"),
        (b"{", "things", "json_invalid"),
        (b"{}", "stripe", "source_unknown"),  # declared, but takes no devices
        (b"{}", "nobody", "source_unknown"),
        (b"{}", "Not A Name", "source_unknown"),
    ],
)
def test_what_a_device_publishes_in_vain_is_kept(payload: bytes, source: str, reason: str) -> None:
    bench = Bench()

    outcome = bench.publish(payload, source)

    assert [refusal.reason for _, refusal in outcome.refused] == [reason]
    [refusal] = bench.refusals
    assert (refusal.body, refusal.source) == (payload, "unknown" if source == "Not A Name" else source)


def test_a_message_delivered_twice_is_the_same_message() -> None:
    bench = Bench()

    bench.publish(b'{"a": 1}')
    bench.publish(b'{"a": 1}')

    first, second = bench.events
    assert first == second
