"""Audit: look up what was decided, one decision or all of them, newest first."""

import re
from typing import Any, Final, Protocol

import msgspec

from onefold.domain.decision import DecisionRecord
from onefold.domain.errors import DecisionNotFound, Rejected
from onefold.use_cases.rule import record_document
from onefold.use_cases.serve import Page

_PLACE: Final = re.compile(r"\d{15}/[A-Za-z0-9_.:\-]{1,100}")


class DecisionPage(msgspec.Struct, frozen=True):
    """Some decisions, newest first; `next_place` is where the next page begins, empty after the last."""

    records: tuple[DecisionRecord, ...]
    next_place: str = ""


class DecisionLog(Protocol):
    def find(self, decision_id: str) -> DecisionRecord | None:
        """The record of a decision that was carried out."""

    def newest(self, limit: int, *, before: str, now_ms: int) -> DecisionPage:
        """At most `limit` decisions that come before a place, from now (epoch ms) where it is empty."""


def place_of(record: DecisionRecord) -> str:
    """A decision's place in the order of time; of one moment by id."""
    return f"{record.decision.at:015d}/{record.decision.decision_id}"


def find_decision(log: DecisionLog, decision_id: str) -> dict[str, Any]:
    """One decision.

    Raises:
        DecisionNotFound: None was carried out under this id.
        Unavailable: The store did not answer.
    """
    record = log.find(decision_id)
    if record is None:
        raise DecisionNotFound("decision_not_found", "No decision was carried out under this id")
    return record_document(record)


def list_decisions(log: DecisionLog, page: Page, *, now_ms: int) -> dict[str, Any]:
    """One page of decisions, newest first.

    Raises:
        Rejected: `page.after` is no cursor.
        Unavailable: The store did not answer.
    """
    if page.after and not _PLACE.fullmatch(page.after):
        raise Rejected("cursor_invalid", "Write next as the page before gave it", pointer="?next")
    found = log.newest(page.limit, before=page.after, now_ms=now_ms)
    cursor: dict[str, Any] = {"limit": page.limit, "has_more": bool(found.next_place)}
    if found.next_place:
        cursor["next"] = found.next_place
    return {"decisions": [record_document(each) for each in found.records], "cursor": cursor}
