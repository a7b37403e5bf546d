"""The signing secrets of webhooks: one encrypted parameter a source, read when they are needed and kept for a while."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from onefold.domain.errors import Unavailable
from onefold.domain.webhook_secret import WebhookSecrets

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

RETRY_S: Final = 5.0  # after a failed read, the known secrets serve this long before the next try


class SsmWebhookSecrets:
    """Parameters of type SecureString below one prefix, named by their source."""

    def __init__(self, client: "SSMClient", prefix: str, *, now: Callable[[], float]) -> None:
        """Take the names' prefix, and a clock in seconds that never runs back."""
        self._client = client
        self._prefix = prefix
        self._now = now
        self._known: dict[str, tuple[float, WebhookSecrets | None]] = {}

    def load(self, source: str, *, max_age_s: float) -> WebhookSecrets | None:
        """What is stored for a declared source, at most `max_age_s` seconds old if it can be read; None for nothing.

        Raises:
            Unavailable: It was never read, and cannot be.
        """
        now = self._now()
        known = self._known.get(source)
        if known is not None and now - known[0] < max_age_s:
            return known[1]
        try:
            found = read_secrets(self._client, self._prefix + source)
        except Unavailable:
            if known is None:
                raise
            self._known[source] = (now - max_age_s + RETRY_S, known[1])
            return known[1]
        self._known[source] = (now, found)
        return found


def read_secrets(client: "SSMClient", name: str) -> WebhookSecrets | None:
    """One parameter; None where there is none.

    Raises:
        Unavailable: Parameter Store does not answer, does not let us read it, or what it holds is none of ours.
    """
    try:
        parameter = client.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    except client.exceptions.ParameterNotFound:
        return None
    except (ClientError, BotoCoreError) as error:
        raise Unavailable("The secrets of webhooks cannot be read") from error
    try:
        return msgspec.json.decode(parameter["Value"], type=WebhookSecrets)
    except msgspec.MsgspecError as error:
        raise Unavailable("A secret of a webhook is stored in an unknown form: set it again") from error


def write_secrets(client: "SSMClient", name: str, secrets: WebhookSecrets, *, key_arn: str) -> None:
    """Store them under the deployment's key."""
    client.put_parameter(
        Name=name,
        Description="onefold: with what a source's webhooks are signed",
        Value=msgspec.json.encode(secrets).decode(),
        Type="SecureString",
        KeyId=key_arn,
        Overwrite=True,
    )
