"""Laws of webhooks: sums are exact, refunds commute, every bit of a signed body counts, no body is an exception."""

import hashlib
import hmac
import json
from fractions import Fraction
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.adapters.ecdsa_signature import verify_p256
from onefold.domain.errors import Unauthorized
from onefold.domain.event import Event
from onefold.domain.money import MICROS
from onefold.domain.order import Order, join_order, read_order
from onefold.domain.sales import order_totals
from onefold.domain.webhook_sendgrid import read_sendgrid
from onefold.domain.webhook_shopify import ORDER_WORDS, read_shopify
from onefold.domain.webhook_signature import Provider, read_proof, verify_signature
from onefold.domain.webhook_stripe import _READERS, THREE_DECIMAL, ZERO_DECIMAL, read_stripe
from onefold.domain.webhook_zendesk import read_zendesk
from onefold.use_cases.receive import _encoder
from tests.fakes.webhooks import SECRET, stripe_charge, stripe_event

CURRENCIES = sorted(ZERO_DECIMAL | THREE_DECIMAL | {"EUR", "USD", "ISK", "UGX", "HUF", "TWD", "CLF"})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "type", "data", "object", "id", "detail", "event", "customer", "amount", "currency", "captured", "line_items",
    "refunds", "transactions", "email", "metadata", "items", "amount_refunded", "previous_attributes", "via", "price",
]  # fmt: skip
documents = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), json_values, max_size=8)


def order_of(message: dict[str, Any], received_at: int = 0) -> Order:
    """What the ledger makes of a message, after the way over JSON that it takes."""
    decoded = json.loads(_encoder.encode(message))
    event = Event(
        message_id=decoded["messageId"],
        kind="track",
        name=decoded["event"],
        source="stripe",
        identifiers=(),
        at=decoded["timestamp"] * 1_000,
        received_at=received_at,
        properties=json.dumps(decoded["properties"]).encode(),
    )
    found = read_order(event)
    assert found is not None
    return found[1]


@given(st.integers(0, 10**12), st.sampled_from(CURRENCIES))
def test_an_amount_in_minor_units_is_counted_to_the_last_digit(minor: int, currency: str) -> None:
    digits = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    charge = stripe_charge(amount=minor, amount_captured=minor, currency=currency.lower())

    [message] = read_stripe(stripe_event("charge.succeeded", charge))

    (totals,) = order_totals(order_of(message)).values()
    assert Fraction(totals.gross, MICROS) == Fraction(minor, 10**digits)


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=8), st.randoms(use_true_random=False), st.integers(0, 900))
def test_refunds_count_once_each_in_any_order(parts: list[int], random: Any, released: int) -> None:
    """Stripe tells the sum so far; part of it may be what was authorized and never paid."""
    captured = sum(parts) + 1
    charge = stripe_charge(amount=captured + released, amount_captured=captured)
    sums = [released]
    for part in parts:
        sums.append(sums[-1] + part)
    messages = read_stripe(stripe_event("charge.succeeded", charge))
    for place, (before, now) in enumerate(pairwise(sums)):
        event = stripe_event(
            "charge.refunded",
            charge | {"amount_refunded": now},
            event_id=f"evt_{place}",
            previous_attributes={"amount_refunded": before},
        )
        messages += read_stripe(event)
    orders = [order_of(message) for message in messages * 2]
    random.shuffle(orders)

    joined = orders[0]
    for order in orders[1:]:
        joined = join_order(joined, order)

    (totals,) = order_totals(joined).values()
    assert (totals.gross, totals.net) == (captured * MICROS // 100, MICROS // 100)


def check(provider: Provider, headers: dict[str, str]) -> None:
    verify_signature(read_proof(provider, None, headers, b"{}", verify_p256), [SECRET], now_ms=0)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000), st.integers(1, 255))
def test_every_bit_of_a_body_counts(body: bytes, place: int, flip: int) -> None:
    at = 1_794_477_600
    digest = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"stripe-signature": f"t={at},v1={digest}"}
    changed = bytearray(body)
    changed[place % len(body)] ^= flip

    verify_signature(read_proof("stripe", None, headers, body, verify_p256), [SECRET], now_ms=at * 1_000)
    with pytest.raises(Unauthorized):
        verify_signature(read_proof("stripe", None, headers, bytes(changed), verify_p256), [SECRET], now_ms=at * 1_000)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "stripe-signature",
                "x-zendesk-webhook-signature",
                "webhook-signature",
                "x-zendesk-webhook-signature-timestamp",
                "webhook-timestamp",
                "webhook-id",
                "x-shopify-hmac-sha256",
                "x-twilio-email-event-webhook-signature",
                "x-twilio-email-event-webhook-timestamp",
            ]
        ),
        st.text(max_size=40),
    )
)
def test_no_header_is_an_exception_and_none_is_believed(headers: dict[str, str]) -> None:
    for provider in get_args(Provider):
        with pytest.raises(Unauthorized):
            check(provider, headers)


@given(documents, documents, st.sampled_from(sorted(_READERS)), st.sampled_from(sorted(ORDER_WORDS)))
def test_whatever_a_provider_sends_becomes_messages_that_can_be_written(
    body: dict[str, Any], inner: dict[str, Any], kind: str, topic: str
) -> None:
    event = {"type": kind, "data": {"object": inner, "previous_attributes": body}}
    ticket = body | {"type": "zen:event-type:ticket.created", "detail": inner}
    messages = [
        *read_stripe(event),
        *read_stripe(body),
        *read_shopify(body, topic=topic, event_id="e"),
        *read_shopify(inner, topic="refunds/create", event_id=""),
        *read_zendesk(ticket, invocation_id=""),
        *read_sendgrid(body),
    ]

    assert len(messages) >= 6
    for message in messages:
        assert message["type"] in {"track", "identify"}
        assert message["type"] == "identify" or isinstance(message["event"], str)
        _encoder.encode(message)
