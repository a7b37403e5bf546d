from dataclasses import replace
from typing import Any

import msgspec
import pytest

from onefold.adapters.compression import pack, unpack
from onefold.domain.errors import Rejected, Unavailable
from onefold.domain.event import Event, EventBatch, Refusal
from onefold.domain.message import Arrival
from onefold.domain.quarantine import Envelope, pack_envelope
from onefold.domain.source import Source
from onefold.use_cases.collect import Collector, CollectRequest
from onefold.use_cases.quarantine import REPLAYS_MAX, Repair, Replay, Replayer
from tests.fakes.collecting import MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER, NOON_MS, event
from tests.fakes.quarantine import MemoryMarks, MemoryQuarantine, SourcesOf
from tests.fakes.stores import MemoryLake

WEB = Source("web", "key-of-web")
DAY_MS = 24 * 3_600 * 1_000


class Kept:
    """A quarantine with some refusals, and what replays them."""

    def __init__(self, *refusals: Refusal, source: Source = WEB) -> None:
        self.log, self.spool, self.marks = MemoryEventLog(), MemorySpool(), MemoryMarks()
        lake = MemoryLake()
        lake.write_refusals(refusals, "f")
        self.quarantine = MemoryQuarantine(lake)
        self.ids = [entry.entry_id for entry in self.quarantine.entries().values()]
        sources = SourcesOf(source)
        collector = Collector(sources=sources, log=self.log, spool=self.spool, hasher=HASHER, phone=lambda *_: None)
        self.replayer = Replayer(self.quarantine, self.marks, sources, collector, lambda data: unpack(data, EventBatch))

    def replay(self, repair: Repair | None = None, *, now: int = NOON_MS + DAY_MS, **options: Any) -> list[Replay]:
        return self.replayer.replay(self.ids, repair or Repair(), now=now, request_id="r1", **options)

    @property
    def events(self) -> list[Event]:
        return [each for _, batch in self.log.batches for each in batch.events]


def refusal(message: dict[str, Any], reason: str = "event_name_missing", **fields: Any) -> Refusal:
    message_id = message.get("messageId", "made-1")
    return Refusal(message_id, "web", reason, "d", msgspec.json.encode(message), NOON_MS, **fields)


def test_an_event_happens_when_it_would_have_not_when_it_is_replayed() -> None:
    """A clock a year slow is corrected by the time at which the batch came, which is long past when it is replayed."""
    year = 365 * DAY_MS
    sent_at, happened = NOON_MS - year, NOON_MS - year - 5_000
    kept = Kept(
        refusal(
            {"type": "track", "messageId": "m1", "userId": "u1", "timestamp": happened},
            envelope=pack_envelope(Envelope(None, sent_at)),
        )
    )

    kept.replay(Repair({"event": "Paid"}))

    [replayed] = kept.events
    assert (replayed.at, replayed.clock, replayed.received_at) == (NOON_MS - 5_000, "corrected", NOON_MS)
    assert replayed.message_id == "m1"


def test_a_repaired_message_means_what_the_collector_would_have_made_of_it() -> None:
    whole = {"type": "track", "messageId": "m1", "userId": "u1", "event": "Paid", "properties": {"total": 1.5}}
    kept = Kept(refusal({name: value for name, value in whole.items() if name != "event"}))
    kept.replay(Repair({"event": "Paid"}))

    direct = Kept()
    body = msgspec.json.encode({"batch": [whole]})
    direct.replayer.collector.collect(CollectRequest(body, None, (WEB.write_key,), Arrival(NOON_MS)))
    assert kept.log.batches == direct.log.batches


def test_what_would_be_refused_again_is_not_sent_and_not_marked() -> None:
    kept = Kept(refusal({"type": "track", "messageId": "m1", "userId": "u1"}))

    [refused] = kept.replay()

    assert (refused.status, refused.reason) == ("refused", "event_name_missing")
    assert (kept.log.batches, kept.marks.marks) == ([], {})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Source("shop", "key-of-shop"), "source_unknown"),
        (Source("web", "key-of-web", enabled=False), "source_disabled"),
    ],
)
def test_a_source_that_takes_nothing_more_gets_nothing(source: Source, reason: str) -> None:
    kept = Kept(refusal({"type": "track", "messageId": "m1", "userId": "u1", "event": "E"}), source=source)

    [refused] = kept.replay()

    assert (refused.status, refused.reason, kept.log.batches) == ("refused", reason, [])


def test_what_the_stream_refuses_waits_in_the_spool() -> None:
    kept = Kept(refusal({"type": "track", "messageId": "m1", "userId": "u1", "event": "E"}))
    kept.log.broken = True

    [sent] = kept.replay()

    assert sent.status == "replayed"
    assert len(kept.spool.objects) == 1


def test_where_neither_takes_it_the_entry_is_free_again() -> None:
    kept = Kept(refusal({"type": "track", "messageId": "m1", "userId": "u1", "event": "E"}))
    kept.log.broken = kept.spool.broken = True

    assert [each.status for each in kept.replay()] == ["unavailable"]
    kept.log.broken = False
    assert [each.status for each in kept.replay(now=NOON_MS + DAY_MS + 1)] == ["replayed"]
    assert [each.message_id for each in kept.events] == ["m1"]


def test_a_mark_that_cannot_be_finished_does_not_unsay_what_was_sent() -> None:
    kept = Kept(refusal({"type": "track", "messageId": "m1", "userId": "u1", "event": "E"}))
    kept.marks.broken_before = {2}

    assert [each.status for each in kept.replay()] == ["replayed"]


def test_one_bad_entry_does_not_keep_the_others() -> None:
    good = refusal({"type": "track", "messageId": "m1", "userId": "u1", "event": "E"}, reason="plan")
    bad = refusal({"type": "track", "messageId": "m2", "userId": "u1"})
    kept = Kept(good, bad)

    statuses = {each.message_id: each.status for each in kept.replay()}

    assert statuses == {"m1": "replayed", "m2": "refused"}


def test_a_stream_record_that_this_version_can_read_returns_as_records() -> None:
    batch = EventBatch((event("user_id:a"), event("user_id:b")))
    kept = Kept(Refusal("shard-1-7", "", "record_version_unknown", "d", pack(batch), NOON_MS, "archive"))

    assert [each.status for each in kept.replay()] == ["replayed"]
    assert kept.events == list(batch.events)


def test_a_files_row_is_not_taken_for_a_message_but_a_message_may_stand_for_it() -> None:
    row = {"type": "track", "userId": "u1", "event": "E"}
    kept = Kept(refusal(row, component="import_files"))

    assert [(each.status, each.reason) for each in kept.replay()] == [("refused", "not_a_message")]
    assert [each.status for each in kept.replay(Repair(message=row))] == ["replayed"]
    assert [each.message_id for each in kept.events] == ["made-1"]


def test_a_stream_record_that_nobody_can_read_stays() -> None:
    kept = Kept(Refusal("shard-1-7", "", "record_unreadable", "d", b"\x07", NOON_MS, "archive"))

    assert [(each.status, each.reason) for each in kept.replay()] == [("refused", "record_version_unknown")]


def test_a_request_names_some_entries_and_a_whole_message_stands_for_one() -> None:
    kept = Kept()
    for ids, repair in (
        ([], Repair()),
        (["2026-11-12-" + "0" * 24] * (REPLAYS_MAX + 1), Repair()),
        (["2026-11-12-" + "0" * 24, "2026-11-12-" + "1" * 24], Repair(message={})),
        (["shoe"], Repair()),
    ):
        with pytest.raises(Rejected):
            kept.replayer.replay(ids, repair, now=1, request_id="r")


def test_an_entry_that_is_not_there_is_said() -> None:
    kept = Kept()
    kept.ids = ["2026-11-12-" + "0" * 24]

    assert [(each.status, each.entry_id) for each in kept.replay()] == [("not_found", kept.ids[0])]


def test_a_quarantine_that_cannot_be_read_sends_nothing() -> None:
    class Broken(MemoryQuarantine):
        def load(self, entry_ids: object) -> Any:
            raise Unavailable("Athena is busy")

    kept = Kept(refusal({"type": "track", "messageId": "m1", "userId": "u1", "event": "E"}))
    kept.replayer = replace(kept.replayer, entries=Broken(MemoryLake()))

    with pytest.raises(Unavailable):
        kept.replay()
    assert kept.log.batches == []


def test_parameters_of_snowplows_protocol_are_replayed_as_such() -> None:
    parameters = {"e": "ue", "aid": "shop", "uid": "u1", "dtm": str(NOON_MS - 5_000)}
    kept = Kept(
        Refusal(
            "made-1", "web", "embedded_missing", "d", msgspec.json.encode(parameters), NOON_MS,
            envelope=pack_envelope(Envelope(form="snowplow")),
        )
    )  # fmt: skip

    [replayed] = kept.replay(Repair({"e": "se", "se_ca": "video", "se_ac": "play"}))

    assert replayed.status == "replayed"
    [event] = kept.events
    assert (event.kind, event.name, event.message_id, event.at) == ("track", "play", "made-1", NOON_MS - 5_000)
