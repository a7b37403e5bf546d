"""Webhooks as their providers send them: bodies in their shapes, signed apart from the code that checks."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw=="  # good for every provider that shares one
Headers = dict[str, str]


def stripe_headers(body: bytes, *, secret: str = SECRET, at: int | None = None) -> Headers:
    at = int(time.time()) if at is None else at
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={digest},v0={'0' * 64}", "Content-Type": "application/json; charset=utf-8"}


def shopify_headers(body: bytes, *, topic: str, event_id: str = "", secret: str = SECRET) -> Headers:
    digest = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    event = {"X-Shopify-Event-Id": event_id} if event_id else {}
    return {"X-Shopify-Hmac-Sha256": digest, "X-Shopify-Topic": topic, "Content-Type": "application/json", **event}


def zendesk_headers(body: bytes, *, at: str, secret: str = SECRET) -> Headers:
    digest = base64.b64encode(hmac.new(secret.encode(), at.encode() + body, hashlib.sha256).digest()).decode()
    return {
        "X-Zendesk-Webhook-Signature": digest,
        "X-Zendesk-Webhook-Signature-Timestamp": at,
        "X-Zendesk-Webhook-Invocation-Id": "01F1KRNTZ5WDXZ4YD3JVEXAMPLE",
    }


def standard_headers(body: bytes, *, message_id: str, secret: str = SECRET, at: int | None = None) -> Headers:
    at = int(time.time()) if at is None else at
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}


class SendGridKey:
    """A key pair as SendGrid has one for each account."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        public = self._private.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.public = base64.b64encode(der).decode()

    def headers(self, body: bytes, *, at: int | None = None) -> Headers:
        written = str(int(time.time()) if at is None else at)
        signature = self._private.sign(written.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": written,
        }


def stripe_event(kind: str, subject: dict[str, Any], *, event_id: str = "evt_1", **data: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": 1_794_477_000,
        "data": {"object": subject, **data},
        "livemode": True,
        "type": kind,
    }


def stripe_charge(**fields: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 5999,
        "amount_captured": 5999,
        "amount_refunded": 0,
        "billing_details": {"email": "Eva.Muster@Posteo-Demo.net", "name": "Eva Muster", "phone": None},
        "captured": True,
        "currency": "eur",
        "customer": "cus_Eva1",
        "metadata": {},
        "paid": True,
        "payment_intent": "pi_1",
        "payment_method_details": {"type": "card", "card": {"last4": "4242"}},
        "status": "succeeded",
    } | fields


def shopify_order(**fields: Any) -> dict[str, Any]:
    return {
        "id": 820982911946154508,
        "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
        "name": "#9999",
        "email": "jon@posteo-demo.net",
        "created_at": "2026-11-12T05:00:00-05:00",
        "updated_at": "2026-11-12T05:00:01-05:00",
        "cancelled_at": None,
        "currency": "USD",
        "customer": {"id": 115310627314723954, "email": "jon@posteo-demo.net", "first_name": "Jon"},
        "discount_codes": [{"code": "WELCOME", "amount": "5.00", "type": "fixed_amount"}],
        "financial_status": "paid",
        "line_items": [
            {
                "id": 866550311766439020,
                "product_id": 632910392,
                "sku": "IPOD2008PINK",
                "title": "IPod Nano - 8GB",
                "price": "199.00",
                "quantity": 2,
                "vendor": "Apple",
            }
        ],
        "note_attributes": [{"name": "anonymous_id", "value": "anon-jon-1"}],
        "subtotal_price": "393.00",
        "total_discounts": "5.00",
        "total_price": "403.00",
        "total_shipping_price_set": {"shop_money": {"amount": "10.00", "currency_code": "USD"}},
        "total_tax": "0.00",
        "test": False,
        "refunds": [],
    } | fields


def shopify_refund(**fields: Any) -> dict[str, Any]:
    return {
        "id": 890088186047892319,
        "order_id": 820982911946154508,
        "created_at": "2026-11-13T10:00:00Z",
        "processed_at": "2026-11-13T10:00:00Z",
        "note": "wrong colour",
        "user_id": 548380009,  # of the member of staff
        "refund_line_items": [{"quantity": 1, "line_item": {"product_id": 632910392, "price": "199.00"}}],
        "transactions": [
            {"id": 1, "kind": "refund", "status": "success", "amount": "199.00", "currency": "USD"},
            {"id": 2, "kind": "refund", "status": "failure", "amount": "199.00", "currency": "USD"},
        ],
    } | fields


def encoded(document: Any) -> bytes:
    return json.dumps(document, indent=1).encode()  # spaces that a second encoding would lose
