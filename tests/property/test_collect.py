"""Laws of collecting: nothing is lost or invented, whatever a stranger sends."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.phone_numbers import read_e164
from onefold.domain.errors import Rejected
from onefold.domain.event import KINDS, Event, EventBatch, Refusal
from onefold.domain.json_text import NESTING_MAX, replace_lone_surrogates, split_batch
from onefold.domain.message import Arrival
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, CollectRequest, KeyedBatch, Outcome
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.unit.adapters.test_kinesis_event_log import ScriptedStream

NOON = 1_794_484_800_000
KEY = "key-of-web"

scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(2**53 - 2, 2**53 + 2) | st.floats() | st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
deep_values = st.builds(
    lambda value, levels, as_list: _nest(value, levels, as_list=as_list), values, st.integers(25, 1_200), st.booleans()
)


def _nest(value: Any, levels: int, *, as_list: bool) -> Any:
    for _ in range(levels):
        value = [value] if as_list else {"k": value}
    return value


# Fields that mean something, holding anything, or something sensible.
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | values},
    optional={
        "messageId": st.sampled_from(["m1", "m2"]) | values,
        "userId": st.sampled_from(["u1", "u2"]) | values,
        "anonymousId": st.uuids().map(str) | values,
        "previousId": st.just("p1") | values,
        "groupId": st.just("g1") | values,
        "event": st.just("Order Completed") | values,
        "name": values,
        "timestamp": st.just("2026-11-12T11:00:00Z") | values,
        "originalTimestamp": values,
        "sentAt": values,
        "properties": st.dictionaries(st.text(max_size=8), values | deep_values, max_size=3) | values,
        "traits": st.dictionaries(st.sampled_from(["email", "phone", "x"]), values, max_size=3) | values,
        "context": st.fixed_dictionaries(
            {},
            optional={
                "externalIds": st.lists(st.fixed_dictionaries({"type": values, "id": values}), max_size=3) | values,
                "device": st.fixed_dictionaries({"id": values, "advertisingId": values}) | values,
                "traits": values,
                "consent": st.fixed_dictionaries({"categoryPreferences": values}) | values,
                "consentManagement": st.fixed_dictionaries({"allowedConsentIds": values}) | values,
            },
        )
        | values,
    },
)


def collector(log: MemoryEventLog) -> Collector:
    source = Source("web", KEY, kind="browser", phone_region="DE", email_in_properties=True)
    return Collector(KnownSources(source), log, MemorySpool(), HASHER, read_e164)


def collect(body: bytes) -> tuple[Outcome, list[Event], list[Refusal]]:
    log = MemoryEventLog()
    outcome = collector(log).collect(CollectRequest(body, None, (KEY,), Arrival(NOON, "203.0.113.7", "Browser/1.0")))
    events = [event for _, batch in log.batches for event in batch.events]
    return outcome, events, [refusal for _, batch in log.batches for refusal in batch.refusals]


def depth_of(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


def leaves_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *(leaf for child in value.values() for leaf in leaves_of(child))]
    return [leaf for child in value for leaf in leaves_of(child)] if isinstance(value, list) else [value]


@given(st.lists(messages | values, max_size=6))
@settings(max_examples=150, deadline=None)
def test_every_message_is_accepted_repeated_or_refused_and_stored_in_a_form_that_everybody_reads(
    batch: list[Any],
) -> None:
    body = json.dumps({"batch": batch}).encode()  # writes NaN, Infinity and lone surrogates, as Python's SDKs do

    outcome, events, refusals = collect(body)

    assert outcome.accepted + len(outcome.repeated) + len(outcome.refused) == len(batch)
    assert len(events) == outcome.accepted
    assert len({event.message_id for event in events}) == len(events)
    assert [refusal for _, refusal in outcome.refused] == refusals
    for index, refusal in outcome.refused:
        assert json.dumps(json.loads(refusal.body)) == json.dumps(batch[index])
    for event in events:
        assert event.at <= NOON
        for text in (event.properties, event.traits, event.context):
            value = json.loads(text, parse_constant=_never)
            assert isinstance(value, dict)
            assert depth_of(value) <= NESTING_MAX
            for leaf in leaves_of(value):
                assert not isinstance(leaf, int) or abs(leaf) <= 2**53
                assert not isinstance(leaf, str) or "\0" not in leaf
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event


def _never(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\batchu0d8 1eN-', max_size=80).map(str.encode))
@settings(max_examples=500, deadline=None)
def test_no_bytes_bring_forth_anything_but_a_refusal(body: bytes) -> None:
    for text in (body, b'{"batch":[' + body + b"]}", b'{"batch":[{"type":"page","properties":' + body + b"}]}"):
        try:
            outcome, events, refusals = collect(text)
        except Rejected as refused:
            assert refused.reason  # noqa: PT017
        else:
            assert (len(events), len(refusals)) == (outcome.accepted, len(outcome.refused))


@given(st.lists(messages, min_size=1, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_how_messages_are_put_into_requests_does_not_matter(batch: list[Any], data: st.DataObject) -> None:
    for number, message in enumerate(batch):
        message["messageId"] = f"id-{number}"
    cut = data.draw(st.integers(0, len(batch)))

    together: list[bytes] = []
    apart: list[bytes] = []
    for parts, found in (([batch], together), ([batch[cut:], batch[:cut]], apart)):
        for part in parts:
            _, events, refusals = collect(json.dumps({"batch": part}).encode())
            found += [msgspec.msgpack.encode(each) for each in (*events, *refusals)]

    assert sorted(together) == sorted(apart)


@given(st.lists(values, max_size=8), st.sampled_from([None, 1]), st.text(max_size=5))
@settings(deadline=None)
def test_a_batch_is_cut_as_a_json_parser_reads_it(batch: list[Any], indent: int | None, key: str) -> None:
    # Texts beside objects are cut by their commas: they are refused either way, so only their own bytes may differ.
    batch = [value for value in batch if not isinstance(value, str)]
    document = {key + "!": {"batch": [1]}, "batch": batch, "after": [{}]}
    body = json.dumps(document, indent=indent).encode()

    rest, elements = split_batch(body)

    assert [json.dumps(json.loads(element)) for element in elements] == [json.dumps(value) for value in batch]
    assert json.dumps(json.loads(rest)) == json.dumps(document | {"batch": []})


@given(st.text(alphabet=st.characters() | st.characters(categories=["Cs"])))
def test_lone_surrogates_are_replaced_as_utf_16_replaces_them(text: str) -> None:
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    assert json.loads(replace_lone_surrogates(json.dumps(text).encode())) == expected


@given(
    st.dictionaries(st.text(max_size=8), st.integers(0, 40), max_size=30),
    st.sets(st.tuples(st.integers(0, 29), st.integers(1, 9))),
)
@settings(deadline=None)
def test_a_log_stores_or_gives_back_each_batch_and_never_both(
    sizes: dict[str, int], faults: set[tuple[int, int]]
) -> None:
    order = list(sizes)
    stream = ScriptedStream(lambda key, call: (order.index(key), call) in faults)
    log = KinesisEventLog(stream, "events", sleep=lambda _: None, jitter=lambda: 0)  # type: ignore[arg-type]
    given_: list[KeyedBatch] = [
        (key, EventBatch((), tuple(Refusal(f"{key}{n}", "web", "r", "d", b"x" * 30, NOON) for n in range(size))))
        for key, size in sizes.items()
    ]

    left = log.append(given_)

    assert sorted(stream.stored + left, key=repr) == sorted(given_, key=repr)
