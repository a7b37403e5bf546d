from typing import Any

import pytest

from onefold.domain.webhook_zendesk import read_zendesk

TICKET = {
    "type": "zen:event-type:ticket.created",
    "account_id": 12514403,
    "id": "2b24ef10-19d4-4740-93cf-8f98ec4776c0",
    "time": "2026-07-04T05:33:18Z",
    "zendesk_event_version": "2022-11-06",
    "subject": "zen:ticket:5158",
    "detail": {
        "id": "5158",
        "requester_id": "8447388090495",
        "assignee_id": "0",
        "status": "OPEN",
        "priority": "HIGH",
        "subject": "The lamp flickers",
        "via": {"channel": "web_service"},
        "tags": ["lamp"],
        "external_id": "not-a-person",
    },
    "event": {"meta": {}},
}
USER = {
    "type": "zen:event-type:user.created",
    "id": "u-event",
    "time": "2026-07-04T05:33:18Z",
    "detail": {
        "id": "6596848315901",
        "email": "eva@posteo-demo.net",
        "external_id": "u-17",
        "role": "end-user",
    },
    "event": {},
}


def read(body: dict[str, Any]) -> dict[str, Any]:
    [message] = read_zendesk(body, invocation_id="invocation-1")
    return message


def test_a_ticket_is_its_requesters() -> None:
    message = read(TICKET)

    assert (message["event"], message["messageId"]) == ("Support Ticket Created", TICKET["id"])
    [named] = message["context"]["externalIds"]
    assert (named["type"], named["id"]) == ("zendesk_user", "8447388090495")
    properties = message["properties"]
    assert (properties["ticket_id"], properties["status"], properties["channel"]) == ("5158", "open", "web_service")
    assert "agent_id" not in properties  # "0" is nobody
    assert "userId" not in message  # a ticket's external id is none of a person
    assert properties["zendesk"] == TICKET


@pytest.mark.parametrize(
    ("kind", "current", "expected"),
    [
        ("ticket.status_changed", "SOLVED", "Support Ticket Solved"),
        ("ticket.status_changed", "CLOSED", "Support Ticket Closed"),
        ("ticket.status_changed", "OPEN", "Support Ticket Updated"),
        ("ticket.comment_added", None, "Support Ticket Comment Added"),
        ("ticket.priority_changed", "LOW", "Support Ticket Updated"),
        ("ticket.invented_later", None, "Support Ticket Updated"),
    ],
)
def test_changes_of_a_ticket_have_their_words(kind: str, current: str | None, expected: str) -> None:
    message = read({**TICKET, "type": f"zen:event-type:{kind}", "event": {"current": current, "previous": "NEW"}})

    assert message["event"] == expected
    assert message["properties"]["change"] == kind.removeprefix("ticket.")


def test_an_end_user_is_identified_and_an_agent_is_not() -> None:
    message = read(USER)
    agent = read({**USER, "detail": {**USER["detail"], "role": "agent"}})  # type: ignore[dict-item]

    assert (message["type"], message["userId"]) == ("identify", "u-17")
    assert [each["type"] for each in message["context"]["externalIds"]] == ["zendesk_user", "email"]
    assert (agent["type"], agent["event"]) == ("track", "user.created")
    assert read({**USER, "type": "zen:event-type:user.deleted"})["event"] == "user.deleted"


@pytest.mark.parametrize("body", [{"ticket": 1}, {}, {"type": "mine"}, {"type": ["zen:event-type:ticket.created"]}])
def test_what_a_trigger_sends_is_kept(body: dict[str, Any]) -> None:
    message = read(body)

    assert (message["event"], message["messageId"]) == ("Webhook Received", "invocation-1")
    assert message["properties"] == {"zendesk": body}


def test_events_of_other_things_are_kept_under_their_names() -> None:
    assert read({"type": "zen:event-type:article.published", "id": "a", "detail": None})["event"] == "article.published"
