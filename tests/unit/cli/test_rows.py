"""Files of all three formats become the same messages."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from cli.problems import CommandError, UsageError
from cli.rows import check_file, count_rows, ignored_columns, read_messages
from onefold.domain.mapping import parse_mapping

MAPPING = parse_mapping(
    yaml.safe_load("""
group_by: [receipt]
message_id: till/{receipt}
timestamp: {column: at, zone: Europe/Berlin}
identifiers: {user_id: customer}
events: [{event: Order Completed}]
properties:
  order_id: receipt
  total: {sum: [quantity, price]}
  products: {rows: {price: {column: price, type: number}, quantity: {column: quantity, type: number}}}
""")
)
ROWS = """receipt,at,customer,quantity,price
b,2026-03-02 09:00:00,7,1,0.1
a,2026-03-02 10:00:00,,1,2.50
b,2026-03-02 09:00:00,7,2,0.1
"""


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    path.write_text(ROWS)
    return path


def messages(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(message) for message in read_messages(path, **options)]


def test_rows_of_one_message_are_brought_together_in_the_order_of_time(csv: Path) -> None:
    first, second = messages(csv, mapping=MAPPING)

    assert (first["messageId"], first["timestamp"]) == ("till/b", "2026-03-02T08:00:00.000Z")
    assert [product["quantity"] for product in first["properties"]["products"]] == [1, 2]
    assert (second["messageId"], "userId" in second) == ("till/a", False)


def test_every_format_gives_the_same_messages(csv: Path, tmp_path: Path) -> None:
    parquet, lines = tmp_path / "sales.parquet", tmp_path / "sales.jsonl"
    with duckdb.connect() as database:
        database.execute(f"COPY (FROM read_csv('{csv}')) TO '{parquet}' (FORMAT parquet)")
        database.execute(f"COPY (FROM read_csv('{csv}')) TO '{lines}' (FORMAT json)")

    expected = [m for m in messages(csv, mapping=MAPPING) if m["type"] == "track"]

    assert expected == messages(parquet, mapping=MAPPING) == messages(lines, mapping=MAPPING)
    assert count_rows(csv) == count_rows(parquet) == count_rows(lines) == 3


def test_totals_keep_their_digits_in_every_format(csv: Path) -> None:
    (first, _) = read_messages(csv, mapping=MAPPING)

    assert b'"total":0.3,' in first


def test_columns_with_dots_nest_and_json_texts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text('type,event,userId,properties.total,context\ntrack,Paid,u1,9.90,"{""ip"":""10.0.0.1""}"\n')

    (message,) = messages(path)

    assert message["properties"] == {"total": "9.90"}
    assert message["context"] == {"ip": "10.0.0.1"}


def test_a_message_without_an_id_gets_the_same_one_every_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"type":"track","event":"A","userId":"u"}\n\n{"type":"track","event":"B","userId":"u","messageId":"m"}\n'
    )

    first, again = messages(path), messages(path)

    assert first == again
    assert first[0]["messageId"].startswith("file-")
    assert first[1]["messageId"] == "m"


def test_a_broken_line_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"type":"track"}\n{"type":\n')

    with pytest.raises(CommandError, match=r"events\.jsonl:2: not a JSON object"):
        messages(path)


def test_a_missing_column_is_named_with_those_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("receipt,at,customer,price\na,2026-03-02,1,2\n")

    with pytest.raises(CommandError, match="no column quantity; the file has at, customer, price, receipt"):
        messages(path, mapping=MAPPING)


def test_files_that_cannot_be_meant_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        check_file(tmp_path / "none.csv")
    (tmp_path / "sales.xlsx").touch()
    with pytest.raises(UsageError, match=r"must end in \.csv"):
        check_file(tmp_path / "sales.xlsx")


def test_a_damaged_file_gives_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    path.write_bytes(b"PAR1 and nothing else")

    with pytest.raises(CommandError, match=r"sales\.parquet: "):
        messages(path)


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_file(tmp_path)


@pytest.mark.parametrize("header", ["a,a.b", "a.b,a", "properties.total,properties", "x,a.b.c,a.b"])
def test_columns_that_claim_one_place_are_refused(header: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")

    with pytest.raises(CommandError, match=r"the columns \S+ and \S+ claim the same place"):
        messages(path)


@pytest.mark.parametrize(("row", "said"), [("1,2,3,4,5", "5 values"), ("1", "1 value"), ("1,2,3", "3 values")])
def test_a_row_of_another_length_is_named_by_its_line(row: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text('a,b,c,d\n"1\n2",2,3,4\n' + "1,2,3,4\n" * 18 + f"{row}\n1,2,3,4\n")

    with pytest.raises(CommandError, match=rf"events\.csv:22: {said}, the header has 4; nothing was sent"):
        count_rows(path)


def test_every_row_of_a_csv_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes('\ufefftype;event;user\'s\r\ntrack;"a;""b""\r\nc";1\r\n\r\n# x;y"z;\r\ntrack;ö;007\r\n'.encode())

    read = messages(path)

    assert [message.get("user's") for message in read] == ["1", None, "007"]
    assert [message["event"] for message in read] == ['a;"b"\r\nc', 'y"z', "ö"]
    assert count_rows(path) == 3
    assert ignored_columns(path) == ["user's"]


def test_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 50_000 + "ö,1\n".encode("latin-1"))

    with pytest.raises(CommandError, match=r"events\.csv: not a text in UTF-8"):
        count_rows(path)


@pytest.mark.parametrize(("text", "said"), [("", "no header"), ("a,A\n1,2\n", "two columns are called a")])
def test_a_header_must_name_the_columns(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)

    with pytest.raises(CommandError, match=said):
        count_rows(path)
