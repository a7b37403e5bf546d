"""Rows become messages: grouped, exact, and the same for every sending."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from onefold.domain.errors import MappingInvalid
from onefold.domain.mapping import RowMapping, mapped_columns, parse_mapping
from onefold.domain.row_message import RowInvalid, RowMapper, Told, encode_message, map_rows

RETAIL = Path(__file__).parents[3] / "definitions/mappings/online_retail.yaml"


@pytest.fixture(scope="module")
def retail() -> RowMapping:
    return parse_mapping(yaml.safe_load(RETAIL.read_text()))


def line(
    invoice: str, *, price: float, quantity: int, customer: float | None = 17850, **more: object
) -> dict[str, object]:
    row: dict[str, object] = {
        "InvoiceNo": invoice,
        "StockCode": "85123A",
        "Description": "WHITE HEART",
        "Quantity": quantity,
        "InvoiceDate": datetime(2011, 7, 1, 8, 26),  # noqa: DTZ001 - the file names no zone
        "UnitPrice": price,
        "CustomerID": customer,
        "Country": "France",
    }
    return row | more


def mapping(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "message_id": "till/{receipt}",
        "timestamp": {"column": "at"},
        "events": [{"event": "Order Completed"}],
        "properties": {"order_id": "receipt"},
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def test_an_invoices_lines_become_one_order_with_products(retail: RowMapping) -> None:
    rows = [line("536365", price=2.55, quantity=6), line("536365", price=3.39, quantity=8, StockCode="22752")]

    identify, order = map_rows(retail, rows)

    assert identify == {
        "type": "identify",
        "messageId": "online-retail/536365/traits",
        "timestamp": "2011-07-01T07:26:00.000Z",  # British Summer Time
        "userId": "17850",
        "traits": {"country": "France"},
    }
    assert order["event"] == "Order Completed"
    assert order["messageId"] == "online-retail/536365"
    assert order["properties"] == {
        "order_id": "536365",
        "currency": "GBP",
        "country": "France",
        "total": Decimal("42.42"),
        "products": [
            {"product_id": "85123A", "name": "WHITE HEART", "price": Decimal("2.55"), "quantity": 6},
            {"product_id": "22752", "name": "WHITE HEART", "price": Decimal("3.39"), "quantity": 8},
        ],
    }


def test_totals_are_exact_where_floats_drift(retail: RowMapping) -> None:
    rows = [line("1", price=0.1, quantity=1) for _ in range(3)]

    order = list(map_rows(retail, rows))[-1]

    assert sum([0.1, 0.1, 0.1]) != 0.3
    assert b'"total":0.3,' in encode_message(order)


def test_a_credit_note_becomes_a_refund_with_a_positive_sum(retail: RowMapping) -> None:
    refund = list(map_rows(retail, [line("C1", price=27.50, quantity=-2)]))[-1]

    properties: Any = refund["properties"]
    assert refund["event"] == "Order Refunded"
    assert properties["total"] == Decimal("55.00")
    assert properties["products"][0]["quantity"] == 2


@pytest.mark.parametrize(
    ("row", "event"),
    [
        (line("A5", price=-11062.06, quantity=1), "Debt Adjusted"),
        (line("5", price=0.0, quantity=-4), "Stock Adjusted"),
        (line("6", price=0.0, quantity=4), "Order Completed"),
    ],
)
def test_bookkeeping_is_not_mistaken_for_orders(retail: RowMapping, row: dict[str, object], event: str) -> None:
    assert list(map_rows(retail, [row]))[-1]["event"] == event


@pytest.mark.parametrize("customer", [None, float("nan"), ""])
def test_a_receipt_without_a_customer_names_nobody(retail: RowMapping, customer: Any) -> None:
    (order,) = map_rows(retail, [line("1", price=1, quantity=1, customer=customer)])

    assert "userId" not in order
    assert order["type"] == "track"


@pytest.mark.parametrize("customer", [17850, 17850.0, "17850"])
def test_a_customer_number_is_the_same_text_in_every_file_format(retail: RowMapping, customer: Any) -> None:
    messages = map_rows(retail, [line("1", price=1, quantity=1, customer=customer)])

    assert {message["userId"] for message in messages} == {"17850"}


def test_traits_are_sent_when_new_or_changed_and_not_again(retail: RowMapping) -> None:
    countries = ["France", "France", "Spain", "France"]
    rows = [line(str(n), price=1, quantity=1, Country=country) for n, country in enumerate(countries)]

    identifies = [message for message in map_rows(retail, rows) if message["type"] == "identify"]

    assert [message["traits"] for message in identifies] == [{"country": c} for c in ("France", "Spain", "France")]
    assert len({message["messageId"] for message in identifies}) == 3


def test_sending_a_file_twice_gives_the_same_messages(retail: RowMapping) -> None:
    rows = [line("1", price=1, quantity=1), line("2", price=1, quantity=1)]

    assert list(map_rows(retail, rows)) == list(map_rows(retail, rows))


def test_texts_of_a_csv_file_give_the_same_order_as_typed_values(retail: RowMapping) -> None:
    row = line("1", price=2.55, quantity=6)
    texts = {name: str(value) for name, value in row.items()}

    typed, text = list(map_rows(retail, [row]))[-1], list(map_rows(retail, [texts]))[-1]

    assert (typed["userId"], typed["timestamp"]) == (text["userId"], text["timestamp"])
    assert typed["properties"]["total"] == text["properties"]["total"]  # type: ignore[index]


def test_identifiers_without_a_field_of_their_own_travel_as_external_ids() -> None:
    declared = parse_mapping(mapping(identifiers={"email": "mail", "external_id": "card"}))
    at = datetime(2026, 1, 1, tzinfo=UTC)

    (message,) = map_rows(declared, [{"receipt": 7, "at": at, "mail": "kim@posteo-demo.net", "card": "L-1"}])

    external: Any = message["context"]
    assert [(entry["type"], entry["id"]) for entry in external["externalIds"]] == [
        ("email", "kim@posteo-demo.net"),
        ("external_id", "L-1"),
    ]


def test_each_row_is_a_message_where_nothing_groups_them() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    messages = list(map_rows(parse_mapping(mapping()), [{"receipt": n, "at": at} for n in range(3)]))

    assert [message["messageId"] for message in messages] == ["till/0", "till/1", "till/2"]


def test_a_row_that_fits_no_event_is_left_out() -> None:
    declared = parse_mapping(mapping(events=[{"event": "Sold", "when": {"column": "kind", "equals": 1}}]))
    at = datetime(2026, 1, 1, tzinfo=UTC)

    messages = list(map_rows(declared, [{"receipt": n, "at": at, "kind": n} for n in range(3)]))

    assert [message["messageId"] for message in messages] == ["till/1"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"events": []}, "#/events"),
        ({"events": None}, "#/events"),
        ({"events": [{"event": "A"}, {"event": "B"}]}, "#/events/0"),
        ({"events": [{"event": "A", "when": {"column": "x"}}]}, "#/events/0/when"),
        ({"events": [{"event": "A", "whem": {}}]}, "#/events/0"),
        ({"timestamp": {"column": "at", "zone": "Mars/Olympus"}}, "#/timestamp/zone"),
        ({"message_id": "fixed"}, "#/message_id"),
        ({"message_id": "x/{receipt!r}"}, "#/message_id"),
        ({"identifiers": {"cookie": "c"}}, "#/identifiers/cookie"),
        ({"properties": {"a": {"column": "b", "value": "c"}}}, "#/properties/a"),
        ({"properties": {"a": {"rows": {"b": {}}}}}, "#/properties/a/rows/b"),
        ({"properties": {"a": {"column": "b", "minor_digits": 9}}}, "#/properties/a/minor_digits"),
        ({"properties": {"a": {"column": "b", "type": "time", "format": "DD.MM"}}}, "#/properties/a/format"),
        ({"timestamp": {"column": "at", "value": "2024-01-01"}}, "#/timestamp"),
        ({"timestamp": {}}, "#/timestamp"),
        ({"timestamp": {"value": "yesterday"}}, "#/timestamp/value"),
        ({"timestamp": {"column": "at", "format": "epoch_us"}}, "#/timestamp/format"),
        ({"message_id": "x/{@line}"}, "#/message_id"),
        ({"identifiers": {"external_id.A b": "c"}}, "#/identifiers/external_id.A b"),
        ({"alias": {"previous_id": "old"}}, "#/alias"),
        ({"events": [], "traits": {"a": "b"}, "properties": None}, "#/identifiers"),
        ({"events": [], "traits": {"a": "b"}, "identifiers": {"user_id": "u"}}, "#/properties"),
        ({"provider": {"name": "Life Data"}}, "#/provider/name"),
        ({"file": {"delimiter": "ab"}}, "#/file/delimiter"),
        ({"file": {"encoding": "latin-1"}}, "#/file/encoding"),
    ],
)
def test_a_faulty_mapping_is_refused_with_its_place(change: dict[str, object], pointer: str) -> None:
    with pytest.raises(MappingInvalid) as caught:
        parse_mapping(mapping(**change))

    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"receipt": 1}, "no column 'at'"),
        ({"receipt": 1, "at": "soon"}, "at is no time"),
        ({"receipt": 1, "at": 5}, "at holds no time"),
        ({"receipt": None, "at": datetime(2026, 1, 1, tzinfo=UTC)}, "has no id"),
        ({"receipt": 1, "at": datetime(2026, 1, 1, tzinfo=UTC), "n": "two"}, "n holds no number"),
    ],
)
def test_an_unreadable_row_is_named_by_its_number_and_not_by_its_values(row: dict[str, object], told: str) -> None:
    declared = parse_mapping(mapping(properties={"n": {"column": "n", "type": "number"}}))
    fine = {"receipt": 0, "at": datetime(2026, 1, 1, tzinfo=UTC), "n": 1}

    with pytest.raises(MappingInvalid, match=told) as caught:
        list(map_rows(declared, [fine, row]))

    assert caught.value.pointer == "row 2"
    assert "soon" not in str(caught.value)
    assert "two" not in str(caught.value)


def test_every_column_that_is_read_is_named(retail: RowMapping) -> None:
    assert mapped_columns(retail) == set(line("1", price=1, quantity=1))


def test_an_encoded_message_keeps_its_digits() -> None:
    assert encode_message({"total": Decimal("10.10")}) == b'{"total":10.10}'
    assert msgspec.json.decode(encode_message({"total": Decimal("1E+3")}), type=dict[str, Decimal])["total"] == 1000


def test_a_column_that_yaml_takes_for_a_boolean_is_named_with_the_remedy() -> None:
    with pytest.raises(MappingInvalid, match="quotes"):
        parse_mapping(yaml.safe_load("{message_id: 'a/{x}', identifiers: {user_id: no}, traits: {a: b}}"))


def test_a_message_id_that_is_too_long_keeps_its_beginning_and_stays_distinct() -> None:
    declared = parse_mapping(mapping(message_id="till/{receipt}"))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    names = ["x" * 200 + "1", "x" * 200 + "2"]

    first, second = (message["messageId"] for message in map_rows(declared, [{"receipt": n, "at": at} for n in names]))

    assert first != second
    assert {len(str(first)), len(str(second))} == {93}
    assert str(first).startswith("till/xxx")


def test_context_consents_and_provider_stand_where_the_tracking_api_has_them() -> None:
    declared = parse_mapping(
        mapping(
            timestamp={"value": "2024-07-01", "zone": "Europe/Berlin"},
            context={"campaign.name": "campaign", "campaign.source": {"value": "mail"}},
            consents={"marketing": {"column": "ok", "type": "boolean"}, "ads": "ads"},
            provider={"name": "acme", "licence": "A-1"},
            identifiers={"user_id": "u"},
            traits={"band": "band"},
        )
    )
    row = {"receipt": 1, "campaign": "Summer", "ok": "ja", "ads": "", "u": "u-1", "band": 3}

    identify, track = map_rows(declared, [row])

    assert identify["traits"] == {"acme.band": 3}
    assert track["timestamp"] == "2024-06-30T22:00:00.000Z"
    assert track["context"] == {
        "campaign": {"name": "Summer", "source": "mail"},
        "consent": {"categoryPreferences": {"marketing": True}},
        "provider": {"name": "acme", "party": "third", "licence": "A-1", "version": ""},
    }


def test_traits_of_a_row_that_is_refused_are_told_with_the_next() -> None:
    """A refused row must not leave the belief that its person's traits were sent."""
    declared = parse_mapping(
        mapping(
            identifiers={"user_id": "u"},
            traits={"town": "town"},
            properties={"paid": {"column": "paid", "type": "number"}},
        )
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"receipt": n, "at": at, "u": "u", "town": "Bonn", "paid": paid} for n, paid in enumerate(["x", "1"])]
    mapper, told = RowMapper(declared), Told()

    with pytest.raises(RowInvalid):
        mapper.messages([rows[0]], told)

    assert [message["type"] for message in mapper.messages([rows[1]], told)] == ["identify", "track"]


@pytest.mark.parametrize(
    ("written", "minor_digits", "expected"), [("1.234,50 €", 0, "1234.50"), ("123450", 2, "1234.50"), ("-3", 0, "-3")]
)
def test_money_is_exact_whatever_it_wears(written: str, minor_digits: int, expected: str) -> None:
    declared = parse_mapping(
        mapping(decimal=",", properties={"paid": {"column": "paid", "type": "money", "minor_digits": minor_digits}})
    )

    (message,) = map_rows(declared, [{"receipt": 1, "at": datetime(2026, 1, 1, tzinfo=UTC), "paid": written}])

    assert str(message["properties"]["paid"]) == expected  # type: ignore[index]
