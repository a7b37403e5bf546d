"""What has changed in what sources send, against a period before and the plan: events, properties, types."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from rich.console import Console
from rich.table import Table

from cli.apply import definition_table
from cli.deployment import Deployment
from cli.problems import CommandError, UsageError
from cli.query import run_query
from onefold.domain.source import NAME
from onefold.domain.tracking_plan import EventPlan, TrackingPlan, parse_plan

What = Literal[
    "event new", "event gone", "event not in plan", "property new", "property not in plan", "type changed",
    "type not as planned",
]  # fmt: skip
Event = tuple[str, str, str]  # source, kind, name of a track event
Property = tuple[Event, str, str]  # its event, `properties` or `traits`, its name

# Keywords of a schema under which a property may be declared that is not among its `properties`.
ELSEWHERE: Final = frozenset(
    ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"]
)
ROWS_MAX: Final = 50_000  # of one answer: who has more uses ids for names

EVENTS_SQL: Final = """
SELECT source, kind, CASE WHEN kind = 'track' THEN name ELSE '' END AS name,
  count(DISTINCT CASE WHEN dt < '{since}' THEN message_id END) AS before,
  count(DISTINCT CASE WHEN dt >= '{since}' THEN message_id END) AS after
FROM raw_events
WHERE dt BETWEEN '{begin}' AND '{until}'{of_source}
GROUP BY 1, 2, 3
LIMIT {rows}
"""

PROPERTIES_SQL: Final = """
SELECT source, kind, name, part, property,
  CASE
    WHEN value LIKE '"%' THEN 'string'
    WHEN value LIKE '{{%' THEN 'object'
    WHEN value LIKE '[%' THEN 'array'
    WHEN value IN ('true', 'false') THEN 'boolean'
    WHEN value IS NULL OR value = 'null' THEN 'null'
    WHEN regexp_like(value, '^-?[0-9]+$') THEN 'integer'
    ELSE 'number'
  END AS type,
  count(DISTINCT CASE WHEN dt < '{since}' THEN message_id END) AS before,
  count(DISTINCT CASE WHEN dt >= '{since}' THEN message_id END) AS after
FROM (
  SELECT source, kind, CASE WHEN kind = 'track' THEN name ELSE '' END AS name, part, message_id, dt, property,
    json_format(element) AS value
  FROM (
    SELECT source, kind, name, message_id, dt, 'properties' AS part, properties AS document
    FROM raw_events WHERE dt BETWEEN '{begin}' AND '{until}'{of_source} AND properties <> '{{}}'
    UNION ALL
    SELECT source, kind, name, message_id, dt, 'traits' AS part, traits AS document
    FROM raw_events WHERE dt BETWEEN '{begin}' AND '{until}'{of_source} AND traits <> '{{}}'
  ) AS documents
  CROSS JOIN UNNEST(CAST(json_parse(document) AS map(varchar, json))) AS t(property, element)
) AS elements
GROUP BY 1, 2, 3, 4, 5, 6
LIMIT {rows}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """How many messages had something, in the period before and in the last one."""

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """One difference. `was` and `now` are JSON types, or counts of messages."""

    source: str
    event: str
    what: What
    property: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What the lake holds: the messages of each event, and of each property the messages by JSON type."""

    events: Mapping[Event, Seen]
    properties: Mapping[Property, Mapping[str, Seen]]


def find_drift(deployment: Deployment, *, source: str, days: int, until: date) -> list[Drift]:
    """Compare the last `days` days, `until` the last of them, with as many before, and with the plans.

    Args:
        deployment: Whose lake and plans.
        source: One source; empty for all.
        days: At least 1.
        until: The last day, by arrival.

    Raises:
        UsageError: That can be no source's name.
        CommandError: Athena refuses.
    """
    if source and not NAME.fullmatch(source):
        raise UsageError(f'"{source}" can be no source: write a name as in definitions/sources')
    observed = observe(deployment, source=source, days=days, until=until)
    plans = [parse_plan(definition.body) for definition in definition_table(deployment).load_current("plan")]
    by_source = {name: plan for plan in plans for name in plan.sources}
    return sorted({*drift_from_before(observed), *drift_from_plan(observed, by_source)})


def last_day(written: str) -> date:
    """A day as written, or today in UTC.

    Raises:
        UsageError: It is none.
    """
    try:
        return date.fromisoformat(written) if written else datetime.now(UTC).date()
    except ValueError as error:
        raise UsageError("--until: write a day as 2026-11-12") from error


def observe(deployment: Deployment, *, source: str, days: int, until: date) -> Observed:
    """Ask the lake; two scans of the columns it needs."""
    since = until - timedelta(days=days - 1)
    period = {
        "begin": (since - timedelta(days=days)).isoformat(),
        "since": since.isoformat(),
        "until": until.isoformat(),
        "rows": str(ROWS_MAX + 1),
        "of_source": f" AND source = '{source}'" if source else "",
    }
    events = {
        (row[0] or "", row[1] or "", row[2] or ""): Seen(_count(row[3]), _count(row[4]))
        for row in _rows(deployment, EVENTS_SQL.format(**period))
    }
    properties: dict[Property, dict[str, Seen]] = {}
    for row in _rows(deployment, PROPERTIES_SQL.format(**period)):
        event = (row[0] or "", row[1] or "", row[2] or "")
        types = properties.setdefault((event, row[3] or "", row[4] or ""), {})
        types[row[5] or ""] = Seen(_count(row[6]), _count(row[7]))
    return Observed(events, properties)


def _rows(deployment: Deployment, sql: str) -> tuple[tuple[str | None, ...], ...]:
    rows = run_query(deployment, sql).rows
    if len(rows) > ROWS_MAX:
        raise CommandError(
            f"More than {ROWS_MAX} events or properties: look at one source with --source; if that is one, it writes "
            "values where names should stand"
        )
    return rows


def drift_from_before(observed: Observed) -> Iterator[Drift]:
    """What is new or other than in the period before. A source that was silent then has nothing to compare."""
    spoke = {event[0] for event, seen in observed.events.items() if seen.before}
    for event, seen in observed.events.items():
        if event[0] in spoke and not (seen.before and seen.after):
            what: What = "event gone" if seen.before else "event new"
            yield Drift(*_named(event), what, "", str(seen.before), str(seen.after))
    for (event, part, name), types in observed.properties.items():
        if not observed.events.get(event, Seen()).before:
            continue
        was, now = _types(types, "before"), _types(types, "after")
        if not was and now:
            yield Drift(*_named(event), "property new", f"{part}.{name}", "", _joined(now))
        elif not _widened(now) <= _widened(was):
            yield Drift(*_named(event), "type changed", f"{part}.{name}", _joined(was), _joined(now))


def drift_from_plan(observed: Observed, plans: Mapping[str, TrackingPlan]) -> Iterator[Drift]:
    """What the last period has that the plan of its source does not."""
    for event, seen in observed.events.items():
        plan = plans.get(event[0])
        if plan is not None and seen.after and _planned(plan, event) is None:
            yield Drift(*_named(event), "event not in plan", "", "", str(seen.after))
    for (event, part, name), types in observed.properties.items():
        plan = plans.get(event[0])
        planned = _planned(plan, event) if plan is not None else None
        schema = getattr(planned, part, None)
        now = _types(types, "after")
        if not isinstance(schema, dict) or not now:
            continue
        known = schema.get("properties", {})
        if name in known:
            declared = _declared_types(known[name])
            if declared and not now <= (declared | {"integer"} if "number" in declared else declared):
                yield Drift(*_named(event), "type not as planned", f"{part}.{name}", _joined(declared), _joined(now))
        elif known and ELSEWHERE.isdisjoint(schema):
            yield Drift(*_named(event), "property not in plan", f"{part}.{name}", "", _joined(now))


def show_drift(console: Console, found: Iterable[Drift]) -> None:
    """Print a table, or that there is nothing."""
    table = Table()
    for heading in ("source", "event", "what", "property", "was", "now"):
        table.add_column(heading, overflow="fold")
    for drift in found:
        table.add_row(drift.source, drift.event, drift.what, drift.property, drift.was, drift.now)
    console.print(table if table.row_count else "Nothing has drifted.")


def drift_documents(found: Iterable[Drift]) -> list[dict[str, Any]]:
    return [asdict(drift) for drift in found]


def _count(cell: str | None) -> int:
    return int(cell or 0)


def _named(event: Event) -> tuple[str, str]:
    source, kind, name = event
    return source, name or kind


def _planned(plan: TrackingPlan, event: Event) -> EventPlan | None:
    _, kind, name = event
    return plan.events.get(name) if kind == "track" else plan.kinds.get(kind)


def _types(types: Mapping[str, Seen], period: Literal["before", "after"]) -> frozenset[str]:
    """The types of a period. Null is the absence of a value, and not a type."""
    return frozenset(name for name, seen in types.items() if getattr(seen, period) and name != "null")


def _widened(types: frozenset[str]) -> frozenset[str]:
    """Types between which a sum does not notice a change: a price of 10 is a number, as 9.5 is."""
    return frozenset("number" if name == "integer" else name for name in types)


def _declared_types(schema: object) -> frozenset[str]:
    """The types of a property's schema; empty where it does not say."""
    if not isinstance(schema, dict) or not isinstance(schema.get("type"), str | list):
        return frozenset()
    written = schema["type"]
    return frozenset([written] if isinstance(written, str) else written)


def _joined(types: Iterable[str]) -> str:
    return ", ".join(sorted(types))
