"""Laws of audiences: the stream's evaluation equals DuckDB's of the same text over the plain events."""
# ruff: noqa: S608 - the texts put together are this suite's own

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from onefold.domain import facts as facts_module
from onefold.domain.audience import Audience, ChangeCase, Constant, evaluate, is_member
from onefold.domain.audience_sql import compile_audience
from onefold.domain.event import Event, Kind
from onefold.domain.facts import NOTHING, Facts, fold, join
from tests.property.audience_oracle import PURPOSES, Oracle
from tests.property.audience_predicates import Written, predicates

SHORT = settings(max_examples=100, deadline=None)
PREDICATES = 6
Body = tuple[Kind, str, dict[str, Any], dict[str, Any]]  # kind, name, traits, properties
BASE_AT = 1_700_000_000_000
TRACKED = ("Product Added", "it's 100% odd_")
LETTERS = "aAbBéÉςΣİ1_% \n'"
amounts = st.one_of(st.integers(0, 200), st.decimals(-10, 500, places=2), st.decimals(0, 1, places=6)).map(float)
values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 30),
    amounts,
    st.text(LETTERS, max_size=4),
    st.sampled_from(["pro", "Pro", "12", "true", "", [1], {"pro": 1}, "aΣ"]),
)
traits = st.dictionaries(st.sampled_from(["age", "score", "plan", "home town", "vip", "ref"]), values, max_size=6)
answers = st.fixed_dictionaries(
    {},
    optional={"nps": st.one_of(st.none(), st.integers(0, 10)), "csat": st.one_of(st.integers(1, 5), st.just(4.5))},
)
reports = st.fixed_dictionaries(
    {"order_id": st.sampled_from(["1", "2", "3"])},
    optional={
        "total": amounts,
        "currency": st.sampled_from(["GBP", "EUR"]),
        "refund_id": st.sampled_from(["r1", "r2"]),
        "products": st.lists(st.fixed_dictionaries({"quantity": st.integers(-2, 5)}), min_size=1, max_size=1),
        "nps": st.integers(0, 10),
    },
)
ORDER_NAMES = ["Order Completed"] * 3 + ["Order Updated", "Order Refunded", "Order Refunded", "Order Cancelled"]
bodies: st.SearchStrategy[Body] = st.one_of(
    st.tuples(st.just("identify"), st.just(""), traits, st.just({})),
    st.tuples(st.just("track"), st.sampled_from(TRACKED), st.just({}), answers),
    st.tuples(st.just("track"), st.sampled_from(ORDER_NAMES), st.just({}), reports),
    st.tuples(st.sampled_from(["page", "screen", "group", "alias"]), st.sampled_from(TRACKED), traits, reports),
)
moments = st.tuples(st.integers(0, 4), st.integers(0, 1), st.sampled_from(["till", "web"]))
consents: st.SearchStrategy[dict[str, bool]] = st.one_of(
    st.just({}), st.dictionaries(st.sampled_from(PURPOSES), st.booleans(), max_size=2)
)


@st.composite
def histories(draw: st.DrawFn, *, bodies: st.SearchStrategy[Body] = bodies, size_max: int = 10) -> list[Event]:
    drawn = draw(st.lists(st.tuples(bodies, moments, consents), max_size=size_max))
    return [
        Event(
            f"m{number}", kind, name, source, (), BASE_AT + at, BASE_AT + received_at,
            traits=json.dumps(traits).encode(), properties=json.dumps(properties).encode(), consent=consent,
        )
        for number, ((kind, name, traits, properties), (at, received_at, source), consent) in enumerate(drawn)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def facts_of(events: list[Event], cut: int) -> Facts:
    """What two fragments of the person add up to, each folded backwards."""
    return join(fold(NOTHING, events[:cut][::-1]), fold(NOTHING, events[cut:][::-1]))


def agree(oracle: Oracle, facts: Facts, written: Written, purpose: str | None) -> None:
    text = f"-- purpose: {purpose}\n{written.text}" if purpose else written.text
    note(text)
    audience = compile_audience("drawn", text)
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(audience), type=Audience)
    answer, consented = oracle.answer(written.text, written.scalars, purpose)

    assert evaluate(audience.expression, facts) is answer
    assert is_member(stored, facts) is (answer is True and consented is True)


@SHORT
@given(
    histories(),
    st.integers(0, 10),
    st.lists(st.tuples(predicates, st.sampled_from([None, *PURPOSES])), min_size=PREDICATES, max_size=PREDICATES),
)
def test_membership_equals_duckdb_over_the_plain_events(
    oracle: Oracle, events: list[Event], cut: int, drawn: list[tuple[Written, str | None]]
) -> None:
    facts = facts_of(events, cut)
    oracle.load(events)

    for written, purpose in drawn:
        agree(oracle, facts, written, purpose)


single_reports: st.SearchStrategy[Body] = st.tuples(
    st.just("track"), st.sampled_from(["Order Completed", "Order Refunded", "Order Cancelled"]), st.just({}), reports
)
SUMS = [
    f"{coalesced[0]}(SELECT {measure} FROM orders{where}){coalesced[1]} {operator} {bound}"
    for measure in ("count(*)", "sum(gross)", "sum(refunded)", "sum(net)", "sum(units)")
    for where in ("", " WHERE currency = 'GBP'", " WHERE currency = ''")
    for coalesced in (("", ""), ("coalesce(", ", 0)"))
    for operator, bound in ((">", 0), ("<=", 3.5))
]


@SHORT
@given(
    histories(bodies=single_reports, size_max=12),
    st.integers(0, 12),
    st.lists(st.sampled_from(SUMS), min_size=PREDICATES, max_size=PREDICATES),
)
def test_orders_that_left_the_ledger_still_count(
    oracle: Oracle, events: list[Event], cut: int, texts: list[str]
) -> None:
    events = [with_own_order_id(event) for event in events]
    oracle.load(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts_module, "ORDERS_MAX", 2)
        facts = facts_of(events, cut)

    for text in texts:
        agree(oracle, facts, Written(text, {}), None)


def with_own_order_id(event: Event) -> Event:
    properties = {**json.loads(event.properties), "order_id": event.message_id}
    return msgspec.structs.replace(event, properties=json.dumps(properties).encode())


@SHORT
@given(st.text("ab\n", max_size=8), st.text("ab_%\n", max_size=8) | st.text("a%", max_size=8))
def test_like_equals_duckdb(oracle: Oracle, text: str, pattern: str) -> None:
    predicate = f"'{text}' LIKE '{pattern}'"

    assert evaluate(compile_audience("drawn", predicate).expression, NOTHING) is oracle.answer(predicate, {})[0]


@pytest.mark.parametrize("case", ["lower", "upper"])
def test_every_letter_changes_case_as_in_duckdb(oracle: Oracle, case: Literal["lower", "upper"]) -> None:
    letters = [chr(point) for point in range(0x80, 0x2500) if chr(point) != "ß"]  # DuckDB: ẞ; Unicode and Trino: ß
    changed = oracle.change_case(case, letters)

    assert [evaluate(ChangeCase(case, Constant(letter)), NOTHING) for letter in letters] == changed
