from decimal import Decimal
from typing import Any

import pytest

from onefold.domain.webhook_stripe import money, read_stripe
from tests.fakes.webhooks import stripe_charge, stripe_event


def words(kind: str, subject: dict[str, Any], **data: Any) -> tuple[str, dict[str, Any]]:
    [message] = read_stripe(stripe_event(kind, subject, **data))
    return str(message["event"]), dict(message["properties"])


@pytest.mark.parametrize(
    ("minor", "currency", "unit"),
    [
        (1099, "EUR", "10.99"),
        (500, "JPY", "500"),
        (5124, "KWD", "5.124"),
        (500, "ISK", "5.00"),  # no decimals, but written with two
        (500, "UGX", "5.00"),
        (500, "KRW", "500"),
        (500, "HUF", "5.00"),
        (-1099, "USD", "-10.99"),
        (99999999, "USD", "999999.99"),
    ],
)
def test_minor_units_become_exact_sums(minor: int, currency: str, unit: str) -> None:
    assert money(minor, currency) == Decimal(unit)


@pytest.mark.parametrize("minor", [None, True, "1099", 10.99])
def test_what_is_no_whole_number_is_no_sum(minor: object) -> None:
    assert money(minor, "EUR") is None


def test_a_charge_is_an_order_under_its_payments_id() -> None:
    [message] = read_stripe(stripe_event("charge.succeeded", stripe_charge()))

    assert (message["type"], message["event"], message["messageId"]) == ("track", "Order Completed", "evt_1")
    assert message["timestamp"] == 1_794_477_000
    named = {each["type"]: each["id"] for each in message["context"]["externalIds"]}
    assert named == {"stripe_customer": "cus_Eva1", "email": "Eva.Muster@Posteo-Demo.net"}
    ours = {name: message["properties"][name] for name in ("order_id", "total", "currency")}
    assert ours == {"order_id": "pi_1", "total": Decimal("59.99"), "currency": "EUR"}
    assert message["properties"]["stripe"]["data"]["object"]["payment_method_details"]["card"]["last4"] == "4242"


def test_a_checkout_and_its_charge_are_one_order() -> None:
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "mode": "payment",
        "payment_status": "paid",
        "payment_intent": "pi_1",
        "amount_subtotal": 5500,
        "amount_total": 5999,
        "currency": "eur",
        "customer_details": {"email": "eva@posteo-demo.net"},
        "total_details": {"amount_discount": 500, "amount_shipping": 499, "amount_tax": 500},
        "client_secret": "cs_1_secret",
    }

    name, order = words("checkout.session.completed", session)

    assert (name, order["order_id"], order["total"]) == ("Order Completed", "pi_1", Decimal("59.99"))
    assert order["subtotal"] == Decimal("50.00")  # after discounts, before tax and shipping
    assert "client_secret" not in str(order)
    assert words("checkout.session.completed", session | {"payment_status": "unpaid"})[0] == "Checkout Completed"
    assert words("checkout.session.completed", session | {"mode": "subscription"})[0] == "Checkout Completed"
    assert words("checkout.session.async_payment_succeeded", session)[0] == "Order Completed"


def test_what_is_only_authorized_is_no_order() -> None:
    held = stripe_charge(captured=False, amount_captured=0)

    assert words("charge.succeeded", held)[0] == "Payment Authorized"
    assert words("charge.captured", stripe_charge(amount_captured=4000))[1]["total"] == Decimal("40.00")
    assert words("charge.refunded", held | {"amount_refunded": 5999})[0] == "charge.refunded"
    assert words("charge.failed", stripe_charge(failure_code="card_declined"))[0] == "Payment Failed"


def test_each_refund_says_what_it_added() -> None:
    first = words("charge.refunded", stripe_charge(amount_refunded=1000), previous_attributes={"amount_refunded": 0})
    second = words(
        "charge.refunded", stripe_charge(amount_refunded=5999), previous_attributes={"amount_refunded": 1000}
    )

    assert [name for name, _ in (first, second)] == ["Order Refunded"] * 2
    assert [refund["total"] for _, refund in (first, second)] == [Decimal("10.00"), Decimal("49.99")]
    assert len({refund["refund_id"] for _, refund in (first, second)}) == 2
    assert {refund["order_id"] for _, refund in (first, second)} == {"pi_1"}


def test_what_a_partial_capture_released_was_never_paid() -> None:
    partly = stripe_charge(amount=1000, amount_captured=600)

    assert words("charge.refunded", partly | {"amount_refunded": 400})[0] == "charge.refunded"
    name, refund = words(
        "charge.refunded", partly | {"amount_refunded": 700}, previous_attributes={"amount_refunded": 400}
    )
    assert (name, refund["total"]) == ("Order Refunded", Decimal("3.00"))


def test_a_customer_is_identified() -> None:
    customer = {
        "id": "cus_Eva1",
        "object": "customer",
        "email": "eva@posteo-demo.net",
        "name": "Eva Muster",
        "phone": "+4930123456",
        "address": {"line1": "Weg 1", "city": "Berlin", "postal_code": "10115", "country": "DE", "state": None},
        "metadata": {"user_id": "u-17"},
    }

    [message] = read_stripe(stripe_event("customer.updated", customer))

    assert (message["type"], message["userId"]) == ("identify", "u-17")
    assert [each["type"] for each in message["context"]["externalIds"]] == ["stripe_customer", "email", "phone"]
    assert message["traits"]["address"] == {
        "street": "Weg 1",
        "city": "Berlin",
        "postalCode": "10115",
        "country": "DE",
    }


def test_a_subscription_is_of_its_customer_and_not_one_itself() -> None:
    price = {"id": "price_1", "currency": "jpy", "unit_amount": 980, "recurring": {"interval": "month"}}
    subscription = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_Eva1",
        "status": "active",
        "items": {"data": [{"price": price, "quantity": 2}]},
    }

    [message] = read_stripe(stripe_event("customer.subscription.created", subscription))

    assert message["event"] == "Subscription Started"
    assert message["context"]["externalIds"][0]["id"] == "cus_Eva1"
    properties = message["properties"]
    assert (properties["price"], properties["quantity"], properties["interval"]) == (Decimal(980), 2, "month")
    assert words("customer.subscription.deleted", subscription)[0] == "Subscription Cancelled"
    assert words("invoice.paid", {"id": "in_1", "amount_paid": 980, "currency": "jpy"})[0] == "Invoice Paid"


@pytest.mark.parametrize(
    "event",
    [
        stripe_event("payment_intent.succeeded", {"id": "pi_1", "client_secret": "pi_1_secret", "amount": 1}),
        {"id": "evt_v2", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered", "created": "x"},
        {"type": "charge.succeeded", "data": {"object": None}},
        {"type": "charge.refunded", "data": "nothing"},
        {"type": 7, "data": []},
        {},
    ],
)
def test_what_is_not_known_is_kept_under_its_own_name(event: dict[str, Any]) -> None:
    [message] = read_stripe(event)

    assert message["type"] == "track"
    assert isinstance(message["event"], str)
    assert message["event"]
    assert "pi_1_secret" not in str(message)
    assert message["properties"]["stripe"].get("type") == event.get("type")
