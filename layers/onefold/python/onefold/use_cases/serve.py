"""Serve: find a profile by any identifier that it ever had, and show it whole or one collection of it."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from onefold.domain.errors import ProfileNotFound, Rejected
from onefold.domain.event import Event, FragmentKey
from onefold.domain.head import Head
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules, parse_identifier
from onefold.domain.profile import (
    Profile,
    audiences_document,
    identifiers_document,
    join_fragments,
    profile_document,
    provenance_document,
    traits_document,
)
from onefold.domain.timeline import recency
from onefold.use_cases.linking import GraphStore, live_head, read_graph, read_heads
from onefold.use_cases.stitch import FragmentStore

Collected = Literal["traits", "provenance", "events", "identifiers", "audiences", "members"]
Element = TypeVar("Element")
EventMark: TypeAlias = tuple[int, int, str, str]
Mark = TypeVar("Mark", str, EventMark)

PROFILE_ID: Final = "profile_id:"
PARAMETERS: Final = ("limit", "next")
LIMIT_DEFAULT: Final = 20
LIMIT_MAX: Final = 200
EVENTS_SHOWN_MAX: Final = 1_000
CURSOR_LENGTH_MAX: Final = 4_000


_names = msgspec.json.Decoder(str)
_event_marks = msgspec.json.Decoder(EventMark)


class TimelineReader(Protocol):
    def read(self, fragment_keys: Collection[str], limit: int) -> Sequence[Event]:
        """Recent events of these fragments: newest first, each (source, message id) once, at most `limit`."""


class ProfileStores(msgspec.Struct, frozen=True):
    """Where a profile's parts are."""

    graph: GraphStore
    fragments: FragmentStore
    timeline: TimelineReader


class Page(msgspec.Struct, frozen=True):
    """Which part of a collection is asked for; `after` is the `next` of the page before."""

    limit: int = LIMIT_DEFAULT
    after: str = ""


def parse_page(parameters: Mapping[str, str]) -> Page:
    """Read `limit` and `next` of a query string.

    Raises:
        Rejected: The limit is no number from 1 to LIMIT_MAX, or there is another parameter.
    """
    if not parameters.keys() <= set(PARAMETERS):
        known = ", ".join(f"`{name}`" for name in PARAMETERS)
        raise Rejected("parameter_unknown", f"Leave out what is none of the known query parameters: {known}")
    text = parameters.get("limit", str(LIMIT_DEFAULT))
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(LIMIT_MAX)) + 1 else 0
    if not 1 <= limit <= LIMIT_MAX:
        raise Rejected("limit_invalid", f"Write limit as a number from 1 to {LIMIT_MAX}", pointer="?limit")
    return Page(limit, parameters.get("next", ""))


def find_head(
    graph: GraphStore, hasher: IdentifierHasher, identifier: str, rules: IdentityRules = DEFAULT_RULES
) -> Head:
    """The live head of `type:value` or `profile_id:p_…`; redirects are followed.

    Raises:
        IdentifierInvalid: The text names no identifier.
        ProfileNotFound: Nobody has it.
        Unavailable: A store did not answer.
    """
    if identifier.startswith(PROFILE_ID):
        profile_id = identifier.removeprefix(PROFILE_ID)
        heads = read_heads(graph, [profile_id] if profile_id else [])
    else:
        key = hasher.key(*parse_identifier(identifier, rules))
        heads, owners = read_graph(graph, [key])
        profile_id = owners.get(key, "")
    head = live_head(heads, profile_id)
    if head is None:
        raise ProfileNotFound("profile_not_found", "No profile has this identifier")
    return head


def serve_profile(stores: ProfileStores, head: Head) -> dict[str, Any]:
    """Show the whole of a profile.

    Raises:
        Unavailable: A store did not answer.
    """
    return profile_document(_profile(stores, head))


def serve_collection(stores: ProfileStores, head: Head, collection: Collected, page: Page) -> dict[str, Any]:
    """Show one collection of a profile, a page at a time where it may be long.

    Raises:
        Rejected: `page.after` is no cursor of this collection.
        Unavailable: A store did not answer.
    """
    document: dict[str, Any] = {"profile_id": head.profile_id}
    bare = Profile(head, join_fragments(head, ()).facts)
    if collection == "identifiers":
        return document | {"identifiers": identifiers_document(bare)}
    if collection == "audiences":
        return document | {"audiences": audiences_document(bare)}
    if collection in {"traits", "provenance"}:
        shown = traits_document if collection == "traits" else provenance_document
        traits = shown(_profile(stores, head))
        names, cursor = _cut(sorted(traits), page, str, _names)
        return document | {collection: {name: traits[name] for name in names}, "cursor": cursor}
    if collection == "members":
        members, cursor = _cut(_members(stores.graph, head), page, str, _names)
        return document | {"members": members, "cursor": cursor}
    events = stores.timeline.read(head.fragments, EVENTS_SHOWN_MAX)
    newest, cursor = _cut(events, page, recency, _event_marks, descending=True)
    return document | {"events": [_event(event) for event in newest], "cursor": cursor}


def _members(graph: GraphStore, account: Head) -> list[str]:
    """Ids of the profiles that say that they belong to an account, sorted; none for what is no account."""
    keys = {FragmentKey.parse(key).member for key in account.fragments} - {""}
    heads, owners = read_graph(graph, keys) if keys else ({}, {})
    live = (live_head(heads, profile_id) for profile_id in owners.values())
    return sorted({head.profile_id for head in live if head is not None})


def _profile(stores: ProfileStores, head: Head) -> Profile:
    stored = stores.fragments.load(head.fragments)
    return join_fragments(head, (stored[key].fragment for key in head.fragments if key in stored))


def _cut(
    elements: Sequence[Element],
    page: Page,
    mark_of: Callable[[Element], Mark],
    marks: msgspec.json.Decoder[Mark],
    *,
    descending: bool = False,
) -> tuple[Sequence[Element], dict[str, Any]]:
    """Cut one page out of sorted elements.

    The cursor holds the mark of the last element shown, so that elements that come or go do not shift the next page.
    """
    if page.after:
        mark = _parse_cursor(page.after, marks)
        elements = [each for each in elements if (mark_of(each) < mark if descending else mark_of(each) > mark)]
    shown = elements[: page.limit]
    has_more = len(elements) > len(shown)
    cursor: dict[str, Any] = {"limit": page.limit, "has_more": has_more}
    if has_more:
        cursor["next"] = urlsafe_b64encode(msgspec.json.encode(mark_of(shown[-1]))).decode()
    return shown, cursor


def _parse_cursor(text: str, marks: msgspec.json.Decoder[Mark]) -> Mark:
    try:
        return marks.decode(urlsafe_b64decode(text[:CURSOR_LENGTH_MAX]))
    except (msgspec.MsgspecError, ValueError) as error:
        raise Rejected("cursor_invalid", "Write next as the page before gave it", pointer="?next") from error


def _event(event: Event) -> dict[str, Any]:
    """One event as its readers see it; JSON parts as they were sent, times in epoch ms."""
    return {
        "message_id": event.message_id,
        "type": event.kind,
        "event": event.name or None,
        "source": event.source,
        "at": event.at,
        "received_at": event.received_at,
        "properties": msgspec.Raw(event.properties),
        "traits": msgspec.Raw(event.traits),
        "context": msgspec.Raw(event.context),
    }
