"""How answers look in a terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ROWS_SHOWN_MAX: Final = 200
VALUE_SHOWN_MAX: Final = 200
WIDTH_MAX: Final = 100_000
NUMERIC: Final = frozenset("0123456789.-,")


def instant(epoch_ms: int | None) -> str:
    if epoch_ms is None:
        return "never"
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> RenderableType:
    """Numbers to the right, and no more than ROWS_SHOWN_MAX rows; a short row ends in nulls."""
    listed = _filled(columns, rows)
    return _with_rest(_table(columns, listed), len(listed))


def answer_view(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> RenderableType:
    """A table if it fits the console, else a block of `column: value` lines for each row, with long values cut."""
    listed = _filled(columns, rows)
    table = _table(columns, listed)
    wide = console.options.update(max_width=WIDTH_MAX)
    if len(columns) < 2 or table.__rich_measure__(console, wide).maximum <= console.width:  # noqa: PLR2004 - two sides
        return _with_rest(table, len(listed))
    blocks = [_block(columns, number, row) for number, row in enumerate(listed[:ROWS_SHOWN_MAX], start=1)]
    return _with_rest(Group(*blocks), len(listed))


def _filled(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> list[list[str | None]]:
    width = len(columns)
    return [[*row, *[None] * (width - len(row))][:width] for row in rows]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        is_numeric = all(set(row[index] or "") <= NUMERIC for row in rows)
        table.add_column(Text(column), justify="right" if is_numeric and rows else "left", overflow="fold")
    for row in rows[:ROWS_SHOWN_MAX]:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: str | None) -> Text:
    return Text("null", style="dim") if value is None else Text(value)  # what sources wrote is no markup


def _block(columns: Sequence[str], number: int, row: Sequence[str | None]) -> Text:
    block = Text(f"row {number}\n", style="dim")
    lines = []
    for column, value in zip(columns, row, strict=True):
        cut = value if value is None or len(value) <= VALUE_SHOWN_MAX else f"{value[:VALUE_SHOWN_MAX]}…"
        lines.append(Text.assemble("  ", (column, "bold"), ": ", _cell(cut)))
    return Text.assemble(block, Text("\n").join(lines))


def _with_rest(shown: RenderableType, count: int) -> RenderableType:
    if count <= ROWS_SHOWN_MAX:
        return shown
    return Group(shown, Text(f"and {count - ROWS_SHOWN_MAX:,} rows more: take --csv or --json", style="dim"))


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def profile_panel(profile: Mapping[str, Any]) -> Panel:
    """A whole profile on one page."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(profile):
        facts.add_row(Text(name), Text(value))  # what sources wrote is no markup
    title = Text(f"profile {profile['profile_id']}")
    return Panel(Group(facts, Text(), _events(profile["events"])), title=title, title_align="left")


def _facts(profile: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    identifiers = [f"{each['type']}  {each['value']}" for each in profile["identifiers"]]
    yield "identifiers", "\n".join(identifiers) or "none"
    yield "seen", f"{instant(profile['first_seen_at'])} to {instant(profile['last_seen_at'])} (UTC)"
    made_of = f"{counted(profile['fragments'], 'fragment')} on {counted(len(profile['devices']), 'device')}"
    yield "made of", f"{made_of}, {counted(profile['merges'], 'merge')}"
    if profile["is_shared_device"]:
        yield "shared", "the anonymous events of a device that several persons use"
    if profile["traits"]:
        yield "traits", "\n".join(f"{name}  {_plain(value)}" for name, value in profile["traits"].items())
    for currency, sums in profile["orders"].items():
        money = f"gross {sums['gross']}, refunded {sums['refunded']}, net {sums['net']}"
        yield f"orders {currency}", f"{counted(sums['orders'], 'order')}, {counted(sums['units'], 'unit')}, {money}"
    if profile["consents"]:
        decisions = [f"{purpose}: {_decision(each)}" for purpose, each in profile["consents"].items()]
        yield "consents", "\n".join(decisions)
    if profile["accounts"]:
        yield "accounts", ", ".join(profile["accounts"])
    yield from _engagement(profile)
    memberships = [f"{each['audience']} since {instant(each['since'])}" for each in profile["audiences"]]
    yield "audiences", "\n".join(memberships) or "none"
    if profile["dropped"]:
        yield "not kept", ", ".join(f"{kind} {times:,}" for kind, times in profile["dropped"].items())


def _engagement(profile: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    sessions = profile["sessions"]
    if sessions["count"]:
        yield "sessions", f"{counted(sessions['count'], 'session')}, {sessions['total_ms'] // 1000} s"
    for place in ("first", "last"):
        touch = profile["campaigns"][place]
        if touch:
            named = ", ".join(f"{name} {value}" for name, value in touch.items() if name != "at")
            yield f"{place} campaign", f"{named} at {instant(touch['at'])}"
    mail = [f"{word} {count['times']}" for word, count in profile["email"].items() if count]
    if mail:
        yield "email", ", ".join(mail)
    support = list(_support(profile["support"]))
    if support:
        yield "support", ", ".join(support)


def _support(support: Mapping[str, Any]) -> Iterable[str]:
    for kind, noun in (("chats", "chat"), ("tickets", "ticket"), ("calls", "call")):
        if support[kind]["count"]:
            yield f"{counted(support[kind]['count'], noun)} ({support[kind]['total_ms'] // 1000} s)"
    for name in ("nps", "csat"):
        if support[name]:
            yield f"{name} {support[name]['value']}"


def _decision(consent: Mapping[str, Any]) -> str:
    return f"{'yes' if consent['given'] else 'no'}, at {instant(consent['at'])} by {consent['source']}"


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
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


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
