"""Zendesk's events in our words: tickets become support events of their requester, end users identify."""

from typing import Final

from onefold.domain.webhook_message import Json, identify, person, present, table, text, track

TYPE_PREFIX: Final = "zen:event-type:"
TICKET_WORDS: Final = {
    "ticket.created": "Support Ticket Created",
    "ticket.comment_added": "Support Ticket Comment Added",
    "ticket.soft_deleted": "Support Ticket Deleted",
    "ticket.permanently_deleted": "Support Ticket Deleted",
    "ticket.merged": "Support Ticket Merged",
}
STATUS_WORDS: Final = {"solved": "Support Ticket Solved", "closed": "Support Ticket Closed"}
GONE: Final = frozenset(["user.deleted", "user.merged"])
NO_ID: Final = "0"  # how Zendesk writes that there is none


def read_zendesk(body: Json, *, invocation_id: str) -> list[Json]:
    """One message for an event. A trigger's webhook has whatever form its author gave it: keep it, or map it.

    Args:
        body: As signed.
        invocation_id: Of the delivery; names messages that have no id of their own.
    """
    written, detail = text(body.get("type")), table(body.get("detail"))
    kind = written.removeprefix(TYPE_PREFIX)
    fields = {"messageId": text(body.get("id")) or invocation_id, "timestamp": body.get("time")}
    if not written.startswith(TYPE_PREFIX):
        return [track("Webhook Received", {"zendesk": body}, messageId=invocation_id)]
    if kind.startswith("ticket."):
        requester = person([("zendesk_user", _id(detail.get("requester_id")))])
        return [track(_ticket_word(kind, body), _ticket(kind, body) | {"zendesk": body}, **fields, **requester)]
    if kind.startswith("user."):
        user = _user(detail)
        if kind not in GONE and detail.get("role") == "end-user":  # agents are no customers
            return [identify({"email": text(detail.get("email"))}, **fields, **user)]
        return [track(kind, {"zendesk": body}, **fields, **user)]
    return [track(kind, {"zendesk": body}, **fields)]


def _ticket_word(kind: str, body: Json) -> str:
    if kind == "ticket.status_changed":
        return STATUS_WORDS.get(text(table(body.get("event")).get("current")).lower(), "Support Ticket Updated")
    return TICKET_WORDS.get(kind, "Support Ticket Updated")


def _ticket(kind: str, body: Json) -> Json:
    detail, event = table(body.get("detail")), table(body.get("event"))
    return present(
        {
            "ticket_id": text(detail.get("id")),
            "ticket_subject": text(detail.get("subject")),
            "status": text(detail.get("status")).lower(),
            "priority": text(detail.get("priority")).lower(),
            "ticket_type": text(detail.get("type")).lower(),
            "channel": text(table(detail.get("via")).get("channel")),
            "agent_id": _id(detail.get("assignee_id")),
            "tags": detail.get("tags"),
            "change": kind.removeprefix("ticket."),
            "previous": event.get("previous"),
            "current": event.get("current"),
        }
    )


def _user(detail: Json) -> Json:
    identifiers = [("zendesk_user", _id(detail.get("id"))), ("email", detail.get("email"))]
    return person(identifiers, user_id=detail.get("external_id"))


def _id(value: object) -> str:
    written = text(value)
    return "" if written == NO_ID else written
