from typing import Any

import pytest

from onefold.domain.webhook_sendgrid import read_sendgrid

EVENT = {
    "email": "Eva@posteo-demo.net",
    "timestamp": 1_794_470_000,
    "event": "click",
    "sg_event_id": "c2ctZXZlbnQtMQ",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "url": "https://shop.example/lamps",
    "ip": "203.0.113.9",
    "useragent": "Mozilla/5.0",
    "marketing_campaign_id": 12345,
    "marketing_campaign_name": "Autumn",
    "user_id": "u-17",
}


def read(**fields: Any) -> dict[str, Any]:
    [message] = read_sendgrid({**EVENT, **fields})
    return message


def test_a_click_is_told_as_the_e_mail_specification_says() -> None:
    message = read()

    assert (message["event"], message["messageId"], message["userId"]) == (
        "Email Link Clicked",
        EVENT["sg_event_id"],
        "u-17",
    )
    context = message["context"]
    assert (context["traits"], context["ip"], context["user_agent"]) == (
        {"email": "Eva@posteo-demo.net"},
        "203.0.113.9",
        "Mozilla/5.0",
    )
    properties = message["properties"]
    assert (properties["email_id"], properties["link_url"]) == ("LRzXl_NHStOGhQ4kofSm_A", "https://shop.example/lamps")
    assert (properties["campaign_id"], properties["campaign_name"]) == ("12345", "Autumn")
    assert properties["sendgrid"] == EVENT


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("delivered", "Email Delivered"),
        ("open", "Email Opened"),
        ("bounce", "Email Bounced"),
        ("spamreport", "Email Marked as Spam"),
        ("unsubscribe", "Unsubscribed"),
        ("group_unsubscribe", "Unsubscribed"),
        ("dropped", "Email Dropped"),
        ("invented_later", "invented_later"),
        ("", "Webhook Received"),
    ],
)
def test_events_have_their_words(kind: str, expected: str) -> None:
    assert read(event=kind)["event"] == expected


def test_the_mail_servers_address_is_not_the_persons() -> None:
    assert "ip" not in read(event="delivered")["context"]


def test_a_group_is_a_list_and_a_machine_says_so() -> None:
    assert read(event="group_unsubscribe", asm_group_id=10)["properties"]["list_id"] == "10"
    assert read(event="open", sg_machine_open=True)["properties"]["machine_open"] is True
