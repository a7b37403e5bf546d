"""The example mappings, each with rows as its system exports them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from onefold.domain.mapping import RowMapping, parse_mapping
from onefold.domain.row_message import Message, RowMapper

FOLDER = Path(__file__).parents[3] / "definitions" / "mappings"
ROWS: dict[str, dict[str, object]] = {
    "crm_customers": {
        "customer_no": "17", "updated_at": "2024-07-01 08:00", "email": "kim@posteo-demo.net", "phone": "+49301234567",
        "loyalty_card": "L-1", "merged_customer_no": "9", "first_name": "Kim", "last_name": "Weiß",
        "birthday": "1990-01-31", "city": "Bonn", "customer_since": "2019-01-01", "lifetime_value": "1234.50",
        "newsletter": "yes", "@content": "c0ffee",
    },
    "till_transactions": {
        "receipt": "4711", "sold_at": "01.07.2024 10:00", "card": "L-1", "quantity": "-2", "price": "1.299,50",
        "store": "Bonn", "article": "A1", "name": "Lamp",
    },
    "campaign_costs": {
        "campaign_id": "7", "campaign": "Summer", "channel": "mail", "day": "2024-07-01", "sends": "1000",
        "impressions": "900", "reach": "800", "clicks": "12", "cost": "99.50", "currency": "EUR",
    },
    "support_tickets": {
        "ticket_id": "5", "status": "solved", "updated_at": "2024-07-01T10:00:00+0200", "customer_no": "17",
        "requester": "kim@posteo-demo.net", "subject": "Lamp", "priority": "low", "csat": "4",
    },
    "support_calls": {
        "call_id": "8", "started_at": "1719820800", "customer_no": "17", "caller": "+49301234567", "agent": "a-1",
        "topic": "lamp", "duration_s": "65", "solved": "1",
    },
    "third_party_segments": {
        "email": "kim@posteo-demo.net", "valid_from": "2024-07-01", "segment": "urban", "income_band": "high",
        "affinity": "0.7", "@content": "c0ffee",
    },
    "predictions": {
        "customer_id": "17", "predicted_at": "2024-07-01T06:00:00Z", "churn_probability": "0.91",
        "expected_value": "12.00", "decile": "9",
    },
}  # fmt: skip


def load(name: str) -> RowMapping:
    return parse_mapping(yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))


def messages(name: str, **changes: object) -> list[Message]:
    return RowMapper(load(name)).messages([ROWS[name] | changes], {})


def test_there_is_a_row_for_each_example_of_a_table() -> None:
    tables = {
        path.stem for path in FOLDER.glob("*.yaml") if "format" not in yaml.safe_load(path.read_text(encoding="utf-8"))
    }

    assert tables == {*ROWS, "online_retail"}
    assert all(load(name).source for name in tables)


def test_a_customer_is_described_allowed_and_linked() -> None:
    identify, alias = messages("crm_customers")

    traits: Any = identify["traits"]
    context: Any = identify["context"]
    assert (identify["type"], identify["userId"], identify["timestamp"]) == (
        "identify",
        "17",
        "2024-07-01T06:00:00.000Z",
    )
    assert (traits["firstName"], str(traits["lifetime_value"])) == ("Kim", "1234.50")
    assert {each["type"] for each in context["externalIds"]} == {"email", "phone", "loyalty"}
    assert context["consent"] == {"categoryPreferences": {"marketing": True}}
    assert (alias["type"], alias["userId"], alias["previousId"]) == ("alias", "17", "9")


def test_a_return_is_a_refund_with_positive_sums() -> None:
    [refund] = messages("till_transactions")

    properties: Any = refund["properties"]
    assert (refund["event"], refund["messageId"]) == ("Order Refunded", "till/4711")
    assert (str(properties["total"]), properties["currency"]) == ("2599.00", "EUR")
    assert (properties["products"][0]["quantity"], str(properties["products"][0]["price"])) == (2, "1299.50")
    assert messages("till_transactions", quantity="2")[0]["event"] == "Order Completed"


def test_a_campaigns_day_is_an_event_of_nobody() -> None:
    [report] = messages("campaign_costs")

    properties: Any = report["properties"]
    assert not {"userId", "anonymousId"} & set(report)
    assert report["context"] == {"campaign": {"name": "Summer", "source": "mail"}}
    assert {name: str(properties[name]) for name in ("sends", "impressions", "reach", "cost")} == {
        "sends": "1000",
        "impressions": "900",
        "reach": "800",
        "cost": "99.50",
    }


@pytest.mark.parametrize(
    ("status", "event"), [("new", "Created"), ("solved", "Solved"), ("closed", "Closed"), ("pending", "Updated")]
)
def test_a_ticket_says_what_became_of_it(status: str, event: str) -> None:
    [ticket] = messages("support_tickets", status=status)

    assert (ticket["event"], ticket["messageId"]) == (f"Support Ticket {event}", f"ticket/5/{status}")


def test_a_call_has_its_length() -> None:
    [call] = messages("support_calls")

    properties: Any = call["properties"]
    assert (call["timestamp"], properties["duration_s"], properties["was_solved"]) == (
        "2024-07-01T08:00:00.000Z",
        65,
        True,
    )


def test_bought_segments_stay_under_their_sellers_name_and_licence() -> None:
    [segment] = messages("third_party_segments")

    context: Any = segment["context"]
    assert set(segment["traits"]) == {"lifedata.segment", "lifedata.household_income", "lifedata.affinity"}  # type: ignore[call-overload]
    assert (context["provider"]["name"], context["provider"]["party"]) == ("lifedata", "third")
    assert context["provider"]["licence"].startswith("LD-2026-17")


def test_predictions_stay_under_their_models_name() -> None:
    [prediction] = messages("predictions")

    traits: Any = prediction["traits"]
    assert str(traits["churn_model.probability"]) == "0.91"
    assert prediction["context"]["provider"]["version"] == "2026.2"  # type: ignore[index]
