from decimal import Decimal
from typing import Any

import pytest

from onefold.domain.webhook_shopify import read_shopify
from tests.fakes.webhooks import shopify_order, shopify_refund


def read(topic: str, body: dict[str, Any], event_id: str = "e-1") -> list[dict[str, Any]]:
    return read_shopify(body, topic=topic, event_id=event_id)


def test_an_order_has_its_sums_products_and_person() -> None:
    [message] = read("orders/create", shopify_order())

    assert (message["event"], message["messageId"]) == ("Order Completed", "orders/create/e-1")
    assert message["timestamp"] == "2026-11-12T05:00:00-05:00"
    assert message["anonymousId"] == "anon-jon-1"
    named = {each["type"]: each["id"] for each in message["context"]["externalIds"]}
    assert named == {"shopify_customer": "115310627314723954", "email": "jon@posteo-demo.net"}
    properties = message["properties"]
    assert (properties["order_id"], properties["currency"]) == ("820982911946154508", "USD")
    sums = [properties[name] for name in ("total", "subtotal", "shipping", "discount")]
    assert sums == [Decimal("403.00"), Decimal("393.00"), Decimal("10.00"), Decimal("5.00")]
    assert properties["coupon"] == "WELCOME"
    assert properties["products"] == [
        {
            "product_id": "632910392",
            "sku": "IPOD2008PINK",
            "name": "IPod Nano - 8GB",
            "brand": "Apple",
            "price": Decimal("199.00"),
            "quantity": 2,
        }
    ]


def test_a_refund_counts_what_was_paid_out_and_names_no_member_of_staff() -> None:
    [message] = read("refunds/create", shopify_refund())

    assert message["event"] == "Order Refunded"
    assert message["properties"]["total"] == Decimal("199.00")  # and not what failed
    assert "userId" not in message
    assert "context" not in message


def test_an_order_carries_its_refunds_under_the_ids_of_their_own_webhooks() -> None:
    [alone] = read("refunds/create", shopify_refund())
    order, carried = read("orders/updated", shopify_order(refunds=[shopify_refund()]), "e-2")

    assert order["event"] == "Order Updated"
    assert (carried["messageId"], carried["properties"]) == (alone["messageId"], alone["properties"])
    assert [each["type"] for each in carried["context"]["externalIds"]] == ["shopify_customer", "email"]


def test_a_refund_that_is_paid_out_later_is_told_again() -> None:
    pending = shopify_refund(transactions=[{"kind": "refund", "status": "pending", "amount": "199.00"}])
    [first], [second] = read("refunds/create", pending), read("refunds/create", shopify_refund())

    assert first["properties"]["total"] == 0
    assert first["messageId"] != second["messageId"]
    assert first["properties"]["refund_id"] == second["properties"]["refund_id"]


def test_an_order_is_cancelled_if_it_says_so_itself() -> None:
    """The topic is in a header, which is not signed."""
    assert read("orders/cancelled", shopify_order(cancelled_at="2026-11-14T00:00:00Z"))[0]["event"] == "Order Cancelled"
    assert read("orders/cancelled", shopify_order())[0]["event"] == "Order Updated"


def test_an_order_that_is_a_test_is_no_revenue() -> None:
    [message] = read("orders/create", shopify_order(test=True))

    assert message["event"] == "orders/create"
    assert message["properties"]["shopify"]["test"] is True


def test_a_customer_is_identified() -> None:
    [message] = read(
        "customers/update",
        {
            "id": 207119551,
            "email": "bob@posteo-demo.net",
            "first_name": "Bob",
            "phone": "+16136120707",
            "default_address": {"city": "Ottawa", "country_code": "CA"},
            "email_marketing_consent": {"state": "subscribed"},
        },
    )

    assert (message["type"], message["traits"]["firstName"]) == ("identify", "Bob")
    assert message["traits"]["address"] == {"city": "Ottawa", "country": "CA"}
    assert [each["type"] for each in message["context"]["externalIds"]] == ["shopify_customer", "email", "phone"]


@pytest.mark.parametrize("topic", ["products/update", "customers/redact", "checkouts/update", ""])
def test_other_topics_are_kept_under_their_names(topic: str) -> None:
    [message] = read(topic, {"id": 1, "email": "bob@posteo-demo.net"})

    assert message["event"] == (topic or "Webhook Received")
    assert message["properties"]["shopify"] == {"id": 1, "email": "bob@posteo-demo.net"}


@pytest.mark.parametrize("topic", ["orders/create", "refunds/create", "customers/create", "checkouts/create"])
def test_a_body_with_nothing_in_it_gives_a_message_all_the_same(topic: str) -> None:
    odd: dict[str, Any] = {"line_items": 3, "refunds": "x", "customer": [], "transactions": {"kind": "refund"}}

    assert len(read(topic, odd)) == 1
