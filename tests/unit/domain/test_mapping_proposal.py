"""A mapping is proposed from what a table shows: kind, identifiers, times, money; and it can be run."""

from typing import Any

import pytest

from onefold.domain.column_look import look_at
from onefold.domain.mapping import ROW, mapped_columns, parse_mapping
from onefold.domain.mapping_proposal import Proposal, propose_mapping
from onefold.domain.row_message import RowMapper

Table = list[dict[str, object]]


def table(header: str, *lines: str) -> Table:
    names = header.split(";")
    return [dict(zip(names, line.split(";"), strict=True)) for line in lines]


CUSTOMERS = table(
    "Kundennummer;Vorname;E-Mail;Telefon;Newsletter;Umsatz;Geändert",
    "0017;Kim;kim@posteo-demo.net;+49 30 1234567;ja;1.234,50;03.02.2024",
    "0018;Lee;lee@posteo-demo.net;+49 40 7654321;nein;12,00;23.02.2024",
)
TILL = table(
    "receipt_no;date;sku;qty;unit_price;customer_id",
    "r1;02/13/2024;A;2;$1.50;c1",
    "r1;02/13/2024;B;1;$2.00;c1",
    "r2;02/14/2024;A;-1;$1.50;c2",
)
CAMPAIGNS = table("campaign;day;impressions;clicks;spend", "x;2024-01-01;100;3;9.99", "x;2024-01-02;200;4;8.99")
TICKETS = table("ticket_id;created_at;requester_email;subject", "1;2024-01-01T10:00:00Z;a@posteo-demo.net;Help")
CALLS = table("call_id;start_time;duration;customer_id", "1;1704103200;65;c1", "2;1704106800;10;c1")
SEGMENTS = table("email;segment;provider;licence", "a@posteo-demo.net;young;LifeData;LD-1")
SCORES = table("customer_id;churn_probability;model", "c1;0.91;churn-v2", "c2;0.12;churn-v2")
OTHERS = table("plant;colour", "rose;red", "rose;red")


def proposed(rows: Table) -> Proposal:
    return propose_mapping("t", rows, list(rows[0]))


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (CUSTOMERS, "customers"),
        (TILL, "transactions"),
        (CAMPAIGNS, "campaigns"),
        (TICKETS, "support"),
        (CALLS, "support"),
        (SEGMENTS, "segments"),
        (SCORES, "predictions"),
        (OTHERS, "records"),
    ],
)
def test_a_table_is_known_by_its_columns_and_its_proposal_runs(rows: Table, kind: str) -> None:
    proposal = proposed(rows)

    rules = parse_mapping(proposal.document)
    mapper = RowMapper(rules)
    made = [{**row, "@row": f"f/{n}", "@content": f"c{n}"} for n, row in enumerate(rows)]
    assert proposal.kind == kind
    assert mapped_columns(rules) <= set(made[0])
    assert all(mapper.messages([row], {}) for row in made)


def test_customers_become_people_with_traits_and_consents() -> None:
    document = proposed(CUSTOMERS).document

    assert document["message_id"] == "t/{Kundennummer}/{@content}"
    assert document["timestamp"] == {"column": "Geändert", "format": "%d.%m.%Y", "zone": "UTC"}
    assert document["identifiers"] == {"user_id": "Kundennummer", "email": "E-Mail", "phone": "Telefon"}
    assert document["consents"] == {"marketing": {"column": "Newsletter", "type": "boolean"}}
    assert document["decimal"] == ","
    [first, _] = [RowMapper(parse_mapping(document)).messages([{**row, "@content": "x"}], {})[0] for row in CUSTOMERS]
    traits: Any = first["traits"]
    assert (first["userId"], traits["firstName"], str(traits["umsatz"])) == ("0017", "Kim", "1234.50")


def test_receipts_become_orders_with_products_and_returns() -> None:
    document = proposed(TILL).document

    properties: Any = document["properties"]
    assert (document["group_by"], document["message_id"]) == (["receipt_no"], "t/{receipt_no}")
    assert document["timestamp"]["format"] == "%m/%d/%Y"  # type: ignore[index]
    assert properties["total"] == {"sum": ["qty", "unit_price"]}
    assert properties["currency"] == {"value": "USD"}
    assert set(properties["products"]["rows"]) == {"product_id", "quantity", "price"}
    refund = {"event": "Order Refunded", "when": {"column": "qty", "below": 0}, "negate": ["qty"]}
    assert document["events"] == [refund, {"event": "Order Completed"}]


def test_what_its_reader_must_decide_is_said() -> None:
    nameless = table("customer_id;date;amount", "c1;01/02/2024;5.00", "c1;01/02/2024;5.00")

    proposal = proposed(nameless)

    notes = " ".join(proposal.notes)
    assert proposal.document["message_id"] == f"t/{{{ROW}}}"
    for said in ("1 of 2 repeat another", "day and month could be either", "time zone", "currency"):
        assert said in notes


def test_segments_stay_under_the_name_of_who_sells_them() -> None:
    document = proposed(SEGMENTS).document

    assert document["provider"] == {"name": "lifedata", "party": "third", "licence": "LD-1"}
    assert document["traits"] == {"segment": "segment"}


def test_campaign_reports_name_nobody() -> None:
    document = proposed(CAMPAIGNS).document

    assert "identifiers" not in document
    assert document["context"] == {"campaign.name": "campaign"}
    assert document["properties"]["cost"] == {"column": "spend", "type": "money"}  # type: ignore[index]


@pytest.mark.parametrize(
    ("values", "look"),
    [
        (["1", "2"], "integer"),
        (["007", "12"], "text"),
        (["1.5", "2"], "number"),
        (["€ 3,50"], "money"),
        (["yes", "no"], "boolean"),
        (["2024-01-01"], "time"),
        (["a@b.de", "c@d.de"], "email"),
        (["", None], "empty"),
        (["20240101"], "integer"),
        ([True, False], "boolean"),
    ],
)
def test_columns_look_like_what_they_are(values: list[object], look: str) -> None:
    [column], _ = look_at([{"x": value} for value in values], ["x"])

    assert column.look == look
