"""Trace and quarantine over HTTP, behind the profile API's gateway: requests in, JSON documents out."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from onefold.domain.errors import BodyInvalid, EntryNotFound, PayloadTooLarge, Rejected
from onefold.domain.quarantine import DIGEST_CHARACTERS, Entry, parse_entry_id, unpack_envelope
from onefold.edge.profile_api import HEADERS, request_id
from onefold.use_cases.marks import Marks
from onefold.use_cases.quarantine import LIST_MAX, QuarantineReader, Repair, Replayer, Selection
from onefold.use_cases.trace import DAYS_DEFAULT, TraceStores, entry_document, parse_days, parse_question, trace

TRACE: Final = "/v1/trace"
QUARANTINE: Final = "/v1/quarantine"
REPLAYS: Final = "/v1/quarantine/replays"
LIMIT_DEFAULT: Final = 20
FILTERS: Final = ("source", "reason", "component", "message_id")
DAY_FORM: Final = "%Y-%m-%d"
BODY_BYTES_MAX: Final = 1_024 * 1_024


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST to `/v1/quarantine/replays`."""

    entries: list[str]
    patch: Any = None
    message: Any = None
    force: bool = False


_replay_requests = msgspec.json.Decoder(ReplayRequest)
_cursors = msgspec.json.Decoder(tuple[int, str])


def answer_inspection(
    event: Mapping[str, Any], stores: TraceStores, quarantine: QuarantineReader, *, now: int
) -> dict[str, Any] | None:
    """Answer a GET of a trace, of the quarantine's list or of one entry; None where nothing is at the path.

    Raises:
        Rejected: The request, or nothing is there.
        Unavailable: A store did not answer.
    """
    path = str(event["rawPath"]).rstrip("/")
    parameters = dict(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True))
    if path == TRACE:
        return _respond(event, trace(stores, parse_question(parameters), now=now))
    if path == QUARANTINE:
        return _respond(event, _list(quarantine, stores.marks, parse_selection(parameters, now=now)))
    if path.startswith(f"{QUARANTINE}/"):
        return _respond(event, _show(quarantine, stores.marks, unquote(path.removeprefix(f"{QUARANTINE}/"))))
    return None


def parse_selection(parameters: Mapping[str, str], *, now: int) -> Selection:
    """Read the filters, `days` or `since` and `until`, `limit` and `next` of a query string.

    Raises:
        Rejected: One of them is unusable, or unknown.
    """
    known = (*FILTERS, "days", "since", "until", "limit", "next")
    if not parameters.keys() <= set(known):
        raise Rejected("parameter_unknown", f"Leave out what is none of the query parameters {', '.join(known)}")
    today = datetime.fromtimestamp(now / 1_000, UTC).date()
    first = today - timedelta(days=parse_days(parameters.get("days"), DAYS_DEFAULT) - 1)
    limit = parameters.get("limit", str(LIMIT_DEFAULT))
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= len(str(LIST_MAX)) and 1 <= int(limit) <= LIST_MAX):
        raise Rejected("limit_invalid", f"Write limit as a number from 1 to {LIST_MAX}", pointer="?limit")
    return Selection(
        _day(parameters, "since", str(first)),
        _day(parameters, "until", str(today + timedelta(days=1))),
        **{name: parameters.get(name, "") for name in FILTERS},
        limit=int(limit),
        after=_parse_cursor(parameters["next"]) if parameters.get("next") else None,
    )


def _day(parameters: Mapping[str, str], name: str, default: str) -> str:
    text = parameters.get(name, default)
    try:
        return str(datetime.strptime(text, DAY_FORM).replace(tzinfo=UTC).date())
    except ValueError as error:
        raise Rejected("day_invalid", f"Write {name} as a day, 2026-11-12", pointer=f"?{name}") from error


def _parse_cursor(text: str) -> tuple[int, str]:
    try:
        received_at, digest = _cursors.decode(base64.urlsafe_b64decode(text[:200]))
    except (msgspec.MsgspecError, ValueError) as error:
        raise Rejected("cursor_invalid", "Write next as the page before gave it", pointer="?next") from error
    return received_at, digest[:DIGEST_CHARACTERS]


def _list(quarantine: QuarantineReader, marks: Marks, selection: Selection) -> dict[str, Any]:
    one_more = msgspec.structs.replace(selection, limit=selection.limit + 1)
    found = quarantine.find(one_more)
    shown = found[: selection.limit]
    cursor: dict[str, Any] = {"limit": selection.limit, "has_more": len(found) > len(shown)}
    if cursor["has_more"]:
        mark = msgspec.json.encode((shown[-1].received_at, shown[-1].digest))
        cursor["next"] = base64.urlsafe_b64encode(mark).decode()
    return {"entries": [entry_document(entry, marks) for entry in shown], "cursor": cursor}


def _show(quarantine: QuarantineReader, marks: Marks, entry_id: str) -> dict[str, Any]:
    parse_entry_id(entry_id)
    entry = quarantine.load([entry_id]).get(entry_id)
    if entry is None:
        raise EntryNotFound("entry_not_found", "The quarantine has no such entry on that day")
    return entry_document(entry, marks) | _content(entry)


def _content(entry: Entry) -> dict[str, Any]:
    """What was received, byte for byte; as text too where it is one."""
    document: dict[str, Any] = {
        "file": entry.path,
        "envelope": msgspec.to_builtins(unpack_envelope(entry.envelope)),
        "bytes": len(entry.body),
        "body_base64": base64.b64encode(entry.body).decode(),
    }
    try:
        return document | {"body": entry.body.decode()}
    except UnicodeDecodeError:
        return document


def answer_replay(event: Mapping[str, Any], replayer: Replayer, *, now: int) -> tuple[dict[str, Any], Sequence[str]]:
    """Answer a POST of entries to send again; gives the answer and each entry's status.

    Raises:
        Rejected: The request cannot be read, or names too many entries or none.
        Unavailable: The quarantine cannot be read; nothing was sent.
    """
    request = parse_replay(event)
    repair = Repair(request.patch, request.message)
    done = replayer.replay(request.entries, repair, now=now, request_id=request_id(event), force=request.force)
    return _respond(event, {"replays": done}), [each.status for each in done]


def parse_replay(event: Mapping[str, Any]) -> ReplayRequest:
    """Read the body.

    Raises:
        BodyInvalid: It is no JSON of that form.
        PayloadTooLarge: It is larger than `BODY_BYTES_MAX`.
    """
    raw = event.get("body") or ""
    try:
        body = base64.b64decode(raw, validate=True) if event.get("isBase64Encoded") else raw.encode()
        if len(body) > BODY_BYTES_MAX:
            raise PayloadTooLarge("body_too_large", f"Send at most {BODY_BYTES_MAX} bytes")
        return _replay_requests.decode(body)
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError) as error:
        remedy = "Send JSON with an array `entries`, and if need be `patch`, `message` and `force`"
        raise BodyInvalid("body_unreadable", remedy) from error


def _respond(event: Mapping[str, Any], document: Any) -> dict[str, Any]:
    return {
        "statusCode": int(HTTPStatus.OK),
        "headers": HEADERS | {"X-Request-Id": request_id(event)},
        "body": msgspec.json.encode(document).decode(),
    }
