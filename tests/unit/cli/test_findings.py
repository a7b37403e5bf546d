"""The demonstration's own judge: right results pass, and each kind of wrong one is noticed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from cli.demo.findings import Check, Findings, compare
from cli.demo.run import _judge
from cli.query import Answer
from cli.simulator import Expected, Truth, simulate
from cli.webhooks import Received

TRUTH: Truth = simulate(seed=3, persons=60).truth


def profile(number: int, expected: Expected) -> dict[str, Any]:
    """A profile as the API would show it, if all went well."""
    pairs = [identifier.partition(":") for identifier in expected.identifiers]
    orders = {
        "orders": expected.orders,
        "units": expected.units,
        "gross": str(expected.gross),
        "refunded": str(expected.refunded),
    }
    return {
        "profile_id": f"p_{number}",
        "identifiers": [{"type": kind, "value": value} for kind, _, value in pairs],
        "events": {
            "page:": {"times": expected.events},
        },
        "email": {"opened": {"times": expected.email_opens} if expected.email_opens else None},
        "orders": {"EUR": orders} if expected.orders else {},
        "support": {"nps": None if expected.nps is None else {"value": expected.nps}},
        "audiences": [{"audience": name} for name in sorted(expected.audiences)],
        "is_shared_device": expected.label == "tablet",
    }


def findings() -> Findings:
    profiles = [profile(number, expected) for number, expected in enumerate(TRUTH.profiles)]
    sales = [
        (country, str(each.orders), str(each.gross), str(each.refunded), str(each.gross - each.refunded))
        for country, each in TRUTH.sales_by_country.items()
    ]
    told = {
        f"{each['profile_id']}:{audience['audience']}": {
            "data": {
                "profile_id": each["profile_id"],
                "audience": audience["audience"],
                "status": "entered",
                "version": 1,
            }
        }
        for each in profiles
        for audience in each["audiences"]
    }
    collected = Answer(("source", "events"), tuple((s, str(n)) for s, n in TRUTH.events_by_source.items()), 0, 0)
    sold = Answer(("country", "orders", "gross", "refunded", "net"), tuple(sales), 0, 0)
    return Findings(collected, sold, profiles, len(profiles), Received(told))


def failed(found: Findings) -> list[str]:
    return [check.text for check in compare(found, TRUTH) if not check.holds]


def test_what_was_planned_holds() -> None:
    assert failed(findings()) == []


def changed(key: str, value: Any) -> Callable[[Findings], Findings]:
    def change(found: Findings) -> Findings:
        first = next(n for n, expected in enumerate(TRUTH.profiles) if expected.orders and expected.nps is not None)
        profiles = list(found.profiles)
        profiles[first] = {**(profiles[first] or {}), key: value}
        return replace(found, profiles=profiles)

    return change


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (lambda f: replace(f, live_heads=f.live_heads + 1), "profiles from"),
        (lambda f: replace(f, profiles=[None, *f.profiles[1:]]), "every planned customer"),
        (lambda f: replace(f, collected=replace(f.collected, rows=f.collected.rows[1:])), "none lost and none twice"),
        (lambda f: replace(f, sales=replace(f.sales, rows=f.sales.rows[1:])), "each country's orders"),
        (lambda f: replace(f, received=Received()), "as the webhook was told"),
        (lambda f: replace(f, received=replace(f.received, forged=1)), "no forged delivery"),
        (changed("identifiers", []), "identifiers"),
        (changed("events", {}), "number of events"),
        (changed("orders", {}), "revenue and refunds"),
        (changed("email", {"opened": {"times": 99}}), "opened mails"),
        (changed("support", {"nps": None}), "newest NPS answer"),
        (changed("audiences", [{"audience": "others"}]), "audiences"),
        (changed("is_shared_device", True), "shared tablet"),
    ],
)
def test_each_kind_of_wrong_result_is_noticed(change: Callable[[Findings], Findings], noticed: str) -> None:
    assert any(noticed in text for text in failed(change(findings())))


def test_a_wrong_result_is_shown_and_ends_with_an_error() -> None:
    console = Console(width=100)
    right, wrong = Check("two are two", 2, 2), Check("three are three", 2, 3)

    with console.capture() as capture:
        codes = (_judge(console, [right], 0), _judge(console, [right, wrong], 0))

    assert codes == (0, 1)
    for part in ("✓ two are two", "✗ three are three", "found   2", "planned 3", "1 of 2 checks failed"):
        assert part in capture.get()
