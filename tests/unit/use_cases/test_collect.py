import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from onefold.domain.errors import BodyInvalid, PayloadTooLarge, StreamUnavailable, Unauthorized, Unavailable
from onefold.domain.event import Event, EventBatch, Kind, Refusal, partition_key
from onefold.domain.message import Arrival
from onefold.domain.parcel import BODY_BYTES_MAX, EVENTS_MAX, OBJECTS_MAX
from onefold.domain.source import Source
from onefold.use_cases.collect import REFUSAL_BODY_BYTES_MAX, Collector, CollectRequest, Outcome, group
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER, event

NOON = 1_794_484_800_000
KEY = "key-of-web"
GOOD = {"type": "track", "event": "Product Viewed", "userId": "u1"}


@dataclass
class Collecting:
    sources: KnownSources = field(
        default_factory=lambda: KnownSources(
            Source("web", KEY, kind="browser"), Source("old", "key-of-old", enabled=False)
        )
    )
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    spool: MemorySpool = field(default_factory=MemorySpool)

    def collect(self, body: object, *, kind: Kind | None = None, keys: tuple[str, ...] = (KEY,)) -> Outcome:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        collector = Collector(self.sources, self.log, self.spool, HASHER, lambda text, region: None)
        return collector.collect(CollectRequest(raw, kind, keys, Arrival(NOON)))

    @property
    def events(self) -> list[Event]:
        return [each for _, batch in self.log.batches for each in batch.events]

    @property
    def refusals(self) -> list[Refusal]:
        return [each for _, batch in self.log.batches for each in batch.refusals]


def message(number: int, **fields: Any) -> dict[str, Any]:
    return GOOD | {"messageId": f"m{number}"} | fields


def test_a_batch_becomes_one_record_for_each_partition_key_in_its_order() -> None:
    collecting = Collecting()

    outcome = collecting.collect(
        {"batch": [message(1), message(2, userId="u2"), message(3), message(4, userId="u2", anonymousId="a1")]}
    )

    assert outcome == Outcome("web", accepted=4)
    assert [[each.message_id for each in batch.events] for _, batch in collecting.log.batches] == [
        ["m1", "m3"],
        ["m2"],
        ["m4"],
    ]
    assert [key for key, _ in collecting.log.batches] == [
        HASHER.identifier("user_id", "u1").key,
        HASHER.identifier("user_id", "u2").key,
        HASHER.identifier("anonymous_id", "a1").key,
    ]


def test_a_bad_message_becomes_a_refusal_on_the_stream_and_its_neighbours_go_on() -> None:
    collecting = Collecting()
    bad = '{"type":"track" , "event":7,"messageId":"bad-1"}'
    body = f'{{"batch":[{json.dumps(message(1))},{bad},{json.dumps(message(2, userId="u2"))}]}}'.encode()

    outcome = collecting.collect(body)

    assert outcome.accepted == 2
    [(index, refusal)] = outcome.refused
    assert index == 1
    assert (refusal.message_id, refusal.reason, refusal.source) == ("bad-1", "event_name_missing", "web")
    assert refusal.body == bad.encode()
    assert collecting.refusals == [refusal]
    assert [each.message_id for each in collecting.events] == ["m1", "m2"]
    assert len(collecting.log.batches) == 2


def test_a_batch_of_nothing_but_bad_messages_still_reaches_the_stream() -> None:
    collecting = Collecting()

    outcome = collecting.collect({"batch": [5, None, {"type": "x"}]})

    assert (outcome.accepted, [index for index, _ in outcome.refused]) == (0, [0, 1, 2])
    assert [refusal.body for refusal in collecting.refusals] == [b"5", b"null", b'{"type": "x"}']
    [(key, _)] = collecting.log.batches
    assert key == collecting.refusals[0].message_id


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"a":NaN}', "json_invalid"),
        (b'{"a":Infinity}', "json_invalid"),
        (b'{"properties":{"a":1e400}}', "number_out_of_range"),
        (b'{"properties":{"a":-' + b"1" * 5_000 + b"}}", "number_out_of_range"),
        (b'{"a":01}', "json_invalid"),
        (b'{"properties":{"a":"\xff\xfe"}}', "text_not_utf8"),
        (b'{"properties":{"\xff":1}}', "text_not_utf8"),
        (b'{"a":"\x01"}', "json_invalid"),
        (b'{"a":"\\x"}', "json_invalid"),
        (b'{"a":' + b"[" * 1_100 + b"]" * 1_100 + b"}", "nesting_too_deep"),
        (b'{"a":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "nesting_too_deep"),
        (b'{"a":' + b'{"a":' * 1_100 + b"1" + b"}" * 1_100 + b"}", "nesting_too_deep"),
        (b'{"a" 1}', "json_invalid"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
    ],
)
def test_hostile_json_in_one_message_is_refused_by_a_rule_and_kept_as_received(bad: bytes, reason: str) -> None:
    collecting = Collecting()
    good = [json.dumps(message(number)).encode() for number in (1, 2)]

    outcome = collecting.collect(b'{"batch":[' + b",".join([good[0], bad, good[1]]) + b'],"sentAt":null}')

    assert (outcome.accepted, [index for index, _ in outcome.refused]) == (2, [1])
    [refusal] = collecting.refusals
    assert (refusal.reason, refusal.body) == (reason, bad)
    assert [each.message_id for each in collecting.events] == ["m1", "m2"]


def test_half_an_emoji_is_replaced_and_said() -> None:
    collecting = Collecting()
    body = json.dumps({"batch": [message(1, type="page", name="cut \ud83d"), message(2, type="page")]}).encode()

    assert collecting.collect(body).accepted == 2

    cut, whole = collecting.events
    assert (cut.name, cut.violations, whole.violations) == ("cut \ufffd", ("surrogate_replaced",), ())


def test_a_nul_character_is_taken_out_of_every_text() -> None:
    collecting = Collecting()

    collecting.collect({"batch": [message(1, event="a\0b", userId="u\0" + "1", properties={"k\0": "v\0"})]})

    [stored] = collecting.events
    assert (stored.name, stored.identifiers[0].value, stored.properties) == ("ab", "u1", b'{"k":"v"}')
    assert stored.violations == ("nul_removed",)


def test_f07_a_message_that_comes_twice_is_repeated_and_another_under_its_id_is_told_apart() -> None:
    """An SDK uses one message id for two messages: both are kept, the second is marked."""
    collecting = Collecting()

    outcome = collecting.collect(
        {"batch": [message(1), message(1), message(1, event="Paid"), message(1, event="Paid"), message(2)]}
    )

    assert (outcome.accepted, outcome.repeated) == (3, [1, 3])
    first, conflicting, other = collecting.events
    assert (first.message_id, other.message_id) == ("m1", "m2")
    assert conflicting.message_id.startswith("made-")
    assert (conflicting.name, conflicting.violations) == ("Paid", ("message_id_conflict",))


def test_the_envelope_gives_its_context_send_time_and_write_key() -> None:
    collecting = Collecting()
    envelope = {
        "batch": [message(1, timestamp="2026-11-12T13:00:00Z")],
        "context": {"library": "x"},
        "sentAt": "2026-11-12T13:00:05Z",
        "writeKey": KEY,
    }

    assert collecting.collect(envelope, keys=()).source == "web"

    [stored] = collecting.events
    assert (stored.at, stored.clock) == (NOON - 5_000, "corrected")
    assert stored.context == b'{"library":"x"}'


@pytest.mark.parametrize("keys", [(KEY,), ("unknown", KEY), ("", KEY)])
def test_any_known_key_will_do(keys: tuple[str, ...]) -> None:
    assert Collecting().collect(message(1), kind="track", keys=keys).accepted == 1
    assert Collecting().collect(message(1, writeKey=KEY), kind="track", keys=("unknown",)).accepted == 1


@pytest.mark.parametrize(
    ("key", "reason"), [("", "write_key_invalid"), ("x", "write_key_invalid"), ("key-of-old", "source_disabled")]
)
def test_a_request_without_a_known_key_stores_nothing(key: str, reason: str) -> None:
    collecting = Collecting()

    with pytest.raises(Unauthorized) as refused:
        collecting.collect({"batch": [message(1)], "writeKey": {"a": 1}}, keys=(key,))

    assert refused.value.reason == reason
    assert collecting.log.batches == []


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (b"", BodyInvalid, "body_empty"),
        (b"not json", BodyInvalid, "batch_missing"),
        (b"[]", BodyInvalid, "batch_missing"),
        (b'{"batch":null}', BodyInvalid, "batch_missing"),
        (b'{"batch":[{"a":1}', BodyInvalid, "json_invalid"),
        (b'{"batch":[]} trailing', BodyInvalid, "json_invalid"),
        (b'{"batch":[{"a":"' + b'\\"' * 1_000_000, BodyInvalid, "json_invalid"),
        (b"\xff\xfe", BodyInvalid, "batch_missing"),
        (b"[" * 150_000, BodyInvalid, "batch_missing"),
        (b" " * (BODY_BYTES_MAX + 1), PayloadTooLarge, "body_too_large"),
        (b'{"batch":[' + b"{}," * EVENTS_MAX + b"{}]}", PayloadTooLarge, "too_many_events"),
        (b'{"batch":[' + b"1," * EVENTS_MAX + b"1]}", PayloadTooLarge, "too_many_events"),
        (b'{"batch":[' + b"[]," * OBJECTS_MAX + b"1]}", PayloadTooLarge, "too_many_objects"),
        (b"[" * OBJECTS_MAX * 2, PayloadTooLarge, "too_many_objects"),
    ],
)
def test_a_request_from_which_nothing_can_be_read_is_refused_whole(
    body: bytes, error: type[Exception], reason: str
) -> None:
    collecting = Collecting()

    with pytest.raises(error) as refused:
        collecting.collect(body)

    assert getattr(refused.value, "reason", "") == reason
    assert collecting.log.batches == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"a":NaN}', b"[" * 5_000])
def test_a_single_message_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        Collecting().collect(body, kind="track")


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert Collecting().collect(b"\xef\xbb\xbf" + json.dumps(message(1)).encode(), kind="track").accepted == 1


def test_an_empty_batch_is_accepted_as_nothing() -> None:
    collecting = Collecting()

    assert collecting.collect({"batch": []}) == Outcome("web")
    assert collecting.log.batches == []


def test_a_context_that_would_multiply_beyond_the_limit_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        Collecting().collect({"batch": [message(n) for n in range(500)], "context": {"x": "y" * 20_000}})


def test_a_refused_body_too_large_for_a_record_is_cut_and_said() -> None:
    collecting = Collecting()

    collecting.collect({"batch": [message(1, properties={"x": "y" * 1_000_000}), message(2)]})

    [refusal] = collecting.refusals
    assert refusal.reason == "event_too_large"
    assert len(refusal.body) == REFUSAL_BODY_BYTES_MAX
    assert "are kept" in refusal.detail
    assert [each.message_id for each in collecting.events] == ["m2"]


def test_f01_what_the_stream_does_not_take_waits_in_the_spool() -> None:
    """What stays throttled is acknowledged, because the spool has it."""
    collecting = Collecting()
    collecting.log.refused_keys = {HASHER.identifier("user_id", "u2").key}

    outcome = collecting.collect({"batch": [message(1), message(2, userId="u2"), message(3, userId="u2")]})

    assert (outcome.accepted, outcome.spooled) == (3, 2)
    assert [each.message_id for each in collecting.events] == ["m1"]
    [spooled] = collecting.spool.objects.values()
    assert [[each.message_id for each in batch.events] for _, batch in spooled] == [["m2", "m3"]]


def test_f03_nothing_is_acknowledged_when_neither_takes_it_or_the_sources_are_unknown() -> None:
    """Stream and spool are down: the caller is told to come again."""
    collecting = Collecting()
    collecting.log.broken = collecting.spool.broken = True
    with pytest.raises(StreamUnavailable):
        collecting.collect({"batch": [message(1)]})

    collecting.sources.by_key = None
    with pytest.raises(Unavailable):
        collecting.collect({"batch": [message(1)]})


def test_a_message_without_anybody_goes_where_its_id_says() -> None:
    collecting = Collecting()

    collecting.collect({"batch": [message(1, userId=None)]})

    assert [key for key, _ in collecting.log.batches] == ["m1"]
    assert collecting.events[0].violations == ("identifier_missing",)


def test_grouping_follows_the_partition_key_of_each_event() -> None:
    events = [event("user_id:a"), event("user_id:a", "anonymous_id:d"), event(), event(), event("user_id:a")]

    grouped = group(events, [])

    assert [(key, list(batch.events)) for key, batch in grouped] == [
        (partition_key(events[0]), [events[0], events[4]]),
        (partition_key(events[1]), [events[1]]),
        (events[2].message_id, [events[2]]),
        (events[3].message_id, [events[3]]),
    ]


def test_refusals_travel_with_the_first_record() -> None:
    refusal = Refusal("r", "web", "x", "y", b"", 0)
    first, second = event("user_id:a"), event("user_id:b")

    assert group([first, second], [refusal])[0][1] == EventBatch((first,), (refusal,))
    assert group([], []) == []
    assert msgspec.msgpack.encode(group([], [refusal]))
