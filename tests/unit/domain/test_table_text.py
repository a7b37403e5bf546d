"""Records out of lines: what is broken stands alone, and its neighbours are read."""

import pytest

from onefold.domain.errors import MappingInvalid
from onefold.domain.table_text import Row, choose_delimiter, column_names, csv_rows, json_rows
from onefold.domain.text_file import LINE_BYTES_MAX, Encoding, split_lines

COLUMNS = ("no", "name", "city")


def read(text: str | bytes, encoding: Encoding = "utf-8") -> list[Row]:
    content = text.encode() if isinstance(text, str) else text
    return list(csv_rows(split_lines([content], b"\n"), COLUMNS, ";", encoding))


def outcome(rows: list[Row]) -> list[tuple[int, object]]:
    return [(row.line, row.fault.reason if row.fault else tuple(row.values.values())) for row in rows]


def test_plain_and_quoted_records_and_empty_lines() -> None:
    rows = read('1;Kim;Bonn\n\n2;"Lee; ""the"" one";"a\nb"\n3;;\n')

    assert outcome(rows) == [
        (1, ("1", "Kim", "Bonn")),
        (3, ("2", 'Lee; "the" one', "a\nb")),
        (5, ("3", "", "")),
    ]
    assert rows[1].raw == b'2;"Lee; ""the"" one";"a\nb"\n'


def test_a_mark_of_inches_in_a_plain_value_is_no_quotation() -> None:
    assert outcome(read('1;12" pipe;Bonn\n2;x;y\n')) == [(1, ("1", '12" pipe', "Bonn")), (2, ("2", "x", "y"))]


def test_a_quotation_that_nobody_closes_costs_its_line_and_no_other() -> None:
    text = '1;"open;Bonn\n' + "".join(f"{n};x;y\n" for n in range(2, 600))

    rows = read(text)

    assert rows[0].fault is not None
    assert (rows[0].fault.reason, rows[0].raw) == ("quote_unclosed", b'1;"open;Bonn\n')
    assert outcome(rows[1:]) == [(n, (str(n), "x", "y")) for n in range(2, 600)]


def test_a_stray_quotation_that_closes_lines_later_costs_its_line_and_no_other() -> None:
    rows = read('1;"open;a\n2;x;y\n3;"x";y\n')

    assert outcome(rows) == [(1, "row_malformed"), (2, ("2", "x", "y")), (3, ("3", "x", "y"))]


@pytest.mark.parametrize("line", ["1;2", "1;2;3;4", '1;"a"b;3'])
def test_a_row_of_another_width_or_form_is_refused(line: str) -> None:
    assert outcome(read(f"{line}\n1;x;y\n")) == [(1, "row_malformed"), (2, ("1", "x", "y"))]


def test_a_byte_that_the_encoding_does_not_have_costs_its_row() -> None:
    assert outcome(read(b"1;M\xfcller;y\n2;x;y\n")) == [(1, "text_not_readable"), (2, ("2", "x", "y"))]
    assert outcome(read(b"1;M\xfcller;y\n2;\x81;y\n", "cp1252")) == [
        (1, ("1", "Müller", "y")),
        (2, "text_not_readable"),
    ]


def test_a_row_that_is_too_long_is_refused_by_its_beginning() -> None:
    [long, short] = read("1;" + "x" * LINE_BYTES_MAX + ";y\n2;x;y\n")

    assert long.fault is not None
    assert (long.fault.reason, len(long.raw), short.line) == ("row_too_long", LINE_BYTES_MAX, 2)


def test_json_lines_become_columns_with_dots() -> None:
    text = b'{"id": 1, "who": {"mail": "a@b.de", "tags": [1, 2]}, "none": null}\nnot json\n\n[1]\n{"id": 2}\n'

    rows = list(json_rows(split_lines([text], b"\n")))

    assert rows[0].values == {"id": 1, "who.mail": "a@b.de", "who.tags": [1, 2], "none": None}
    assert [row.fault.reason if row.fault else row.line for row in rows] == [1, "json_invalid", "json_invalid", 5]
    assert rows[3].values["who.mail"] is None


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a;b;c", "1,5;2;3", "2,5;3;4"], ";"),
        (["a,b,c", "1,2,3"], ","),
        (["a\tb", "1,2\t3"], "\t"),
        (["a|b|c", "x, y|2|3"], "|"),
        (["only", "one"], ","),
        (['"a,b";c', '"1,2";3'], ";"),
    ],
)
def test_the_separator_is_what_cuts_the_lines_alike(lines: list[str], delimiter: str) -> None:
    assert choose_delimiter([f"{line}\n" for line in lines]) == delimiter


def test_headers_name_the_columns_or_numbers_do() -> None:
    assert column_names("a; b ;;\r\n", ";", header=True) == ("a", "b", "column3", "column4")
    assert column_names("7;8\n", ";", header=False) == ("column1", "column2")
    for first in ("a;a", ""):
        with pytest.raises(MappingInvalid):
            column_names(first, ";", header=True)
