"""How answers look in a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ROWS_SHOWN_MAX: Final = 200
NUMERIC: Final = frozenset("0123456789.-,")


def instant(epoch_ms: int | None) -> str:
    if epoch_ms is None:
        return "never"
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> RenderableType:
    """Numbers to the right, and no more than ROWS_SHOWN_MAX rows."""
    listed = list(rows)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        is_numeric = all(row[index] is None or set(row[index] or "") <= NUMERIC for row in listed)
        table.add_column(column, justify="right" if is_numeric and listed else "left", overflow="fold")
    for row in listed[:ROWS_SHOWN_MAX]:
        table.add_row(*(Text("null", style="dim") if value is None else Text(value) for value in row))
    if len(listed) <= ROWS_SHOWN_MAX:
        return table
    return Group(table, Text(f"and {len(listed) - ROWS_SHOWN_MAX:,} rows more: take --csv or --json", style="dim"))


def profile_panel(profile: Mapping[str, Any]) -> Panel:
    """A whole profile on one page."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(profile):
        facts.add_row(name, Text(value))  # what sources wrote is no markup
    title = f"profile {profile['profile_id']}"
    return Panel(Group(facts, Text(), _events(profile["events"])), title=title, title_align="left")


def _facts(profile: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    identifiers = [f"{each['type']}  {each['value']}" for each in profile["identifiers"]]
    yield "identifiers", "\n".join(identifiers) or "none"
    yield "seen", f"{instant(profile['first_seen_at'])} to {instant(profile['last_seen_at'])} (UTC)"
    yield "made of", f"{profile['fragments']} fragments on {profile['devices']} devices, {profile['merges']} merges"
    if profile["is_shared_device"]:
        yield "shared", "the anonymous events of a device that several persons use"
    if profile["traits"]:
        yield "traits", "\n".join(f"{name}  {_plain(value)}" for name, value in profile["traits"].items())
    for currency, sums in profile["orders"].items():
        money = f"gross {sums['gross']}, refunded {sums['refunded']}, net {sums['net']}"
        yield f"orders {currency}", f"{sums['orders']} orders, {sums['units']} units, {money}"
    campaigns = {place: touch for place, touch in profile["campaigns"].items() if touch}
    for place, touch in campaigns.items():
        named = ", ".join(f"{name} {value}" for name, value in touch.items() if name != "at")
        yield f"{place} campaign", f"{named} at {instant(touch['at'])}"
    support = profile["support"]
    if support["contacts"]:
        answers = ", ".join(f"{name} {support[name]}" for name in ("nps", "csat") if name in support)
        yield (
            "support",
            f"{support['contacts']} chats, {support['total_ms'] // 1000} s" + (f", {answers}" if answers else ""),
        )
    if profile["consents"]:
        yield (
            "consents",
            ", ".join(f"{name}: {'yes' if given else 'no'}" for name, given in profile["consents"].items()),
        )
    memberships = [f"{each['audience']} since {instant(each['since'])}" for each in profile["audiences"]]
    yield "audiences", "\n".join(memberships) or "none"


def _events(events: Mapping[str, Mapping[str, int]]) -> RenderableType:
    rows = [
        (
            name.removeprefix("track:").rstrip(":"),
            str(count["times"]),
            instant(count["first_at"]),
            instant(count["last_at"]),
        )
        for name, count in sorted(events.items(), key=lambda item: -item[1]["times"])
    ]
    return rows_table(("event", "times", "first", "last"), rows)


def _plain(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else str(value)


def status_view(status: Mapping[str, Any]) -> Group:
    """The state of a deployment: what came in and went through, how far behind, what failed."""
    outcomes = rows_table(
        ("in the last 24 hours", "count"), [(name, f"{count:,}") for name, count in status["outcomes"].items()]
    )
    lag = [(verb, _behind(age, status["waiting"].get(verb))) for verb, age in status["lag_ms"].items()]
    troubles = [(f"{verb}: failed invocations", f"{count:,}") for verb, count in status["errors"].items()]
    troubles.append(("deliveries given up", f"{status['undelivered']:,}"))
    blank = Text()
    return Group(
        outcomes, blank, rows_table(("consumer", "lag"), lag), blank, rows_table(("trouble", "count"), troubles)
    )


def _behind(age_ms: int | None, waiting: int | None) -> str:
    if waiting is not None:
        return f"{waiting:,} records wait"
    return "no records in the last 5 minutes" if age_ms is None else f"{age_ms / 1000:.1f} s behind"


def ready_text(console: Console, *, collector: str, api: str, aws_endpoint: str, write_keys: Mapping[str, str]) -> None:
    """What somebody needs to use a local instance."""
    console.print("[bold green]onefold is running.[/] Stop with Ctrl-C.")
    console.print(
        rows_table(("address", ""), [("collector", collector), ("profile API", api), ("AWS endpoint", aws_endpoint)])
    )
    console.print(rows_table(("source", "write key"), list(write_keys.items())))
    console.print("In another terminal: onefold status | send FILE | profile TYPE:VALUE | query SQL | apply FOLDER")
