"""Trace: what became of a message, from the history, the quarantine and the fragments."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from onefold.domain.errors import Rejected
from onefold.domain.event import Event, FragmentKey, fingerprint
from onefold.domain.fragment import StoredFragment, remembers
from onefold.domain.message_id import is_usable_message_id
from onefold.domain.quarantine import Entry
from onefold.use_cases.linking import GraphStore, profile_heads
from onefold.use_cases.marks import Marks
from onefold.use_cases.stitch import FragmentStore

DAYS_DEFAULT: Final = 7
DAYS_MAX: Final = 180
TIMELINE_MS: Final = 14 * 24 * 3_600 * 1_000  # how far back the timeline remembers

# How far a fragment has come with a record.
Folded = Literal["waiting", "recent", "timeline", "before", "missing"]
State = Literal["stitched", "under_way", "missing", "unresolved", "replayed", "quarantined", "unknown"]


class Arrival(msgspec.Struct, frozen=True):
    """One record of the stream that brought the message, as the history has it. Times are epoch milliseconds.

    Attributes:
        paths: The files that hold it: more than one where archive wrote its batch again.
    """

    source: str
    sequence: str
    kind: str
    name: str
    fragment_key: str
    at: int
    received_at: int
    clock: str
    violations: tuple[str, ...]
    dt: str
    hour: str
    paths: tuple[str, ...]


class History(Protocol):
    """What has arrived, as the lake has it: that is about a minute after it was accepted."""

    def arrivals(self, message_id: str, source: str, days: int) -> Sequence[Arrival]:
        """The records that brought the message in the last days, by source and sequence; of one source if it is named.

        Raises:
            Rejected: That is more than may be read.
            Unavailable: The store does not answer.
        """

    def refused(self, message_id: str, source: str, days: int) -> Sequence[Entry]:
        """The quarantine's entries of the message, likewise."""


class TimelineSearch(Protocol):
    def holds(self, fragment_key: str, source: str, message_id: str, *, from_sequence: str) -> bool:
        """Whether the fragment's batch of this record, or one of the next few, has the message."""


class TraceStores(msgspec.Struct, frozen=True):
    """Where a message may have left something."""

    history: History
    fragments: FragmentStore
    graph: GraphStore
    timeline: TimelineSearch
    marks: Marks


class Question(msgspec.Struct, frozen=True):
    """Which message is meant; of any source where none is named."""

    message_id: str
    source: str = ""
    days: int = DAYS_DEFAULT


def parse_question(parameters: Mapping[str, str]) -> Question:
    """Read `message_id`, `source` and `days` of a query string.

    Raises:
        Rejected: The message id is missing or too long, the days are none, or there is another parameter.
    """
    known = ("message_id", "source", "days")
    if not parameters.keys() <= set(known):
        raise Rejected("parameter_unknown", f"Leave out what is none of the query parameters {', '.join(known)}")
    message_id = parameters.get("message_id")
    if not is_usable_message_id(message_id):
        raise Rejected("message_id_invalid", "Write message_id with 1 to 100 characters", pointer="?message_id")
    return Question(message_id, parameters.get("source", ""), parse_days(parameters.get("days"), DAYS_DEFAULT))


def parse_days(text: str | None, default: int) -> int:
    """Read how many days are looked at.

    Raises:
        Rejected: It is no number from 1 to DAYS_MAX.
    """
    if text is None:
        return default
    days = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(DAYS_MAX)) else 0
    if not 1 <= days <= DAYS_MAX:
        raise Rejected("days_invalid", f"Write days as a number from 1 to {DAYS_MAX}", pointer="?days")
    return days


def trace(stores: TraceStores, question: Question, *, now: int) -> dict[str, Any]:
    """Tell what became of a message, for each source that sent one of this id.

    Raises:
        Rejected: Looking back that far would read more than may be read.
        Unavailable: A store did not answer.

    Cost: two queries over the history; a few reads for each place where the message was found.
    """
    arrivals = stores.history.arrivals(question.message_id, question.source, question.days)
    refused = stores.history.refused(question.message_id, question.source, question.days)
    sources = dict.fromkeys([*(each.source for each in arrivals), *(each.source for each in refused)])
    found = [
        _of_source(
            stores,
            question.message_id,
            [each for each in arrivals if each.source == source],
            [each for each in refused if each.source == source],
            now=now,
        )
        for source in sources
    ]
    return {"message_id": question.message_id, "days": question.days, "found": found}


def _of_source(
    stores: TraceStores, message_id: str, arrivals: Sequence[Arrival], refused: Sequence[Entry], *, now: int
) -> dict[str, Any]:
    quarantined = [entry_document(entry, stores.marks) for entry in refused]
    document: dict[str, Any] = {"source": (arrivals or refused)[0].source, "quarantined": quarantined}
    if not arrivals:
        is_sent = any("replayed_at" in entry for entry in quarantined)
        return document | {"state": "replayed" if is_sent else "quarantined", "arrivals": []}
    keys = dict.fromkeys(each.fragment_key for each in arrivals if each.fragment_key)
    fragments = stores.fragments.load(list(keys))
    folded = {key: _folded(stores, message_id, _first(arrivals, key), fragments.get(key), now=now) for key in keys}
    counted = arrivals[0]
    heads = profile_heads(stores.graph, [FragmentKey.parse(key) for key in keys])
    owner = next((head for head in heads.values() if counted.fragment_key in head.fragments), None)
    return document | {
        "state": _state(folded.get(counted.fragment_key)),
        "type": counted.kind,
        "event": counted.name or None,
        "at": counted.at,
        "clock": counted.clock,
        "violations": list(counted.violations),
        "profile_id": owner.profile_id if owner else None,
        "arrivals": [_arrival_document(each, counted, folded) for each in arrivals],
    }


def _first(arrivals: Iterable[Arrival], fragment_key: str) -> Arrival:
    return next(each for each in arrivals if each.fragment_key == fragment_key)


def _folded(
    stores: TraceStores, message_id: str, arrival: Arrival, stored: StoredFragment | None, *, now: int
) -> Folded:
    """How far the fragment has come with a record: its cursor tells, and what it remembers."""
    mark = fingerprint(Event(message_id, "track", "", arrival.source, (), 0, 0))
    if stored is not None and remembers(stored.fragment, mark):
        return "recent"
    if stored is None or not stored.has_folded(arrival.sequence):
        return "waiting"
    if now - arrival.received_at > TIMELINE_MS:
        return "before"
    is_held = stores.timeline.holds(arrival.fragment_key, arrival.source, message_id, from_sequence=arrival.sequence)
    return "timeline" if is_held else "missing"


def _state(folded: Folded | None) -> State:
    if folded is None:
        return "unresolved"
    return "under_way" if folded == "waiting" else "missing" if folded == "missing" else "stitched"


def _arrival_document(arrival: Arrival, counted: Arrival, folded: Mapping[str, Folded]) -> dict[str, Any]:
    """One arrival. The first counts; another is a repeat, unless it shows other identifiers and so another fragment."""
    is_elsewhere = arrival.fragment_key != counted.fragment_key and bool(arrival.fragment_key)
    return {
        "counted": arrival is counted,
        "counted_again": is_elsewhere and folded[arrival.fragment_key] not in {"waiting", "missing"},
        "sequence": arrival.sequence,
        "received_at": arrival.received_at,
        "dt": arrival.dt,
        "hour": arrival.hour,
        "files": list(arrival.paths),
        "fragment_key": arrival.fragment_key or None,
        "folded": folded.get(arrival.fragment_key),
    }


def entry_document(entry: Entry, marks: Marks) -> dict[str, Any]:
    """One entry as lists show it: without its bytes; with what was done about it.

    Raises:
        Unavailable: The marks cannot be read.
    """
    document: dict[str, Any] = {
        "entry_id": entry.entry_id,
        "message_id": entry.message_id,
        "source": entry.source,
        "reason": entry.reason,
        "detail": entry.detail,
        "component": entry.component,
        "version": entry.version,
        "received_at": entry.received_at,
        "last_received_at": entry.last_received_at,
        "copies": entry.copies,
    }
    found = marks.load(entry.digest)
    if found is not None and found[0].state != "released":
        mark, _ = found
        key = "replayed_at" if mark.state == "done" else "replay_begun_at"
        document |= {key: mark.at, "replays": mark.times, "replay_request": mark.request_id}
    return document
