"""SendGrid's events in our words: what became of an e-mail, by the address that it was sent to."""

from typing import Final

from onefold.domain.webhook_message import Json, person, present, table, text, track

WORDS: Final = {
    "processed": "Email Processed",
    "deferred": "Email Deferred",
    "dropped": "Email Dropped",
    "delivered": "Email Delivered",
    "bounce": "Email Bounced",
    "open": "Email Opened",
    "click": "Email Link Clicked",
    "spamreport": "Email Marked as Spam",
    "unsubscribe": "Unsubscribed",
    "group_unsubscribe": "Unsubscribed",
    "group_resubscribe": "Resubscribed",
}
# Done by the person, so address and client are the person's and not the mail server's.
BY_PERSON: Final = frozenset(["open", "click", "spamreport", "unsubscribe", "group_unsubscribe", "group_resubscribe"])
USER_ID_KEYS: Final = ("user_id", "userId")  # custom arguments, which stand beside SendGrid's own fields


def read_sendgrid(event: Json) -> list[Json]:
    """One message for an event of the batch; its id is SendGrid's, made for telling repeats."""
    kind = text(event.get("event"))
    campaign = event.get("marketing_campaign_id") or event.get("singlesend_id")
    campaign_name = event.get("marketing_campaign_name") or event.get("singlesend_name")
    properties = present(
        {
            "email_id": text(event.get("sg_message_id")).partition(".")[0],
            "email_subject": text(event.get("subject")),
            "campaign_id": text(campaign),
            "campaign_name": text(campaign_name),
            "link_url": text(event.get("url")),
            "list_id": text(event.get("asm_group_id")),
            "reason": text(event.get("reason")) or text(event.get("response")),
            "bounce_type": text(event.get("type")) if kind == "bounce" else "",
            "machine_open": event.get("sg_machine_open"),
        }
    )
    user_id = next((event[key] for key in USER_ID_KEYS if text(event.get(key))), None)
    named = person([("email", event.get("email"))], user_id=user_id)
    context = {
        **table(named.pop("context", None)),
        "traits": present({"email": text(event.get("email"))}),
        "campaign": present({"id": text(campaign), "name": text(campaign_name), "medium": "email" if campaign else ""}),
    }
    if kind in BY_PERSON:
        # `user_agent` as the e-mail specification has it: mail programs' picture proxies are no crawlers.
        context |= {"ip": text(event.get("ip")), "user_agent": text(event.get("useragent"))}
    return [
        track(
            WORDS.get(kind, kind) or "Webhook Received",
            properties | {"sendgrid": event},
            messageId=text(event.get("sg_event_id")),
            timestamp=event.get("timestamp"),
            context=present(context),
            **named,
        )
    ]
