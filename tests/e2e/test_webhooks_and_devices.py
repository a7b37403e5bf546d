"""Webhooks and devices through a running instance: the signed charge on a profile, a device's message on its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.apply import apply_definitions
from cli.profile import fetch_profile
from cli.query import run_query
from cli.receiving import publish, set_secret
from cli.up import DEFINITIONS, Running, running
from tests.fakes.webhooks import (
    SECRET,
    SendGridKey,
    encoded,
    shopify_headers,
    shopify_order,
    shopify_refund,
    standard_headers,
    stripe_charge,
    stripe_event,
    stripe_headers,
)

DRAIN_S = 90
SENDGRID = SendGridKey()


@pytest.fixture(scope="module")
def instance() -> Iterator[Running]:
    with running(recorded=False) as instance:
        apply_definitions(instance.deployment, Path(DEFINITIONS))
        for source in ("stripe", "shopify", "loyalty"):
            assert source in set_secret(instance.deployment, source, SECRET, keep_hours=24)
        set_secret(instance.deployment, "sendgrid", SENDGRID.public, keep_hours=24)
        yield instance


def post(instance: Running, source: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{instance.instance.collector}/v1/webhooks/{source}", content=body, headers=headers, timeout=30)


def profile(instance: Running, identifier: str) -> dict[str, Any]:
    assert instance.runtime.drain(DRAIN_S), instance.runtime.lag()
    return fetch_profile(instance.deployment, identifier)


def test_a_stripe_signed_charge_becomes_revenue_and_its_retry_counts_once(instance: Running) -> None:
    body = encoded(stripe_event("charge.succeeded", stripe_charge()))
    for _ in range(2):
        answer = post(instance, "stripe", body, stripe_headers(body))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    refunded = stripe_charge(amount_refunded=1000)
    refund = encoded(
        stripe_event("charge.refunded", refunded, event_id="evt_2", previous_attributes={"amount_refunded": 0})
    )
    assert post(instance, "stripe", refund, stripe_headers(refund)).status_code == 200

    found = profile(instance, "email:eva.muster@posteo-demo.net")

    assert found["orders"]["EUR"]["orders"] == 1
    assert found["orders"]["EUR"]["net"] == "49.99"
    assert {"external_id", "email"} == {each["type"] for each in found["identifiers"]}
    assert fetch_profile(instance.deployment, "external_id:stripe_customer:cus_Eva1")["profile_id"]


def test_what_is_not_signed_is_refused_and_nothing_of_it_is_kept(instance: Running) -> None:
    body = encoded(stripe_event("charge.succeeded", stripe_charge(customer="cus_Mallory"), event_id="evt_forged"))

    answers = [post(instance, "stripe", body, headers) for headers in ({}, stripe_headers(body, secret="whsec_other"))]

    assert [each.status_code for each in answers] == [401, 401]
    assert {each.headers["content-type"] for each in answers} == {"application/problem+json"}
    assert instance.runtime.drain(DRAIN_S)
    kept = run_query(instance.deployment, "SELECT message_id FROM raw_events WHERE message_id = 'evt_forged'")
    assert len(kept.rows) == 0


def test_a_shopify_order_with_its_refund_reaches_the_customer_and_the_device(instance: Running) -> None:
    created, updated = encoded(shopify_order()), encoded(shopify_order(refunds=[shopify_refund()]))
    refund = encoded(shopify_refund())
    for topic, body in (("orders/create", created), ("orders/updated", updated), ("refunds/create", refund)):
        answer = post(instance, "shopify", body, shopify_headers(body, topic=topic, event_id=f"ev-{topic}"))
        assert answer.status_code == 200, answer.text

    found = profile(instance, "email:jon@posteo-demo.net")

    assert found["orders"]["USD"] | {"gross": "403.00", "net": "204.00", "orders": 1} == found["orders"]["USD"]
    assert {each["type"] for each in found["identifiers"]} == {"external_id", "email", "anonymous_id"}


def test_a_batch_of_mail_events_and_a_mapped_webhook_meet_in_one_profile(instance: Running) -> None:
    mail = encoded(
        [
            {"email": "lea@posteo-demo.net", "event": kind, "sg_event_id": f"sg-{kind}", "timestamp": 1_794_470_000}
            for kind in ("processed", "delivered", "open", "click")
        ]
    )
    member = {"card": "L-1007", "email": "Lea@posteo-demo.net"}
    points = {"id": "ev_1", "type": "points.earned", "at": "2026-11-12T10:00:00Z", "member": member, "spent_cents": 599}
    loyalty = encoded(points)

    assert post(instance, "sendgrid", mail, SENDGRID.headers(mail)).json()["accepted"] == 4
    assert post(instance, "loyalty", loyalty, standard_headers(loyalty, message_id="m-1")).json()["accepted"] == 1

    found = profile(instance, "external_id:loyalty_card:L-1007")
    assert {each["value"] for each in found["identifiers"]} == {"loyalty_card:L-1007", "lea@posteo-demo.net"}
    events = run_query(
        instance.deployment, "SELECT name FROM events WHERE source IN ('sendgrid', 'loyalty') ORDER BY 1"
    )
    assert [row[0] for row in events.rows] == [
        "Email Delivered",
        "Email Link Clicked",
        "Email Opened",
        "Email Processed",
        "Points Earned",
    ]


def test_a_device_has_a_profile_of_its_own(instance: Running) -> None:
    instance.runtime.publish("onefold/things/events", b'{"temperature": 21.5}', client_id="thermostat-7")
    publish(instance.deployment, "things", json.dumps({"event": "Door Opened"}), device="thermostat-7")
    instance.runtime.publish("onefold/things/events", b"\xff not json", client_id="thermostat-7")
    instance.runtime.publish("onefold/web/events", b"{}", client_id="thermostat-7")
    instance.runtime.publish("elsewhere/things/events", b"{}", client_id="thermostat-7")

    profile(instance, "device_id:thermostat-7")

    events = fetch_profile(instance.deployment, "device_id:thermostat-7", "events")["events"]
    assert sorted(each["event"] for each in events) == ["Device Message Received", "Door Opened"]
    refused = run_query(
        instance.deployment,
        "SELECT source, reason, component, body FROM quarantine WHERE component = 'receive' ORDER BY 1",
    )
    assert [row[:3] for row in refused.rows] == [
        ("things", "json_invalid", "receive"),
        ("web", "source_unknown", "receive"),
    ]
    assert instance.runtime.denied == []
