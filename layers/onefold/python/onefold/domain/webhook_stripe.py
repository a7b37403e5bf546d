"""Stripe's events in our words: payments become orders, customers identify, subscriptions and the rest are kept."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from onefold.domain.webhook_message import Json, identify, person, present, table, text, track

# docs.stripe.com/currencies. ISK and UGX have no decimals either, but Stripe still writes them with two.
ZERO_DECIMAL: Final = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
THREE_DECIMAL: Final = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
PAID: Final = frozenset(["paid", "no_payment_required"])
SUBSCRIPTION_WORDS: Final = {
    "created": "Subscription Started",
    "updated": "Subscription Updated",
    "deleted": "Subscription Cancelled",
    "paused": "Subscription Paused",
    "resumed": "Subscription Resumed",
    "trial_will_end": "Subscription Trial Ending",
}
USER_ID_KEYS: Final = ("user_id", "userId")  # of metadata, where a shop puts its own customer's id
SECRETS: Final = ("client_secret",)  # with which a payment can be completed

Words = tuple[str, Json] | None  # our event and its properties; None leaves it under the provider's name


def money(minor: object, currency: str) -> Decimal | None:
    """An amount in the currency's minor unit as a decimal of its unit, exactly; None where it is no whole number."""
    if isinstance(minor, bool) or not isinstance(minor, int):
        return None
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    return Decimal(minor).scaleb(-digits)


def read_stripe(event: Json) -> list[Json]:
    """One message for an event.

    An order's id is its payment's (`payment_intent`), in the words of charge, session and refund alike: whichever of
    them are subscribed, and in whatever order they come, the payment counts once. Invoices are no orders, for each
    paid one has a charge.
    """
    kind, subject = text(event.get("type")), dict(table(table(event.get("data")).get("object")))
    for name in SECRETS:
        subject.pop(name, None)
    kept = {**event, "data": {**table(event.get("data")), "object": subject}} if subject else event
    fields = {
        "messageId": text(event.get("id")),
        "timestamp": event.get("created"),
        **_person(kind, subject),
    }
    if kind in {"customer.created", "customer.updated"}:
        return [identify(_traits(subject), **fields)]
    name, properties = _words(kind, subject, event) or (kind or "Webhook Received", {})
    return [track(name, present(properties) | {"stripe": kept}, **fields)]


def _person(kind: str, subject: Json) -> Json:
    is_customer = kind.startswith("customer.") and subject.get("object") == "customer"
    customer = subject.get("id") if is_customer else subject.get("customer")
    customer = table(customer).get("id") or customer  # it may be expanded
    details = table(subject.get("billing_details") or subject.get("customer_details"))
    emails = (subject.get("email"), details.get("email"), subject.get("customer_email"), subject.get("receipt_email"))
    email = next((each for each in emails if text(each)), None)
    metadata = table(subject.get("metadata"))
    user_id = next((metadata[key] for key in USER_ID_KEYS if key in metadata), None)
    phone = subject.get("phone") or details.get("phone")
    return person([("stripe_customer", customer), ("email", email), ("phone", phone)], user_id=user_id)


def _traits(customer: Json) -> Json:
    address = table(customer.get("address"))
    return {
        "email": text(customer.get("email")),
        "name": text(customer.get("name")),
        "phone": text(customer.get("phone")),
        "address": present(
            {
                "street": " ".join(filter(None, (text(address.get("line1")), text(address.get("line2"))))),
                "city": text(address.get("city")),
                "postalCode": text(address.get("postal_code")),
                "state": text(address.get("state")),
                "country": text(address.get("country")),
            }
        ),
        "createdAt": customer.get("created"),
        "stripe_delinquent": customer.get("delinquent"),
    }


def _words(kind: str, subject: Json, event: Json) -> Words:
    noun, _, verb = kind.rpartition(".")
    if noun == "customer.subscription" and verb in SUBSCRIPTION_WORDS:
        return SUBSCRIPTION_WORDS[verb], _subscription(subject)
    reader = _READERS.get(kind)
    return reader(subject, event) if reader else None


def _order(subject: Json, total: object) -> Json:
    currency = text(subject.get("currency")).upper()
    return {
        "order_id": text(subject.get("payment_intent")) or text(subject.get("id")),
        "total": money(total, currency),
        "currency": currency,
    }


def _charge(charge: Json, _: Json) -> Words:
    details = {
        "charge_id": text(charge.get("id")),
        "payment_method": text(table(charge.get("payment_method_details")).get("type")),
        "description": text(charge.get("description")),
    }
    if charge.get("captured") is False:
        return "Payment Authorized", _order(charge, charge.get("amount")) | details
    return "Order Completed", _order(charge, _captured(charge)) | details


def _captured(charge: Json) -> object:
    captured = charge.get("amount_captured")
    return charge.get("amount") if captured is None else captured


def _charge_failed(charge: Json, _: Json) -> Words:
    return "Payment Failed", _order(charge, charge.get("amount")) | {"reason": text(charge.get("failure_code"))}


def _charge_refunded(charge: Json, event: Json) -> Words:
    """What this refund added to those before it: Stripe tells the sum so far, and what it was.

    A refund's name is the sum that it led to, so refunds of one charge may come in any order, and again. What was
    authorized and never captured is given back without having been paid.
    """
    before = table(table(event.get("data")).get("previous_attributes")).get("amount_refunded", 0)
    now, whole, captured = charge.get("amount_refunded"), charge.get("amount"), _captured(charge)
    if not (isinstance(now, int) and isinstance(before, int) and isinstance(whole, int) and isinstance(captured, int)):
        return None
    never_paid = whole - captured
    given_back = max(0, now - never_paid) - max(0, before - never_paid)
    if given_back <= 0 or charge.get("captured") is False:
        return None
    refund_id = f"{text(charge.get('id'))}/{now}"
    return "Order Refunded", _order(charge, given_back) | {"refund_id": refund_id, "charge_id": text(charge.get("id"))}


def _session(session: Json, _: Json) -> Words:
    currency = text(session.get("currency")).upper()
    sums = table(session.get("total_details"))
    discount = sums.get("amount_discount")
    subtotal = session.get("amount_subtotal")
    if isinstance(subtotal, int) and isinstance(discount, int):
        subtotal -= discount
    properties = _order(session, session.get("amount_total")) | {
        "checkout_id": text(session.get("id")),
        "subtotal": money(subtotal, currency),
        "tax": money(sums.get("amount_tax"), currency),
        "shipping": money(sums.get("amount_shipping"), currency),
        "discount": money(discount, currency),
        "reference": text(session.get("client_reference_id")),
    }
    # A subscription's first payment has an invoice and a charge of its own; a payment by bank comes days later.
    is_order = session.get("mode") == "payment" and session.get("payment_status") in PAID
    return ("Order Completed" if is_order else "Checkout Completed"), properties


def _subscription(subscription: Json) -> Json:
    items = table(subscription.get("items")).get("data")
    first = table(items[0]) if isinstance(items, list) and items else {}
    price = table(first.get("price") or subscription.get("plan"))
    currency = text(price.get("currency") or subscription.get("currency")).upper()
    return {
        "subscription_id": text(subscription.get("id")),
        "status": text(subscription.get("status")),
        "plan_id": text(price.get("id")),
        "interval": text(table(price.get("recurring")).get("interval") or price.get("interval")),
        "quantity": first.get("quantity", subscription.get("quantity")),
        "price": money(price.get("unit_amount", price.get("amount")), currency),
        "currency": currency,
        "cancel_at_period_end": subscription.get("cancel_at_period_end"),
    }


def _invoice(name: str) -> Callable[[Json, Json], Words]:
    def read(invoice: Json, _: Json) -> Words:
        currency = text(invoice.get("currency")).upper()
        return name, {
            "invoice_id": text(invoice.get("id")),
            "amount_paid": money(invoice.get("amount_paid"), currency),
            "amount_due": money(invoice.get("amount_due"), currency),
            "currency": currency,
            "billing_reason": text(invoice.get("billing_reason")),
        }

    return read


def _session_expired(session: Json, _: Json) -> Words:
    return "Checkout Expired", _order(session, session.get("amount_total")) | {"checkout_id": text(session.get("id"))}


_READERS: Final[Mapping[str, Callable[[Json, Json], Words]]] = {
    "charge.succeeded": _charge,
    "charge.captured": _charge,
    "charge.failed": _charge_failed,
    "charge.refunded": _charge_refunded,
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.expired": _session_expired,
    "invoice.paid": _invoice("Invoice Paid"),
    "invoice.payment_failed": _invoice("Invoice Payment Failed"),
}
