"""Laws of reading tables: other programs read the same, and any row is a place to go on from."""

import csv
import gzip
import io
from collections import Counter
from decimal import Decimal

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.adapters.table_files import KnownTableFiles
from onefold.domain.cell import number_of
from onefold.domain.import_file import Place
from onefold.domain.mapping import FileForm
from onefold.domain.table_text import csv_rows
from onefold.domain.text_file import split_lines
from tests.fakes.importing import MemoryFile, workshop

cells = st.text(st.sampled_from('abä€" ;,\n1'), max_size=6)
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
HEADER = ("first", "second", "third")


def written(rows: list[tuple[str, str, str]], delimiter: str = ";") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    return text.getvalue()


@given(tables, encodings, st.booleans())
@settings(deadline=None)
def test_what_another_program_wrote_is_read_back_whatever_its_encoding(
    rows: list[tuple[str, str, str]], encoding: str, packed: bool
) -> None:
    content = written(rows).encode(encoding)
    file = MemoryFile("a.csv.gz" if packed else "a.csv", gzip.compress(content) if packed else content)
    family = encoding[:6].rstrip("-") if encoding.startswith("utf-16") else encoding.removesuffix("-sig")
    form = FileForm(encoding=family, delimiter=";")  # type: ignore[arg-type]
    facts = KnownTableFiles().survey(file, form)

    read = list(KnownTableFiles().open(file, facts, form).rows(Place()))

    assert [tuple(row.values.values()) for row in read] == rows
    assert not any(row.fault for row in read)


@given(tables, st.integers(0, 11))
@settings(deadline=None)
def test_reading_can_go_on_at_any_row(rows: list[tuple[str, str, str]], start: int) -> None:
    file = MemoryFile("a.csv", written(rows).encode())
    form = FileForm(encoding="utf-8", delimiter=";")
    table = KnownTableFiles().open(file, KnownTableFiles().survey(file, form), form)
    whole = list(table.rows(Place()))
    start = min(start, len(whole) - 1)

    rest = list(table.rows(Place(whole[start].at, whole[start].line)))

    assert rest == whole[start:]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_rows_or_faults_and_every_line_is_in_one(content: bytes) -> None:
    lines = list(split_lines([content], b"\n"))

    rows = list(csv_rows(lines, ("a", "b"), ";", "utf-8"))

    taken = Counter(b"".join(row.raw for row in rows))
    empty = Counter(b"".join(line.raw for line in lines if not line.raw.strip(b"\r\n")))
    assert taken + empty >= Counter(content) >= taken


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 9), st.integers(0, 10_000)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=40)
def test_sums_over_receipts_equal_those_of_a_database(lines: list[tuple[int, int, int]]) -> None:
    shop = workshop(
        "{source: files, message_id: 't/{r}', group_by: [r], events: [{event: Sold}],"
        " properties: {total: {sum: [u, p]}}}"
    )
    content = "r,u,p\n" + "".join(f"{r},{u},{Decimal(p) / 100}\n" for r, u, p in lines)

    shop.run("till.csv", content.encode())

    with duckdb.connect() as database:
        database.execute("CREATE TABLE lines (r INTEGER, u INTEGER, p DECIMAL(18, 2))")
        database.executemany("INSERT INTO lines VALUES (?, ?, ?)", [(r, u, Decimal(p) / 100) for r, u, p in lines])
        planned = dict(database.execute("SELECT r, sum(u * p) FROM lines GROUP BY r").fetchall())
    found = {
        int(event.message_id[2:]): Decimal(event.properties.decode().split(":")[1].rstrip("}")) for event in shop.events
    }
    assert found == planned


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9), st.booleans())
def test_numbers_are_read_as_locales_write_them(number: Decimal, german: bool) -> None:
    text = f"{number:,}"
    if german:
        text = text.translate(str.maketrans(",.", ".,"))

    assert number_of(text, "n", "," if german else ".") == number
