"""Asks the API what became of a message, and for the quarantine; has entries repaired and sent again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console, Group, RenderableType
from rich.text import Text

from cli.deployment import Deployment
from cli.problems import CommandError, UsageError
from cli.render import answer_view, counted, instant

ENTRIES_A_REQUEST: Final = 50
LIST_PAGE: Final = 200
WAIT_S: Final = 40  # a question to Athena takes seconds

WHAT_IT_MEANS: Final[Mapping[str, str]] = {
    "stitched": "counted in a profile",
    "under_way": "in the history; its fragment has not folded it yet",
    "missing": "in the history, but its fragment went on without it: see `onefold redrive --list`",
    "unresolved": "in the history; it names nobody, so it belongs to no profile",
    "quarantined": "refused, and kept with its bytes",
    "replayed": "refused, repaired and sent again; it is on its way",
}


def ask(deployment: Deployment, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """GET from the profile API.

    Raises:
        CommandError: The API refused, or did not answer.
    """
    return _answer(deployment, "GET", path, params={name: value for name, value in parameters.items() if value})


def _answer(deployment: Deployment, method: str, path: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
    url = deployment.description.api_url.rstrip("/") + path
    headers = {"Authorization": f"Bearer {deployment.token}"}
    answer = deployment.http.request(method, url, headers=headers, timeout=WAIT_S, **arguments)
    if answer.status_code != httpx.codes.OK:
        try:
            document = answer.json()
        except ValueError:
            document = {}
        reason = document.get("detail") or document.get("message") or document.get("title") or "no reason given"
        raise CommandError(f"The API answered HTTP {answer.status_code}: {reason}")
    found: dict[str, Any] = answer.json()
    return found


def list_entries(deployment: Deployment, filters: Mapping[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """Entries of the quarantine, the latest first, page by page."""
    after: dict[str, Any] = {}
    while limit > 0:
        page = ask(deployment, "/v1/quarantine", {**filters, "limit": min(limit, LIST_PAGE), **after})
        yield from page["entries"]
        limit -= len(page["entries"])
        if not page["cursor"]["has_more"]:
            return
        after = {"next": page["cursor"]["next"]}


def replay_entries(
    deployment: Deployment, entry_ids: Sequence[str], repair: Mapping[str, Any], *, force: bool
) -> Iterator[dict[str, Any]]:
    """Have entries sent again, and tell what became of each."""
    for start in range(0, len(entry_ids), ENTRIES_A_REQUEST):
        body = {"entries": entry_ids[start : start + ENTRIES_A_REQUEST], "force": force, **repair}
        yield from _answer(deployment, "POST", "/v1/quarantine/replays", json=body)["replays"]


def read_repair(patch: Path | None, settings: Sequence[str], message: Path | None) -> dict[str, Any]:
    """What to change: a merge patch from a file, single fields on top of it, or a whole message.

    Raises:
        UsageError: A file is no JSON, or a setting has no `=`.
    """
    repair: dict[str, Any] = {}
    if patch is not None or settings:
        merged = _read_json(patch) if patch is not None else {}
        if not isinstance(merged, dict):
            raise UsageError(f"{patch}: a JSON merge patch is an object")
        for setting in settings:
            _set(merged, setting)
        repair["patch"] = merged
    if message is not None:
        repair["message"] = _read_json(message)
    return repair


def _read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(path.read_bytes(), parse_constant=_no_number)
    except ValueError as error:
        raise UsageError(f"{path}: no JSON: {error}") from error


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _set(target: dict[str, Any], setting: str) -> None:
    """Put `a.b=value` into a patch; the value is JSON where it can be read as such, and else a text."""
    path, separator, written = setting.partition("=")
    if not separator or not all(path.split(".")):
        raise UsageError(f"--set {path}: write path=value, such as properties.total=12.5")
    try:
        value = json.loads(written, parse_constant=_no_number)
    except ValueError:
        value = written
    *parents, name = path.split(".")
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {path}: {parent} is set to a value already")
        target = inner
    target[name] = value


def trace_view(document: Mapping[str, Any]) -> RenderableType:
    """What became of a message, source by source."""
    if not document["found"]:
        days = counted(document["days"], "day")
        return Text(
            f"No message {document['message_id']} among what arrived in the last {days}. What was sent less than two "
            "minutes ago may still be on its way to the history; look further back with --days."
        )
    return Group(*(part for found in document["found"] for part in _traced(document["message_id"], found)))


def _traced(message_id: str, found: Mapping[str, Any]) -> Iterator[RenderableType]:
    state = found["state"]
    yield Text.assemble((f"{message_id} from {found['source'] or 'the stream'}: ", "bold"), state)
    yield Text(f"  {WHAT_IT_MEANS[state]}")
    if found["arrivals"]:
        named = found["event"] or ""
        yield Text(f"  {found['type']} {named} at {instant(found['at'])} (clock: {found['clock']})")
        yield Text(f"  profile {found['profile_id'] or 'none'}")
        for number, arrival in enumerate(found["arrivals"], start=1):
            yield _arrived(number, arrival)
    for entry in found["quarantined"]:
        yield _entry_text(entry)


def _arrived(number: int, arrival: Mapping[str, Any]) -> Text:
    role = "counted" if arrival["counted"] else "repeat, not counted"
    if arrival["counted_again"]:
        role = "repeat under other identifiers, counted in their profile too"
    lines = [
        f"  arrival {number}: {role}; received {instant(arrival['received_at'])}",
        f"    stream sequence {arrival['sequence']}",
        *(f"    {file}" for file in arrival["files"]),
    ]
    return Text("\n".join(lines))


def _entry_text(entry: Mapping[str, Any]) -> Text:
    lines = [
        f"  quarantined {instant(entry['received_at'])}: {entry['reason']}: {entry['detail']}",
        f"    entry {entry['entry_id']}, refused by {entry['component']} version {entry['version']}",
    ]
    if "replayed_at" in entry:
        lines.append(f"    sent again {instant(entry['replayed_at'])} ({counted(entry['replays'], 'time')})")
    return Text("\n".join(lines))


def list_view(console: Console, entries: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = [
        (
            entry["entry_id"],
            instant(entry["received_at"]),
            entry["source"],
            entry["reason"],
            entry["message_id"],
            str(entry["copies"]),
            instant(entry["replayed_at"]) if "replayed_at" in entry else "",
        )
        for entry in entries
    ]
    return answer_view(console, ("entry", "received", "source", "reason", "message id", "copies", "sent again"), rows)


def show_entry(console: Console, entry: Mapping[str, Any]) -> None:
    """Print an entry's facts, and its bytes as they were received."""
    console.print(_entry_text(entry), soft_wrap=True)
    place = f"    message id {entry['message_id']}, source {entry['source']}, file {entry['file']}"
    console.print(Text(place), soft_wrap=True)
    if entry["envelope"]:
        beside = json.dumps(entry["envelope"], ensure_ascii=False)
        console.print(Text(f"    beside it in its request: {beside}"), soft_wrap=True)
    console.print(Text(f"    {counted(entry['bytes'], 'byte')} as received:"))
    print(entry["body"] if "body" in entry else entry["body_base64"])


def replay_view(console: Console, replays: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = [
        (
            each["entry_id"],
            each["status"],
            each.get("message_id", ""),
            f"{each['reason']}: {each['detail']}" if "reason" in each else "",
        )
        for each in replays
    ]
    return answer_view(console, ("entry", "status", "message id", "why"), rows)
