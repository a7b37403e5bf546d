"""What counts as drift, and what is asked for it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from cli import deployment, drift
from cli.drift import Drift, Observed, Seen, drift_from_before, drift_from_plan, find_drift, last_day
from cli.main import app
from cli.problems import CommandError, UsageError
from onefold.domain.tracking_plan import TrackingPlan, parse_plan
from tests.fakes.events import event
from tests.fakes.lake import Lake, open_lake

A = ("web", "track", "A")
UNTIL = date(2026, 11, 12)


def found(events: dict[Any, Seen], properties: dict[str, dict[str, Seen]]) -> list[tuple[str, str, str, str]]:
    observed = Observed(events, {(A, "properties", name): types for name, types in properties.items()})
    return [(each.what, each.property, each.was, each.now) for each in drift_from_before(observed)]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({"string": Seen(1, 1)}, []),
        ({"string": Seen(0, 1)}, [("property new", "properties.p", "", "string")]),
        ({"string": Seen(1, 0)}, []),
        ({"string": Seen(5, 4), "array": Seen(0, 1)}, [("type changed", "properties.p", "string", "array, string")]),
        ({"integer": Seen(1, 0), "number": Seen(0, 1)}, []),
        ({"number": Seen(1, 0), "string": Seen(0, 1)}, [("type changed", "properties.p", "number", "string")]),
        ({"string": Seen(1, 1), "null": Seen(0, 1)}, []),
        ({"null": Seen(1, 1)}, []),
        ({"null": Seen(1, 0), "string": Seen(0, 1)}, [("property new", "properties.p", "", "string")]),
    ],
)
def test_types_are_compared_with_those_before(types: dict[str, Seen], expected: list[tuple[str, ...]]) -> None:
    assert found({A: Seen(9, 9)}, {"p": types}) == expected


def test_events_come_and_go() -> None:
    seen = {A: Seen(3, 3), ("web", "track", "B"): Seen(0, 2), ("web", "page", ""): Seen(4, 0)}

    assert found(seen, {}) == [("event new", "", "0", "2"), ("event gone", "", "4", "0")]


def test_a_source_or_event_that_was_silent_has_nothing_to_compare() -> None:
    assert found({A: Seen(0, 5)}, {"p": {"string": Seen(0, 5)}}) == []
    assert found({A: Seen(0, 5), ("web", "page", ""): Seen(1, 1)}, {"p": {"string": Seen(0, 5)}}) == [
        ("event new", "", "0", "5")
    ]


def plan(**fields: Any) -> dict[str, TrackingPlan]:
    body = {"name": "shop", "sources": ["web"], "events": {"A": {"properties": fields}}}
    return {"web": parse_plan(msgspec.json.encode(body))}


@pytest.mark.parametrize(
    ("schema", "name", "kind", "expected"),
    [
        ({"properties": {"p": {"type": "string"}}}, "p", "string", []),
        (
            {"properties": {"p": {"type": ["string", "null"]}}},
            "p",
            "integer",
            [("type not as planned", "null, string")],
        ),
        ({"properties": {"p": {"type": "number"}}}, "p", "integer", []),
        ({"properties": {"p": {"type": "integer"}}}, "p", "number", [("type not as planned", "integer")]),
        ({"properties": {"p": {"enum": [1]}}}, "p", "string", []),
        ({"properties": {"p": {}}}, "q", "string", [("property not in plan", "")]),
        ({"properties": {"p": {}}, "patternProperties": {"q": {}}}, "q", "string", []),
        ({"required": ["p"]}, "q", "string", []),
        ({}, "q", "string", []),
    ],
)
def test_properties_are_compared_with_the_plan(
    schema: dict[str, Any], name: str, kind: str, expected: list[tuple[str, str]]
) -> None:
    observed = Observed({A: Seen(0, 1)}, {(A, "properties", name): {kind: Seen(0, 1), "null": Seen(0, 1)}})

    assert [(each.what, each.was) for each in drift_from_plan(observed, plan(**schema))] == expected


def test_events_that_the_plan_does_not_know_are_told_while_they_come() -> None:
    seen = {
        A: Seen(1, 1),
        ("web", "page", ""): Seen(0, 2),
        ("web", "track", "B"): Seen(2, 0),
        ("app", "track", "C"): Seen(1, 1),
    }

    assert list(drift_from_plan(Observed(seen, {}), plan())) == [Drift("web", "page", "event not in plan", "", "", "2")]


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    def at(day: int, hour: int = 12) -> int:
        return int(datetime(2026, 11, day, hour, tzinfo=UTC).timestamp() * 1_000)

    with open_lake() as made:
        old = event("user_id:1", name="A", at=at(5), properties={"price": 5, "note": None}, message_id="m1")
        made.archive([old, old, event("user_id:1", name="A", at=at(5) - 7 * 86_400_000, properties={"too": "early"})])
        new = event("user_id:1", name="A", at=at(12, 23), properties={"price": "5", "note": "x", "more": {"a": 1}})
        made.archive([new, event("user_id:1", name="A", at=at(13), properties={"too": "late"})])
        made.archive([event("user_id:2", name="B", at=at(6), source="app", properties={"price": 1})])
        made.archive([event("user_id:2", kind="identify", at=at(9), source="app", traits={"age": 5})])
        traits = {"properties": {"age": {"type": "string"}}}
        made.define("plan/shop", {"name": "shop", "sources": ["app"], "kinds": {"identify": {"traits": traits}}})
        yield made


OF_APP = [
    Drift("app", "B", "event not in plan", "", "", "1"),
    Drift("app", "identify", "type not as planned", "traits.age", "string", "integer"),
]
OF_WEB = [
    Drift("web", "A", "property new", "properties.more", "", "object"),
    Drift("web", "A", "property new", "properties.note", "", "string"),
    Drift("web", "A", "type changed", "properties.price", "integer", "string"),
]


def test_the_lake_is_asked_for_two_periods(lake: Lake) -> None:
    assert find_drift(lake.deployment, source="", days=7, until=UNTIL) == OF_APP + OF_WEB
    assert find_drift(lake.deployment, source="app", days=7, until=UNTIL) == OF_APP
    assert find_drift(lake.deployment, source="web", days=1, until=date(2026, 11, 1)) == []


def test_a_message_that_came_twice_counts_once(lake: Lake) -> None:
    observed = drift.observe(lake.deployment, source="web", days=7, until=UNTIL)

    assert observed.events == {A: Seen(1, 1)}
    assert observed.properties[A, "properties", "price"] == {"integer": Seen(1, 0), "string": Seen(0, 1)}
    assert observed.properties[A, "properties", "note"] == {"null": Seen(1, 0), "string": Seen(0, 1)}


def test_the_command_prints_and_can_fail(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "find_deployment", lambda env: lake.deployment)
    run = CliRunner().invoke

    assert '"type changed"' in run(app, ["drift", "--until", "2026-11-12", "--json"]).stdout
    assert run(app, ["drift", "--until", "2026-11-12", "--check"]).exit_code == 1
    nothing = run(app, ["drift", "--until", "2026-11-01", "--days", "1", "--check"])
    assert (nothing.exit_code, nothing.stdout) == (0, "Nothing has drifted.\n")


def test_what_cannot_be_asked_is_said(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert last_day("2026-11-12") == UNTIL
    with pytest.raises(UsageError):
        last_day("yesterday")
    with pytest.raises(UsageError):
        find_drift(lake.deployment, source="x' OR '1'='1", days=7, until=UNTIL)
    monkeypatch.setattr(drift, "ROWS_MAX", 1)
    with pytest.raises(CommandError, match="--source"):
        find_drift(lake.deployment, source="web", days=7, until=UNTIL)
