"""The laws of facts: order does not matter, parts put together are the whole, and no event breaks the fold."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.adapters.compression import pack, unpack
from onefold.domain.event import Event
from onefold.domain.facts import NOTHING, Facts, fold, join
from onefold.domain.head import Head
from onefold.domain.order import totals_by_currency
from onefold.domain.profile import Profile, profile_document
from tests.fakes.events import NOON_MS, event

NAMES = ["Product Viewed", "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled", "NPS Given"]
money = st.decimals(min_value=0, max_value=1_000, places=2)

orders = st.fixed_dictionaries(
    {"order_id": st.sampled_from(["o1", "o2", 3])},
    optional={
        "total": money,
        "revenue": money,
        "currency": st.sampled_from(["EUR", "usd"]),
        "refund_id": st.sampled_from(["r1", "r2"]),
        "products": st.lists(st.fixed_dictionaries({"price": money, "quantity": st.integers(0, 3)}), max_size=2),
        "nps": st.integers(0, 10),
        "csat": st.floats(0, 5, width=16),
    },
)
traits = st.dictionaries(
    st.sampled_from(["plan", "city", "age"]), st.one_of(st.none(), st.integers(0, 2), st.text("aé", max_size=2))
)
campaigns = st.fixed_dictionaries({"campaign": st.fixed_dictionaries({"name": st.sampled_from(["summer", "winter"])})})

encode = msgspec.json.Encoder(decimal_format="number").encode


@st.composite
def distinct_events(draw: st.DrawFn) -> list[Event]:
    """Events of different messages; times collide often, so that ties are broken all the time."""
    return [
        event(
            "user_id:u1",
            kind=draw(st.sampled_from(["track", "identify", "page"])),
            name=draw(st.sampled_from([*NAMES, "Live Chat Conversation Ended"])),
            message_id=f"m{number}",
            source=draw(st.sampled_from(["web", "till"])),
            at=NOON_MS + draw(st.integers(0, 3)),
            received_at=NOON_MS + draw(st.integers(0, 2)),
            properties=encode(draw(orders) | {"conversation_duration": draw(st.sampled_from([0, 1.5, 60]))}),
            traits=encode(draw(traits)),
            context=encode(draw(st.one_of(st.just({}), campaigns))),
            consent=draw(st.dictionaries(st.sampled_from(["marketing", "ads"]), st.booleans(), max_size=2)),
        )
        for number in range(draw(st.integers(0, 8)))
    ]


parts = st.tuples(distinct_events(), st.randoms(use_true_random=False))


@given(distinct_events(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(events: list[Event], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert fold(NOTHING, shuffled) == fold(NOTHING, events)


@given(distinct_events(), st.integers(0, 8))
def test_a_whole_is_its_parts_joined(events: list[Event], place: int) -> None:
    left, right = fold(NOTHING, events[:place]), fold(NOTHING, events[place:])

    whole = fold(NOTHING, events)

    assert join(left, right) == whole
    assert join(right, left) == whole
    assert fold(left, events[place:]) == whole


@given(distinct_events(), st.integers(0, 8), st.integers(0, 8))
def test_join_associates_and_nothing_is_neutral(events: list[Event], first: int, second: int) -> None:
    low, high = sorted((first, second))
    a, b, c = (fold(NOTHING, part) for part in (events[:low], events[low:high], events[high:]))

    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, NOTHING) == join(NOTHING, a) == a


@given(distinct_events())
def test_the_newest_word_counts_whatever_came_between(events: list[Event]) -> None:
    facts = fold(NOTHING, events)

    told: dict[str, list[tuple[tuple[int, int, str, str], object]]] = {}
    for each in events:
        if each.kind == "identify":
            for name, value in msgspec.json.decode(each.traits).items():
                told.setdefault(name, []).append(((each.at, each.received_at, each.source, each.message_id), value))
    assert {name: register.value for name, register in facts.traits.items()} == {
        name: max(words, key=lambda word: word[0])[1] for name, words in told.items()
    }
    assert sum(count.times for count in facts.counts.values()) == len(events)


@given(distinct_events())
def test_the_sums_are_those_of_a_loop_over_the_events(events: list[Event]) -> None:
    """Cancelled orders, refunds of the whole and products without a total are left to the units of orders."""
    plain = [each for each in events if each.name in {"Order Completed", "Order Refunded"} and each.kind == "track"]
    placed: dict[str, tuple[object, Decimal, str]] = {}
    for each in plain:
        properties = msgspec.json.decode(each.properties, type=dict[str, msgspec.Raw])
        amount = properties.get("total", properties.get("revenue"))
        if each.name == "Order Completed" and amount is not None:
            stamp = (each.at, each.received_at, each.source, each.message_id)
            order_id = str(msgspec.json.decode(properties["order_id"]))
            currency = str(msgspec.json.decode(properties.get("currency", msgspec.Raw(b'""')))).upper()
            placed[order_id] = max(
                placed.get(order_id, (stamp, Decimal(0), "")), (stamp, Decimal(bytes(amount).decode()), currency)
            )
        else:
            return  # not plain

    totals = totals_by_currency(fold(NOTHING, plain).orders.values(), {})

    expected: dict[str, Decimal] = {}
    for _, total, currency in placed.values():
        expected[currency] = expected.get(currency, Decimal(0)) + total
    assert {currency: Decimal(sums.gross) / 1_000_000 for currency, sums in totals.items()} == expected


hostile_numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["NaN", "sNaN", "-Infinity", "1e999999", "-1e999999", "1e-999999", "9" * 400, "", "12.5", 1e308]),
    st.none(),
    st.booleans(),
)
hostile_values = st.recursive(
    st.one_of(hostile_numbers, st.text("a1é\x00\U0001f600", max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["order_id", "refund_id", "total", "revenue", "value", "currency", "conversation_duration", "nps", "csat", "n"]


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*NAMES, "Live Chat Conversation Ended"]),
            st.dictionaries(st.sampled_from(FIELDS), hostile_values, max_size=6),
            st.lists(st.dictionaries(st.sampled_from(["price", "quantity"]), hostile_numbers), max_size=3),
        ),
        max_size=6,
    )
)
def test_no_event_breaks_the_fold_the_store_or_the_reader(
    told: list[tuple[str, dict[str, object], list[dict[str, object]]]],
) -> None:
    facts = NOTHING
    for name, fields, products in told:
        document = encode(fields | {"products": products} if products else fields)
        for kind in ("track", "identify"):
            facts = fold(
                facts,
                [event("user_id:u1", kind=kind, name=name, properties=document, traits=document, context=document)],
            )

    stored = unpack(pack(facts), Facts)

    assert stored == facts
    assert msgspec.json.encode(profile_document(Profile(Head("p", 1), join(stored, facts))))


@pytest.mark.parametrize("deep", [b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"campaign":' + b"[" * 100_000])
def test_nesting_without_end_is_dropped(deep: bytes) -> None:
    whole = event("user_id:u1", kind="identify", traits=deep, context=deep)
    bought = event("user_id:u1", name="Order Completed", properties=deep + b'"nps"')

    assert fold(NOTHING, [whole, bought]).dropped == 2
