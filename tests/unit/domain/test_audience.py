import os
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from onefold.domain import facts as facts_module
from onefold.domain.audience import (
    DIGITS,
    Arithmetic,
    Audience,
    Compare,
    Constant,
    Expression,
    Like,
    Number,
    Trait,
    evaluate,
    is_member,
)
from onefold.domain.audience_sql import compile_audience
from onefold.domain.event import Event
from onefold.domain.facts import NOTHING, fold

TEXTS = {path.stem: path.read_text() for path in Path(__file__).parents[3].glob("definitions/audiences/*.sql")}
EXAMPLES = {name: compile_audience(name, text) for name, text in TEXTS.items()}
LOYAL, DETRACTORS = EXAMPLES["loyal_customers"], EXAMPLES["detractors"]
[CURRENCY] = re.findall(r"currency = '(\w+)'", TEXTS["loyal_customers"])


def identify(at: int = 1, consent: dict[str, bool] | None = None, **traits: object) -> Event:
    encoded = msgspec.json.encode(traits)
    return Event(f"i{at}", "identify", "", "web", (), at, at, traits=encoded, consent=consent or {})


def track(name: str, at: int = 1, **properties: object) -> Event:
    return Event(f"t{name}{at}", "track", name, "web", (), at, at, properties=msgspec.json.encode(properties))


def answer(predicate: str, *events: Event) -> Any:
    return evaluate(compile_audience("asked", predicate).expression, fold(NOTHING, events))


def order(order_id: str, total: float, at: int = 1, name: str = "Order Completed") -> Event:
    return track(name, at, order_id=order_id, total=total, currency=CURRENCY)


CONSENT = identify(consent={"marketing": True})


def test_a_loyal_customer_has_bought_twice_and_kept_goods_worth_100_of_the_currency() -> None:
    bought = fold(NOTHING, [CONSENT, order("1", 60), order("2", 40, 2)])
    refunded = fold(bought, [order("2", 0.01, 3, "Order Refunded")])
    again = fold(refunded, [order("3", 0.01, 4)])
    cancelled = fold(again, [order("3", 0, 5, "Order Cancelled"), order("1", 0, 6, "Order Cancelled")])

    assert [is_member(LOYAL, facts) for facts in (bought, refunded, again, cancelled)] == [True, False, True, False]


def test_one_order_is_not_loyalty_however_dear() -> None:
    assert not is_member(LOYAL, fold(NOTHING, [CONSENT, order("1", 5000)]))


def test_a_detractor_answers_6_or_less_and_has_bought() -> None:
    bought = fold(NOTHING, [order("1", 60)])
    unhappy = fold(bought, [track("Survey Answered", 2, nps=6)])
    happy = fold(unhappy, [track("Survey Answered", 3, nps=7)])

    assert [is_member(DETRACTORS, facts) for facts in (bought, unhappy, happy)] == [False, True, False]
    assert not is_member(DETRACTORS, fold(NOTHING, [track("Survey Answered", nps=0)]))


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        ([], False),
        ([{"analytics": True}], False),
        ([{"marketing": False}], False),
        ([{"marketing": True}], True),
        ([{"marketing": True}, {"marketing": False}], False),
        ([{"marketing": False}, {"marketing": True}], True),
    ],
)
def test_only_the_newest_consent_to_the_purpose_opens_the_gate(consents: list[dict[str, bool]], expected: bool) -> None:
    audience = compile_audience("everybody", "-- purpose: marketing\nTRUE")
    events = [identify(at, consent) for at, consent in enumerate(consents)]

    assert is_member(audience, fold(NOTHING, reversed(events))) is expected
    assert is_member(Audience("everybody", audience.expression), fold(NOTHING, events))


def test_an_unknown_predicate_makes_no_member() -> None:
    assert answer("traits.age > 3") is None
    assert not is_member(compile_audience("grown", "traits.age > 3"), NOTHING)
    assert not is_member(compile_audience("young", "NOT traits.age > 3"), NOTHING)


@pytest.mark.parametrize(
    ("value", "as_number", "as_text", "as_boolean", "is_present"),
    [
        (12, True, None, None, True),
        (12.0, True, None, None, True),
        ("12", None, True, None, True),
        (True, None, None, True, True),
        (1, False, None, None, True),
        (None, None, None, None, False),
        ([12], None, None, None, False),
        ({"a": 12}, None, None, None, False),
    ],
)
def test_a_trait_of_another_type_is_null(
    value: object, as_number: bool | None, as_text: bool | None, as_boolean: bool | None, is_present: bool
) -> None:
    event = identify(x=value)

    assert answer("traits.x = 12", event) is as_number
    assert answer("traits.x = '12'", event) is as_text
    assert answer("traits.x = TRUE", event) is as_boolean
    assert answer("traits.x IS NOT NULL", event) is is_present
    assert answer("traits.x IS NULL OR traits.x = 12", event) is (as_number is not False)


def test_a_removed_trait_is_null() -> None:
    assert answer("traits.x IS NULL", identify(1, x=3), identify(2, x=None)) is True


def test_numbers_of_traits_are_the_decimals_that_were_sent() -> None:
    assert answer("traits.a + traits.b = 0.3", identify(a=0.1, b=0.2)) is True


def test_money_is_exact() -> None:
    orders = [order(str(number), 0.1, number) for number in range(30)]

    assert answer("(SELECT sum(gross) FROM orders) = 3", *orders) is True


@pytest.mark.parametrize(("left", "right"), [(1, 3), (2, 3), (-1, 7), (10**12, 7), (1, 10**20 + 1)])
def test_a_quotient_is_rounded_to_the_nearest_decimal(left: int, right: int) -> None:
    quotient = evaluate(Arithmetic("/", Constant(left), Constant(right)), NOTHING)

    assert isinstance(quotient, Decimal)
    last_place = Fraction(10) ** (quotient.adjusted() - DIGITS + 1)
    assert 0 < abs(Fraction(quotient) - Fraction(left, right)) <= last_place / 2


def test_division_by_zero_is_null() -> None:
    assert answer("1 / traits.x IS NULL", identify(x=0)) is True
    assert answer("1 / traits.x IS NULL", identify(x=2)) is False


def test_a_number_beyond_every_bound_is_compared_all_the_same() -> None:
    event = identify(x=1e308, y=-(2**63))

    assert answer("traits.x * traits.x * traits.x > traits.x AND traits.y < -9223372036854775807.5", event) is True


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("aa", "a%a", True),
        ("a", "a%a", False),
        ("aa", "%a%a%", True),
        ("a", "%a%a%", False),
        ("aba", "%ab%ba%", False),
        ("abba", "%ab%ba%", True),
        ("abab", "%ab", True),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
        ("a\nc", "a_c", True),
        ("abc", "a_", False),
        ("", "%%", True),
        ("", "_", False),
    ],
)
def test_each_piece_of_a_pattern_matches_after_the_one_before(text: str, pattern: str, *, expected: bool) -> None:
    assert evaluate(Like(Constant(text), pattern), NOTHING) is expected


@pytest.mark.parametrize("text", ["x" * 2_000, "x" * 1_999 + "y"])
def test_no_pattern_takes_long(text: str) -> None:
    like = Like(Constant(text), "%x%x%x%x%x%x%x%x%x%_x_%x%y")

    assert evaluate(like, NOTHING) is text.endswith("y")


def test_events_are_counted_by_name_and_by_kind() -> None:
    page = Event("p", "page", "Seen", "web", (), 5, 5)
    events = [track("Seen", 1_000), track("Seen", 2_000), page]

    assert answer("(SELECT count(*) FROM events WHERE name = 'Seen') = 2", *events) is True
    assert answer("(SELECT count(*) FROM events WHERE kind = 'page') = 1", *events) is True
    assert answer("(SELECT count(*) FROM events WHERE name = 'Never') = 0", *events) is True
    assert answer("(SELECT max(at) FROM events WHERE name = 'Never') IS NULL", *events) is True
    assert answer("(SELECT min(at) FROM events WHERE name = 'Seen') = TIMESTAMP '1970-01-01 00:00:01'", *events) is True
    assert answer("(SELECT max(at) FROM events WHERE name = 'Seen') = TIMESTAMP '1970-01-01 00:00:02'", *events) is True


def test_counts_are_unknown_where_not_every_event_name_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_module, "EVENT_NAMES_MAX", 1)

    assert answer("(SELECT count(*) FROM events WHERE name = 'A') = 1", track("A"), track("A", 2)) is False
    assert answer("(SELECT count(*) FROM events WHERE name = 'A') = 1", track("A"), track("B")) is None
    assert answer("(SELECT min(at) FROM events WHERE name = 'B') IS NULL", track("A"), track("B")) is True


def test_a_refund_of_an_order_never_seen_is_no_order() -> None:
    refund = order("9", 5, name="Order Refunded")

    assert answer("(SELECT count(*) FROM orders) = 0", refund) is True
    in_currency = f"(SELECT sum(net) FROM orders WHERE currency = '{CURRENCY}') = -5"  # noqa: S608 - a definition's word

    assert answer(in_currency, refund) is True
    assert answer("(SELECT sum(net) FROM orders WHERE currency = 'XXX') IS NULL", refund) is True
    assert answer("(SELECT sum(net) FROM orders) IS NULL", track("Order Refunded", order_id="9")) is True

    of_units = track("Order Refunded", order_id="9", products=[{"quantity": 2}])
    assert answer("(SELECT sum(net) FROM orders) = 0", of_units) is True


EVERY_TERM = """
    CASE WHEN traits.a IN ('x', 'y') OR traits.b IN (1, 2.5) THEN consents.c
         WHEN NOT answers.nps / 2 >= 2.5 THEN coalesce(nullif(lower(traits.a), upper(traits.d)), '-') NOT LIKE '_%' END
    AND (SELECT count(*) FROM events WHERE kind = 'page') > 0 AND traits.e IS NULL
    AND (SELECT sum(net) FROM orders) BETWEEN -0.5 AND 3 AND traits.f
"""


@pytest.mark.parametrize("form", [msgspec.json, msgspec.msgpack])
def test_the_compiled_form_survives_storage(form: Any) -> None:
    audience = compile_audience("every_term", f"-- purpose: marketing\n-- description: All: of it\n{EVERY_TERM}")

    stored = form.decode(form.encode(audience), type=Audience)

    assert stored == audience
    assert (stored.name, stored.purpose, stored.description) == ("every_term", "marketing", "All: of it")


def test_the_compiled_form_keeps_its_shape() -> None:
    expression: Expression = Compare(">=", Trait("age", "number"), Number(Decimal("17.5")))

    encoded = msgspec.json.encode(Audience("grown", expression, "marketing"))

    assert encoded == b'["grown",["Compare",">=",["Trait","age","number"],["Number","17.5"]],"marketing",""]'
    assert msgspec.json.decode(encoded, type=Audience) == Audience("grown", expression, "marketing")


def test_evaluation_does_not_load_the_parser() -> None:
    code = "import sys, onefold.domain.audience; sys.exit('sqlglot' in sys.modules)"
    path = os.pathsep.join(sys.path)

    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=False).returncode == 0


def test_nobody_unknown_is_in_an_example() -> None:
    assert not any(is_member(audience, NOTHING) for audience in EXAMPLES.values())
