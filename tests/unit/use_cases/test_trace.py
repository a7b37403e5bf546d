from typing import Any

import pytest

from onefold.domain.errors import Rejected
from onefold.domain.event import Event, EventBatch, Refusal, fragment_key
from onefold.domain.fragment import RECENT_MAX, Fragment, StoredFragment
from onefold.domain.quarantine import Mark, entry_digest
from onefold.use_cases.archive import archive
from onefold.use_cases.stitch import StreamRecord, TimelineBatch, stitch
from onefold.use_cases.trace import TIMELINE_MS, Question, TraceStores, parse_question, trace
from tests.fakes.events import NOON_MS, event
from tests.fakes.quarantine import MemoryHistory, MemoryMarks
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryLake, MemoryTimeline


class River:
    def __init__(self) -> None:
        self.lake, self.fragments, self.graph = MemoryLake(), MemoryFragments(), MemoryGraph()
        self.timeline, self.marks = MemoryTimeline(), MemoryMarks()

    def archive(self, *records: StreamRecord, name: str = "f") -> None:
        archive(records, [], self.lake, name=name)

    def stitch(self, *records: StreamRecord) -> None:
        assert not stitch(records, self.fragments, self.graph, self.timeline).failed

    def trace(self, message_id: str, *, now: int = NOON_MS, source: str = "") -> list[dict[str, Any]]:
        stores = TraceStores(MemoryHistory(self.lake), self.fragments, self.graph, self.timeline, self.marks)
        found: list[dict[str, Any]] = trace(stores, Question(message_id, source), now=now)["found"]
        return found

    def state(self, message_id: str, *, now: int = NOON_MS) -> tuple[str, Any]:
        [found] = self.trace(message_id, now=now)
        return found["state"], found["arrivals"][0]["folded"]


def record(sequence: int, *events: Event) -> StreamRecord:
    return StreamRecord(str(sequence), EventBatch(events))


def test_a_message_that_is_archived_and_not_folded_yet_is_under_way() -> None:
    river, mine = River(), event("user_id:u1", message_id="m")
    river.archive(record(5, mine))
    assert river.state("m") == ("under_way", "waiting")
    assert river.trace("m")[0]["profile_id"] is None

    river.stitch(record(4, event("user_id:u1")))
    assert river.state("m") == ("under_way", "waiting")
    river.stitch(record(5, mine))

    assert river.state("m") == ("stitched", "recent")
    assert river.trace("m")[0]["profile_id"] in river.graph.stored_heads


def test_a_message_beyond_the_ring_is_found_in_the_timeline_and_later_taken_on_trust() -> None:
    river, mine = River(), event("user_id:u1", message_id="m")
    river.archive(record(1, mine))
    river.stitch(record(1, mine))
    river.stitch(*(record(2 + number, event("user_id:u1")) for number in range(RECENT_MAX)))

    assert river.state("m", now=mine.received_at) == ("stitched", "timeline")
    assert river.state("m", now=mine.received_at + TIMELINE_MS + 1) == ("stitched", "before")


def test_a_message_that_its_fragment_went_on_without_is_missing() -> None:
    river, mine = River(), event("user_id:u1", message_id="m")
    river.archive(record(1, mine))
    river.stitch(record(2, event("user_id:u1")))

    assert river.state("m", now=mine.received_at) == ("missing", "missing")


def test_a_batch_that_archive_wrote_twice_is_one_arrival_in_two_files() -> None:
    river, mine = River(), event("user_id:u1", message_id="m")
    river.archive(record(1, mine), name="shard-1-1")
    river.archive(record(1, mine), record(2, event("user_id:u1")), name="shard-1-2")

    [found] = river.trace("m")

    assert [arrival["files"] for arrival in found["arrivals"]] == [["shard-1-1", "shard-1-2"]]


def test_a_repeat_under_other_identifiers_is_told() -> None:
    """The same id, once on a device and once of a person: two fragments fold it, until history is reconciled."""
    river = River()
    first, second = event("anonymous_id:a", message_id="m"), event("user_id:u1", message_id="m")
    for number, each in enumerate((first, second), 1):
        river.archive(record(number, each), name=str(number))
        river.stitch(record(number, each))

    [found] = river.trace("m")

    assert [(each["counted"], each["counted_again"]) for each in found["arrivals"]] == [(True, False), (False, True)]
    assert found["arrivals"][0]["fragment_key"] == str(fragment_key(first))


def test_a_profile_that_is_gone_is_none() -> None:
    river, mine = River(), event("user_id:u1", message_id="m")
    river.archive(record(1, mine))
    key = str(fragment_key(mine))
    river.fragments.write([StoredFragment(key, Fragment(), "1", 0)])
    river.timeline.append([TimelineBatch(key, "1", (mine,))])

    [found] = river.trace("m", now=mine.received_at)

    assert (found["state"], found["profile_id"]) == ("stitched", None)


@pytest.mark.parametrize(
    ("mark", "state", "key"),
    [
        (None, "quarantined", None),
        (Mark("begun", 7, 0, "r"), "quarantined", "replay_begun_at"),
        (Mark("done", 7, 1, "r"), "replayed", "replayed_at"),
        (Mark("released", 7, 0, "r"), "quarantined", None),
    ],
)
def test_a_refused_message_tells_what_was_done_about_it(mark: Mark | None, state: str, key: str | None) -> None:
    river = River()
    river.lake.write_refusals([Refusal("m", "web", "event_name_missing", "d", b"{}", NOON_MS)], "f")
    if mark is not None:
        river.marks.store(entry_digest("web", "m", b"{}"), mark, after="")

    [found] = river.trace("m")

    assert (found["state"], found["arrivals"]) == (state, [])
    shown = {name for name in found["quarantined"][0] if name in {"replay_begun_at", "replayed_at"}}
    assert shown == ({key} if key else set())


def test_a_question_is_read_or_refused() -> None:
    assert parse_question({"message_id": "m", "source": "web", "days": "30"}) == Question("m", "web", 30)
    for parameters in ({}, {"message_id": ""}, {"message_id": "x" * 101}, {"message_id": "m", "days": "1.5"}):
        with pytest.raises(Rejected):
            parse_question(parameters)
