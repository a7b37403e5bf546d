"""The secrets of a source that takes webhooks: the one in use and, for a while, the one before it."""

from typing import Final

import msgspec

KEPT_HOURS: Final = 24  # how long the replaced secret stays good if nobody says otherwise; Stripe's longest


class WebhookSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As stored, in JSON. `previous` is good until `previous_until` (Unix seconds)."""

    current: str
    previous: str = ""
    previous_until: int = 0

    def __repr__(self) -> str:
        """Keep secrets out of messages and logs."""
        return "WebhookSecrets(…)"

    def valid_at(self, now_s: float) -> tuple[str, ...]:
        """The secrets that are good at this time (Unix seconds), the newest first."""
        return (self.current, self.previous) if self.previous and now_s < self.previous_until else (self.current,)


def replace_secret(known: WebhookSecrets | None, secret: str, *, now_s: float, keep_s: int) -> WebhookSecrets:
    """Put a secret in use; the one it replaces stays good for `keep_s` seconds. Setting it again changes nothing.

    Naming the secret in use with `keep_s` 0 ends the one before it at once.
    """
    if known is None:
        return WebhookSecrets(secret)
    if known.current == secret:
        return known if keep_s else WebhookSecrets(secret)
    return WebhookSecrets(secret, known.current, int(now_s) + keep_s) if keep_s else WebhookSecrets(secret)
