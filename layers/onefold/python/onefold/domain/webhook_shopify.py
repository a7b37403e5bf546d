"""Shopify's topics in our words: orders with their products and refunds, customers, checkouts; the rest is kept."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from onefold.domain.webhook_message import Json, amount, identify, person, present, table, tables, text, track

ORDER_WORDS: Final = {
    "orders/create": "Order Completed",
    "orders/updated": "Order Updated",
    "orders/paid": "Order Updated",
    "orders/fulfilled": "Order Fulfilled",
    "orders/partially_fulfilled": "Order Partially Fulfilled",
    "orders/cancelled": "Order Cancelled",
}
CUSTOMER_TOPICS: Final = frozenset(["customers/create", "customers/update", "customers/enable", "customers/disable"])
CHECKOUT_TOPICS: Final = frozenset(["checkouts/create", "checkouts/update"])
ANONYMOUS_ID_NAMES: Final = ("anonymous_id", "anonymousId")  # of a cart's note attributes, set by the shop's theme


def read_shopify(body: Json, *, topic: str, event_id: str) -> list[Json]:
    """The messages of one webhook.

    An order carries its refunds, and with them the customer, whom a refund's own webhook does not name; both give
    the refund the same id, so it counts once.

    Args:
        body: As signed.
        topic: `orders/create`, from the header.
        event_id: The same in each attempt to deliver it; other topics may have it too.
    """
    message_id = f"{topic}/{event_id}" if event_id else ""
    if topic in ORDER_WORDS and body.get("test") is not True:
        refunds = [_refund(refund, _person(body)) for refund in tables(body.get("refunds"))]
        return [_order(body, topic, message_id), *refunds]
    if topic == "refunds/create":
        return [_refund(body, {})]
    fields = {"messageId": message_id, "timestamp": body.get("updated_at") or body.get("created_at")}
    if topic in CUSTOMER_TOPICS:
        return [identify(_traits(body), **fields, **_customer(body))]
    name = "Checkout Started" if topic == "checkouts/create" else topic or "Webhook Received"
    properties = _checkout(body) if topic in CHECKOUT_TOPICS else {}
    return [track(name, properties | {"shopify": body}, **fields, **_person(body))]


def _order(order: Json, topic: str, message_id: str) -> Json:
    # The topic is not signed, but the order is: it is cancelled if it says so itself.
    is_cancelled = bool(order.get("cancelled_at"))
    name = ORDER_WORDS[topic]
    if name == "Order Cancelled" and not is_cancelled:
        name = "Order Updated"
    at = {"Order Completed": "created_at", "Order Cancelled": "cancelled_at"}.get(name, "updated_at")
    return track(
        name,
        _order_properties(order) | {"shopify": order},
        messageId=message_id,
        timestamp=order.get(at) or order.get("created_at"),
        **_person(order),
    )


def _order_properties(order: Json) -> Json:
    shipping = table(table(order.get("total_shipping_price_set")).get("shop_money"))
    return present(
        {
            "order_id": text(order.get("id")),
            "order_name": text(order.get("name")),
            "total": amount(order.get("total_price")),
            "subtotal": amount(order.get("subtotal_price")),
            "tax": amount(order.get("total_tax")),
            "shipping": amount(shipping.get("amount")),
            "discount": amount(order.get("total_discounts")),
            "coupon": ",".join(text(each.get("code")) for each in tables(order.get("discount_codes"))),
            "currency": text(order.get("currency")).upper(),
            "status": text(order.get("financial_status")),
            "channel": text(order.get("source_name")),
            "products": _products(tables(order.get("line_items"))),
        }
    )


def _products(lines: Iterable[Json]) -> list[Json]:
    return [
        present(
            {
                "product_id": text(line.get("product_id")),
                "sku": text(line.get("sku")),
                "name": text(line.get("title")),
                "variant": text(line.get("variant_title")),
                "brand": text(line.get("vendor")),
                "price": amount(line.get("price")),
                "quantity": line.get("quantity"),
            }
        )
        for line in lines
    ]


def _refund(refund: Json, of: Json) -> Json:
    """What was given back: only what has been paid out. A refund that is still under way says so again later."""
    paid = [
        each
        for each in tables(refund.get("transactions"))
        if each.get("kind") == "refund" and each.get("status") == "success"
    ]
    total = sum((abs(amount(each.get("amount")) or Decimal(0)) for each in paid), Decimal(0))
    lines = tables(refund.get("refund_line_items"))
    products = _products(table(each.get("line_item")) | {"quantity": each.get("quantity")} for each in lines)
    refund_id = text(refund.get("id"))
    properties = present(
        {
            "order_id": text(refund.get("order_id")),
            "refund_id": refund_id,
            "currency": next((text(each.get("currency")).upper() for each in paid), ""),
            "reason": text(refund.get("note")),
            "products": products,
        }
    ) | {"total": total, "shopify": refund}
    at = refund.get("processed_at") or refund.get("created_at")
    return track("Order Refunded", properties, messageId=f"refund/{refund_id}/{total}", timestamp=at, **of)


def _checkout(checkout: Json) -> Json:
    return present(
        {
            "checkout_id": text(checkout.get("token")) or text(checkout.get("id")),
            "value": amount(checkout.get("total_price")),
            "currency": text(checkout.get("currency")).upper(),
            "products": _products(tables(checkout.get("line_items"))),
        }
    )


def _person(order: Json) -> Json:
    customer = table(order.get("customer"))
    notes = {text(each.get("name")): each.get("value") for each in tables(order.get("note_attributes"))}
    anonymous_id = next((notes[name] for name in ANONYMOUS_ID_NAMES if name in notes), None)
    identifiers = [
        ("shopify_customer", customer.get("id")),
        ("email", order.get("email") or order.get("contact_email") or customer.get("email")),
        ("phone", order.get("phone") or customer.get("phone")),
    ]
    return person(identifiers, anonymous_id=anonymous_id)


def _customer(customer: Json) -> Json:
    return person(
        [
            ("shopify_customer", customer.get("id")),
            ("email", customer.get("email")),
            ("phone", customer.get("phone")),
        ]
    )


def _traits(customer: Json) -> Json:
    address = table(customer.get("default_address"))
    consent = table(customer.get("email_marketing_consent"))
    return {
        "email": text(customer.get("email")),
        "phone": text(customer.get("phone")),
        "firstName": text(customer.get("first_name")),
        "lastName": text(customer.get("last_name")),
        "address": present(
            {
                "street": text(address.get("address1")),
                "city": text(address.get("city")),
                "postalCode": text(address.get("zip")),
                "state": text(address.get("province_code")),
                "country": text(address.get("country_code")),
            }
        ),
        "createdAt": text(customer.get("created_at")),
        "shopify_state": text(customer.get("state")),
        "shopify_tags": text(customer.get("tags")),
        "email_marketing": text(consent.get("state")),
    }
