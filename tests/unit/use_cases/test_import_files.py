"""Files become events: all rows accounted for, once, in as many runs as it takes."""

import gzip
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from onefold.domain.errors import StreamUnavailable, VersionConflict
from onefold.domain.import_file import Import
from onefold.domain.source import Source
from onefold.use_cases.collect import KeyedBatch
from onefold.use_cases.import_batch import MESSAGES_MAX, MESSAGES_OF_ONE_MAX
from tests.fakes.importing import MemoryImportStore, Workshop, workshop

CUSTOMERS = """
source: files
message_id: crm/{nr}
identifiers: {user_id: nr, email: mail}
traits: {name: name}
"""
TILL = """
source: files
message_id: till/{receipt}
group_by: [receipt]
timestamp: {column: at}
identifiers: {user_id: customer}
events:
  - {event: Order Refunded, when: {column: units, below: 0}, negate: [units]}
  - {event: Order Completed}
properties: {order_id: receipt, total: {sum: [units, price]}}
traits: {town: town}
"""
HEAD = b"nr;mail;name\n"


def customers(count: int, *, first: int = 1) -> bytes:
    return HEAD + b"".join(b"c-%d;c%d@posteo-demo.net;N\n" % (n, n) for n in range(first, first + count))


def properties(event: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(event.properties)
    return decoded


def test_every_row_is_accounted_for() -> None:
    shop = workshop(CUSTOMERS)
    content = HEAD + b"c-1;a@posteo-demo.net;Kim\nc-2;b\n;;nobody\nc-3;no mail;Lee\n"

    done = shop.run("crm.csv", content)

    assert (done.state, done.counts.rows, done.counts.accepted, done.counts.refused) == ("done", 4, 2, 2)
    assert {event.message_id for event in shop.events} == {"crm/c-1", "crm/c-3"}
    assert [(row.line, row.reason) for row in done.refused_rows] == [(3, "row_malformed"), (4, "identifier_missing")]
    assert done.counts.reasons == {"row_malformed": 1, "identifier_missing": 1}


def test_a_refused_row_lies_in_the_quarantine_with_its_bytes_and_place() -> None:
    shop = workshop(CUSTOMERS)

    shop.run("crm.csv", HEAD + b"c-1;a@posteo-demo.net;Kim\nc-2;b\n")

    [refusal] = shop.refusals
    assert (refusal.body, refusal.reason, refusal.component) == (b"c-2;b\n", "row_malformed", "import_files")
    assert (refusal.detail, refusal.source) == ("crm.csv:3: The row has 2 values, the header has 3", "files")


def test_what_collect_refuses_is_quarantined_as_the_row_that_it_came_from() -> None:
    shop = workshop("{source: files, message_id: 'a/{nr}', identifiers: {user_id: nr}, traits: {t: text}}")

    done = shop.run("a.csv", b"nr,text\n1," + b"x" * 300_000 + b"\n2,y\n")

    [refusal] = shop.refusals
    assert (refusal.reason, refusal.body[:4], len(refusal.body)) == ("event_too_large", b"1,xx", 300_003)
    assert [(row.line, row.reason) for row in done.refused_rows] == [(2, "event_too_large")]
    assert [event.message_id for event in shop.events] == ["a/2"]


def test_rows_that_fit_no_event_are_counted() -> None:
    shop = workshop(
        "{source: files, message_id: 'a/{nr}', events: [{event: Sold, when: {column: kind, equals: sale}}]}"
    )

    done = shop.run("a.csv", b"nr,kind\n1,sale\n2,test\n")

    assert (done.counts.rows, done.counts.accepted, done.counts.unmatched) == (2, 1, 1)


def test_a_file_of_which_no_row_fits_does_not_run_beyond_its_time() -> None:
    shop = workshop(
        "{source: files, message_id: 'a/{nr}', events: [{event: Sold, when: {column: nr, equals: none}}]}",
        runs_end_at_once=True,
    )

    done = shop.run("a.csv", b"nr\n" + b"".join(b"%d\n" % n for n in range(25_000)))

    assert (done.counts.unmatched, done.runs) == (25_000, 3)


def test_the_lines_of_a_receipt_find_each_other_wherever_they_lie() -> None:
    shop = workshop(TILL)
    rows = [(r, line) for line in range(4) for r in range(500)]  # no two lines of a receipt are neighbours
    lines = "".join(f"r-{r},2024-05-01,u-{r % 50},2,1.10,T{line}\n" for r, line in rows)

    done = shop.run("till.csv", b"receipt,at,customer,units,price,town\n" + lines.encode())

    orders = [event for event in shop.events if event.kind == "track"]
    assert (done.counts.rows, done.counts.refused, len(orders)) == (2_000, 0, 500)
    assert {properties(order)["total"] for order in orders} == {8.8}
    assert {event.message_id for event in orders} == {f"till/r-{r}" for r in range(500)}
    assert shop.store.parts == {}


def test_a_receipt_with_one_bad_line_is_refused_whole() -> None:
    shop = workshop(TILL)
    content = (
        b"receipt,at,customer,units,price,town\nr1,2024-05-01,u,1,5,A\nr2,2024-05-01,u,1,5,A\nr1,2024-05-01,u,x,5,A\n"
    )

    done = shop.run("till.csv", content)

    assert [properties(event)["order_id"] for event in shop.events if event.kind == "track"] == ["r2"]
    assert [(row.line, row.reason) for row in done.refused_rows] == [(2, "value_unreadable"), (4, "value_unreadable")]
    assert "one of the 2 rows from line 2" in done.refused_rows[0].detail


def test_a_row_without_its_group_is_refused() -> None:
    shop = workshop(TILL)

    done = shop.run("till.csv", b"receipt,at,customer,units,price,town\n,2024-05-01,u,1,5,A\n")

    assert (done.counts.rows, done.counts.reasons) == (1, {"group_key_missing": 1})


@pytest.mark.parametrize("mapping", [CUSTOMERS, TILL])
def test_a_long_import_goes_on_where_it_stopped_and_sends_the_same(mapping: str) -> None:
    """A run that is at its end after each batch, as a Lambda function is after 15 minutes."""
    content = customers(3 * MESSAGES_MAX + 17)
    if mapping == TILL:
        head = b"receipt,at,customer,units,price,town\n"
        content = head + b"".join(b"r%d,2024-05-01,u%d,1,2,%d\n" % (n, n % 900, n) for n in range(2_500))
    whole, parted = workshop(mapping), workshop(mapping, runs_end_at_once=True)

    at_once, in_parts = whole.run("a.csv", content), parted.run("a.csv", content)

    assert (at_once.runs, in_parts.runs > 3) == (1, True)
    assert in_parts.counts == at_once.counts
    assert parted.events == whole.events


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl"])
def test_compressed_files_and_json_lines_go_on_too(name: str) -> None:
    rows = b"".join(b'{"nr": "c-%d", "mail": null, "name": "x"}\n' % n for n in range(2_500))
    content = gzip.compress(customers(2_500)) if name.endswith("gz") else rows
    shop = workshop(CUSTOMERS, runs_end_at_once=True)

    done = shop.run(name, content)

    assert (done.state, done.counts.accepted, done.runs) == ("done", 2_500, 3)
    assert len({event.message_id for event in shop.events}) == 2_500


def test_the_same_file_twice_changes_nothing() -> None:
    shop = workshop(CUSTOMERS)
    first = shop.run("crm.csv", customers(10))

    again = shop.run("crm.csv", customers(10))
    elsewhere = shop.run("copy of crm.csv", customers(10))

    assert len(shop.events) == 10
    assert (again.state, again.reason, again.counts) == ("repeated", "file_repeated", first.counts)
    assert (elsewhere.state, elsewhere.counts.rows) == ("repeated", 0)
    assert "table/crm.csv" in elsewhere.detail


def test_the_same_name_with_other_content_and_back_again() -> None:
    shop = workshop(CUSTOMERS)
    shop.run("crm.csv", customers(10))
    shop.run("crm.csv", customers(10, first=11))

    back = shop.run("crm.csv", customers(10))

    assert (back.state, len(shop.events)) == ("repeated", 20)


def test_overlapping_files_say_the_same_messages_again() -> None:
    shop = workshop(CUSTOMERS)
    shop.run("january.csv", customers(10))

    shop.run("february.csv", customers(10, first=6))

    assert Counter(Counter(event.message_id for event in shop.events).values()) == {1: 10, 2: 5}


def test_a_forced_import_says_the_same_messages_again() -> None:
    shop = workshop(CUSTOMERS)
    shop.run("crm.csv", customers(3))

    forced = shop.run("crm.csv", customers(3), force=True)

    assert (forced.state, forced.counts.accepted) == ("done", 3)
    assert set(Counter(event.message_id for event in shop.events).values()) == {2}


def test_a_file_of_which_nothing_came_may_try_again_with_a_better_mapping() -> None:
    shop = workshop(CUSTOMERS.replace("{nr}", "{nr}/{name}"))
    nameless = HEAD + b"c-1;a@posteo-demo.net;\n"
    assert shop.run("crm.csv", nameless).counts.reasons == {"value_unreadable": 1}

    shop.mapping = workshop(CUSTOMERS).mapping

    assert (shop.run("crm.csv", nameless).state, len(shop.events)) == ("done", 1)


def test_a_message_of_the_queue_that_comes_twice_does_nothing_twice() -> None:
    shop = workshop(CUSTOMERS)
    request = shop.drop("crm.csv", customers(10))
    shop.finish(request)

    again = shop.importer().run(request)

    assert again is not None
    assert (again.state, len(shop.events)) == ("done", 10)


def test_a_stream_that_is_down_interrupts_and_nothing_is_lost() -> None:
    shop = workshop(CUSTOMERS)
    request = shop.drop("crm.csv", customers(1_500))
    shop.log.broken = True
    with pytest.raises(StreamUnavailable):
        shop.importer().run(request)

    shop.log.broken = False

    assert (shop.finish(request).counts.accepted, len(shop.events)) == (1_500, 1_500)


class _DiesAfterAppend:
    """A stream whose writer dies before it can note how far it came."""

    def __init__(self, shop: Workshop) -> None:
        self._log, self.deaths_left = shop.log, 2

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        self._log.append(batches)
        if self.deaths_left:
            self.deaths_left -= 1
            raise KeyboardInterrupt
        return []


def test_a_run_that_dies_between_stream_and_checkpoint_repeats_one_batch_and_no_more() -> None:
    """What is repeated is less of any person than a fragment remembers, so that it counts nothing."""
    shop = workshop("{source: files, message_id: 'a/{nr}', identifiers: {user_id: person}, events: [{event: Bought}]}")
    content = b"nr,person\n" + b"".join(b"%d,p%d\n" % (n, n % 2) for n in range(3_000))
    request = shop.drop("a.csv", content)
    dying = _DiesAfterAppend(shop)
    real = shop.importer().way

    def way(source: Source) -> Any:
        made = real(source)
        return type(made)(dying, made.source, made.collector, made.now_ms, made.sleep)

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shop.importer(way=way).run(request)
    done = shop.finish(request)

    ids = [event.message_id for event in shop.events]
    repeated = [each for each, times in Counter(ids).items() if times > 1]
    assert (done.counts.accepted, len(set(ids))) == (3_000, 3_000)
    assert max(Counter(int(each.removeprefix("a/")) % 2 for each in repeated).values()) <= MESSAGES_OF_ONE_MAX


def test_of_two_runs_at_once_one_gives_way() -> None:
    shop = workshop(CUSTOMERS)
    request = shop.drop("crm.csv", customers(3_000))
    taken_over = False

    class Overtaken(MemoryImportStore):
        def save(self, summary: Import, tag: str) -> str:
            nonlocal taken_over
            if summary.counts.rows and not taken_over:
                taken_over = True
                shop.finish(request)
            return super().save(summary, tag)

    overtaken = Overtaken()
    overtaken.__dict__ = shop.store.__dict__

    assert shop.importer(store=overtaken).run(request) is None  # type: ignore[arg-type]
    assert len({event.message_id for event in shop.events}) == 3_000
    assert len(shop.events) <= 3_000 + MESSAGES_MAX
    known, _ = shop.store.load("table", "crm.csv")
    assert known is not None
    assert (known.state, known.counts.accepted) == ("done", 3_000)


def test_the_same_file_dropped_again_meanwhile_goes_on() -> None:
    shop = workshop(CUSTOMERS, runs_end_at_once=True)
    shop.importer().run(shop.drop("crm.csv", customers(2_500)))

    done = shop.run("crm.csv", customers(2_500))

    assert (done.counts.accepted, len(shop.events)) == (2_500, 2_500)


def test_a_file_that_is_replaced_meanwhile_fails_and_says_so() -> None:
    shop = workshop(CUSTOMERS, runs_end_at_once=True)
    request = shop.drop("crm.csv", customers(2_500))
    shop.importer().run(request)
    shop.store.files[request.key].version = "another"

    failed = shop.finish(request)

    assert (failed.state, failed.reason) == ("failed", "file_changed")


@pytest.mark.parametrize(
    ("name", "content", "settings", "reason"),
    [
        ("crm.csv", b"nr;mail\n1;x\n", {}, "column_missing"),
        ("crm.jsonl", b'{"id": 1}\n', {}, "column_missing"),
        ("crm.xlsx", b"PK", {}, "format_unknown"),
        ("crm.csv", b"", {}, "header_missing"),
        ("crm.csv.gz", gzip.compress(customers(9))[:-4], {}, "gzip_truncated"),
        ("crm.csv", customers(1), {"source": None}, "source_missing"),
        ("crm.parquet", b"PAR1 no", {}, "parquet_damaged"),
    ],
)
def test_what_cannot_be_imported_fails_as_a_whole_with_its_reason(
    name: str, content: bytes, settings: dict[str, Any], reason: str
) -> None:
    shop = workshop(CUSTOMERS, **settings)

    failed = shop.run(name, content)

    assert (failed.state, failed.reason, failed.counts.rows) == ("failed", reason, 0)
    assert failed.detail
    assert shop.log.batches == []


def test_a_file_that_is_gone_is_no_work() -> None:
    shop = workshop(CUSTOMERS)
    request = shop.drop("crm.csv", customers(1))
    shop.store.files.clear()

    assert shop.importer().run(request) is None


def test_rows_marked_as_links_become_aliases() -> None:
    shop = workshop(
        "{source: files, message_id: 'crm/{nr}', identifiers: {user_id: nr}, alias: {previous_id: was}, traits: {n: n}}"
    )

    shop.run("crm.csv", b"nr,was,n\n1,,a\n2,77,b\n3,3,c\n")

    aliases = [event for event in shop.events if event.kind == "alias"]
    assert [(each.message_id, [known.value for known in each.previous]) for each in aliases] == [
        ("crm/2/alias", ["77", "77"])
    ]
    assert len(shop.events) == 4


def test_rows_without_names_are_told_apart_by_place_or_content() -> None:
    lines = b"who,what\na,x\na,x\nb,y\n"
    by_row = workshop("{source: files, message_id: 'a/{@row}', events: [{event: E}], properties: {what: what}}")
    by_content = workshop("{source: files, message_id: 'a/{@content}', events: [{event: E}], properties: {what: what}}")

    placed, said = by_row.run("a.csv", lines), by_content.run("a.csv", lines)
    by_content.run("other.csv", b"what;who\nx;a\n")

    assert (placed.counts.accepted, said.counts.accepted, said.counts.repeated) == (3, 2, 1)
    assert len({event.message_id for event in by_row.events}) == 3
    assert len({event.message_id for event in by_content.events}) == 2


def test_an_import_is_read_twice_and_not_more() -> None:
    shop = workshop(CUSTOMERS)
    request = shop.drop("crm.csv", customers(20_000))

    shop.finish(request)

    file = shop.store.files[request.key]
    assert file.bytes_read < 2.1 * file.size


def test_a_lost_race_for_the_first_summary_ends_quietly() -> None:
    shop = workshop(CUSTOMERS)
    request = shop.drop("crm.csv", customers(1))

    class Lost(MemoryImportStore):
        def save(self, summary: Import, tag: str) -> str:
            raise VersionConflict("somebody was faster")

    lost = Lost()
    lost.files = shop.store.files

    assert shop.importer(store=lost).run(request) is None  # type: ignore[arg-type]
    assert shop.events == []
