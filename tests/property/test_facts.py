"""The laws of facts: order does not matter, parts put together are the whole, and no event breaks the fold."""

from decimal import Decimal
from random import Random
from typing import Any, cast

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.adapters.compression import pack, unpack
from onefold.domain.event import Event, Kind
from onefold.domain.facts import NOTHING, Facts, fold, join, join_all
from onefold.domain.fragment import Fragment
from onefold.domain.head import Head
from onefold.domain.lighten import lighten
from onefold.domain.profile import Profile, profile_document, provenance_document, traits_document
from onefold.domain.register import Register, merge_registers
from onefold.domain.sales import totals_by_currency
from onefold.domain.session import SESSION_GAP_MS, Session, add_times, join_sessions
from onefold.domain.traits import names_of, path_of, settle_traits
from tests.fakes.events import NOON_MS, event, identifier
from tests.faults import oracle

ORDER_NAMES = ["Order Completed", "Order Updated", "Order Refunded", "Order Refunded", "Order Cancelled"]
OTHER_NAMES = ["Product Viewed", *oracle.MAIL.values(), *(name for name, _ in oracle.CONTACTS.values())]
PAUSES = [0, 1, 2, SESSION_GAP_MS - 1, SESSION_GAP_MS, SESSION_GAP_MS + 1, oracle.DAY_MS]

orders = st.fixed_dictionaries(
    {"order_id": st.sampled_from(["o1", "o2"])},
    optional={
        "total": st.integers(0, 30),
        "currency": st.sampled_from(["EUR", "USD"]),
        "refund_id": st.sampled_from(["r1", "r2"]),
    },
)
properties = st.fixed_dictionaries(
    {},
    optional={
        **{length: st.integers(0, 90) for _, length in oracle.CONTACTS.values()},
        "nps": st.integers(0, 10),
        "csat": st.floats(0, 5, width=16),
    },
)
scalars = st.one_of(st.none(), st.integers(0, 2), st.text("aé", max_size=2), st.just([{"b": 1}]))
names = st.sampled_from(["a", "b", "b.a", "b\\"])
traits = st.dictionaries(
    names, st.recursive(scalars, lambda inner: st.dictionaries(names, inner, max_size=2), max_leaves=4), max_size=3
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "campaign": st.fixed_dictionaries({"name": st.sampled_from(["summer", "winter"])}),
        "device": st.fixed_dictionaries({}, optional={"type": st.just("ios"), "model": st.sampled_from(["m1", "m2"])}),
        "os": st.fixed_dictionaries({"name": st.just("iOS"), "version": st.sampled_from(["17", "18"])}),
        "consent": st.fixed_dictionaries({"categoryPreferences": st.just({})}, optional={"policy": st.just("v1")}),
    },
)
kinds = st.sampled_from(cast("list[Kind]", ["track", "track", "identify", "identify", "page", "group"]))
identified = st.sampled_from([(), ("user_id:u1",), ("user_id:u1", "device_id:d1"), ("anonymous_id:a1",)])
unhurried = settings(deadline=None)  # a machine that many share takes its time
encode = msgspec.json.Encoder(decimal_format="number").encode


@st.composite
def distinct_events(draw: st.DrawFn) -> list[Event]:
    """Events of different messages; times collide often, so that ties are broken all the time."""
    events, at = [], NOON_MS
    for number in range(draw(st.integers(0, 8))):
        at += draw(st.sampled_from(PAUSES))
        kind = draw(kinds)
        name = draw(st.sampled_from([*ORDER_NAMES, *OTHER_NAMES]))
        said = draw(orders if name in ORDER_NAMES else properties) if kind == "track" else {}
        events.append(
            event(
                *draw(identified),
                kind=kind,
                name=name,
                message_id=f"m{number}",
                source=draw(st.sampled_from(["web", "till"])),
                at=at - draw(st.integers(0, 2)),
                received_at=at + draw(st.integers(0, 2)),
                properties=encode(said),
                traits=encode(draw(traits)) if kind == "identify" else b"{}",
                context=encode(draw(contexts)),
                consent=draw(st.dictionaries(st.sampled_from(["marketing", "ads"]), st.booleans(), max_size=2)),
                account=identifier(draw(st.sampled_from(["group_id:g1", "group_id:g2"]))) if kind == "group" else None,
            )
        )
    return events


def document(facts: Facts) -> dict[str, Any]:
    return profile_document(Profile(Head("p", 1), facts))


chances = st.randoms(use_true_random=False)


@unhurried
@given(distinct_events(), chances)
def test_a_profile_says_what_a_plain_loop_over_its_events_says(events: list[Event], chance: Random) -> None:
    chance.shuffle(events)

    assert oracle.told(document(fold(NOTHING, events))) == oracle.facts_document(events)


@unhurried
@given(distinct_events(), chances, st.integers(1, 4))
def test_any_order_in_any_fragments_gives_the_same_bytes(events: list[Event], chance: Random, count: int) -> None:
    shuffled = chance.sample(events, len(events))
    fragments: list[list[Event]] = [[] for _ in range(count)]
    for each in shuffled:
        chance.choice(fragments).append(each)

    whole = fold(NOTHING, events)

    assert fold(NOTHING, shuffled) == whole
    assert join_all(fold(NOTHING, part) for part in fragments) == whole
    assert encode(document(join_all(fold(NOTHING, part) for part in fragments))) == encode(document(whole))


@unhurried
@given(distinct_events(), st.integers(0, 8), st.integers(0, 8))
def test_join_commutes_and_associates_and_nothing_is_neutral(events: list[Event], first: int, second: int) -> None:
    low, high = sorted((first, second))
    a, b, c = (fold(NOTHING, part) for part in (events[:low], events[low:high], events[high:]))

    assert join(a, b) == join(b, a) == fold(a, events[low:high])
    assert join(join(a, b), c) == join(a, join(b, c)) == join_all((c, a, b))
    assert join(a, NOTHING) == join(NOTHING, a) == a


@unhurried
@given(distinct_events(), st.integers(0, 8))
def test_what_is_told_twice_is_known_once(events: list[Event], place: int) -> None:
    part, whole = fold(NOTHING, events[:place]), fold(NOTHING, events)

    again = join(join(whole, part), whole)

    for field in ("traits", "orders", "campaigns", "answers", "devices", "consents", "accounts"):
        assert getattr(again, field) == getattr(whole, field)


registers = st.dictionaries(
    st.sampled_from(["a", "a.b", "a.b.c", "a.c", "a\\.b", "a\\.b.c", "b"]),
    st.builds(Register, st.integers(0, 2), st.just(0), st.just("web"), st.sampled_from(["m1", "m2"]), scalars),
)


def settled(*parts: dict[str, Register]) -> dict[str, Register]:
    together: dict[str, Register] = {}
    for part in parts:
        merge_registers(together, part)
    settle_traits(together)
    return together


@unhurried
@given(registers, registers, registers)
def test_registers_may_be_settled_at_any_time_whatever_stamps_collide(
    a: dict[str, Register], b: dict[str, Register], c: dict[str, Register]
) -> None:
    whole = settled(a, b, c)

    assert settled(settled(a, b), c) == settled(a, settled(c, b)) == settled(whole, a) == settled(whole) == whole


@unhurried
@given(st.dictionaries(st.text('.\\a"b é', max_size=4), st.integers(0, 9), max_size=4), st.text(".\\a", max_size=4))
def test_any_name_comes_back_as_it_was_sent(inner: dict[str, int], name: str) -> None:
    facts = fold(NOTHING, [event("user_id:u1", kind="identify", traits={name: inner, f"{name}.": 1})])
    profile = Profile(Head("p", 1), facts)

    assert traits_document(profile) == dict(sorted({**({name: inner} if inner else {}), f"{name}.": 1}.items()))
    paths = {names_of(path) for path in provenance_document(profile)}
    assert paths == {(f"{name}.",), *((name, each) for each in inner)}
    assert names_of(path_of(name)) == (name,)


SESSIONIZE = """
WITH marked AS (
    SELECT t, coalesce(t - lag(t) OVER (ORDER BY t) > ?, TRUE)::INT AS starts FROM unnest(?::BIGINT[]) AS u(t)
),
numbered AS (SELECT t, sum(starts) OVER (ORDER BY t ROWS UNBOUNDED PRECEDING) AS session FROM marked)
SELECT min(t), max(t) - min(t), count(*) FROM numbered GROUP BY session ORDER BY 1
"""
gaps = st.one_of(st.sampled_from(PAUSES), st.integers(0, 3 * SESSION_GAP_MS))


@settings(max_examples=60, deadline=None)
@given(st.lists(gaps, min_size=1, max_size=40), chances, st.integers(1, 5))
def test_sessions_are_those_of_duckdb_in_any_portions(gaps: list[int], chance: Random, portions: int) -> None:
    times = [NOON_MS + sum(gaps[:number]) for number in range(len(gaps))]
    with duckdb.connect(config={"threads": "1"}) as database:
        expected = tuple(Session(*row) for row in database.execute(SESSIONIZE, [SESSION_GAP_MS, times]).fetchall())
    chance.shuffle(times)
    parts = [part for number in range(portions) if (part := times[number::portions])]

    folded: tuple[Session, ...] = ()
    for part in parts:
        folded = add_times(folded, part)

    assert folded == add_times((), times) == expected
    assert join_sessions(session for part in parts for session in add_times((), part)) == expected


money = st.decimals(min_value=0, max_value=1_000, places=2)
products = st.lists(st.fixed_dictionaries({"price": money, "quantity": st.integers(0, 3)}), min_size=1, max_size=3)


@unhurried
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["EUR", "usd"]), money | products), max_size=8))
def test_money_is_that_of_exact_decimals(placed: list[tuple[int, str, Decimal | list[dict[str, Any]]]]) -> None:
    events, expected = [], {}
    for number, (order_id, currency, sum_) in enumerate(placed):
        stated = {"total": sum_} if isinstance(sum_, Decimal) else {"products": sum_}
        said = encode({"order_id": f"o{order_id}", "currency": currency, **stated})
        events.append(event("user_id:u1", name="Order Completed", at=NOON_MS + number, properties=said))
        total = sum_ if isinstance(sum_, Decimal) else sum(each["price"] * each["quantity"] for each in sum_)
        expected[order_id] = (currency.upper(), total)

    totals = totals_by_currency(fold(NOTHING, events).orders.values(), {})

    for currency in {currency for currency, _ in expected.values()}:
        total = sum(Decimal(total) for known, total in expected.values() if known == currency)
        assert Decimal(totals[currency].gross) / 1_000_000 == total


hostile_numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["NaN", "sNaN", "-Infinity", "1e999999", "-1e999999", "1e-999999", "9" * 400, "", "12.5", 1e308]),
    st.none(),
    st.booleans(),
)
hostile_values = st.recursive(
    st.one_of(hostile_numbers, st.text("a1.\\é\x00\U0001f600", max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\\", max_size=5), inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = [
    *("order_id", "refund_id", "total", "revenue", "value", "currency", "products", "nps", "csat", "n"),
    *(length for _, length in oracle.CONTACTS.values()),
]
CONTEXT = ["campaign", "device", "os", "consent", "consentManagement"]
hostile_contexts = st.dictionaries(
    st.sampled_from(CONTEXT),
    hostile_values
    | st.dictionaries(st.sampled_from(["name", "source", "type", "model", "version", "proof"]), hostile_values),
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*ORDER_NAMES, *OTHER_NAMES]),
            st.dictionaries(st.sampled_from(PROPERTIES), hostile_values, max_size=6),
            st.none() | st.lists(st.dictionaries(st.sampled_from(["price", "quantity"]), hostile_numbers), max_size=3),
            hostile_contexts,
            st.integers(-(2**62), 2**62),
        ),
        max_size=6,
    )
)
def test_no_event_breaks_the_fold_the_store_or_the_reader(
    told: list[tuple[str, dict[str, object], list[dict[str, object]] | None, dict[str, object], int]],
) -> None:
    facts = NOTHING
    for name, fields, lines, context, at in told:
        said = encode(fields if lines is None else fields | {"products": lines})
        for kind in cast("list[Kind]", ["track", "identify", "group"]):
            shown = {"consent": {"ads": True}, "account": identifier("group_id:g") if kind == "group" else None}
            parts = {"properties": said, "traits": said, "context": encode(context)}
            facts = fold(facts, [event("device_id:d", kind=kind, name=name, at=at, **parts, **shown)])

    stored = unpack(pack(facts), Facts)

    assert stored == facts
    assert msgspec.json.encode(document(join(stored, facts)))
    lighter = lighten(Fragment(facts)).facts
    assert msgspec.json.encode(document(lighter))
    assert sum(each.times for each in lighter.counts.values()) == sum(each.times for each in facts.counts.values())


@pytest.mark.parametrize("deep", [b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"campaign":' + b"[" * 100_000])
def test_nesting_without_end_is_dropped(deep: bytes) -> None:
    whole = event("device_id:d1", kind="identify", traits=deep, context=deep + b'"device"', consent={"ads": True})
    bought = event("user_id:u1", name="Order Completed", properties=deep + b'"nps"')

    assert fold(NOTHING, [whole, bought]).dropped == {"unreadable_traits": 1, "orders": 1}
