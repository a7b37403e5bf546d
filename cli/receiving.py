"""Commands for what comes in on its own: secrets of webhooks, and messages published as a device does."""

import json
import sys
import time
from base64 import b64encode
from typing import Any, Final

from cli.apply import definition_table
from cli.deployment import Deployment, aws_client
from cli.problems import CommandError, UsageError
from onefold.adapters.ssm_webhook_secrets import read_secrets, write_secrets
from onefold.domain.source import Source, parse_source
from onefold.domain.webhook_secret import replace_secret
from onefold.domain.webhook_signature import public_key_bytes, secret_fault

HOUR_S: Final = 3_600
PAYLOAD_BYTES_MAX: Final = 128 * 1_024  # of one message, by AWS IoT's quota


def find_source(deployment: Deployment, name: str) -> Source:
    """Raise CommandError where no source has this name."""
    sources = [parse_source(each.body) for each in definition_table(deployment).load_current("source")]
    found = next((each for each in sources if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in sources) or "none: run `onefold apply definitions/`"
        raise CommandError(f'No source "{name}" is declared; there are {known}')
    return found


def read_secret() -> str:
    """A secret from standard input, so that it is in no list of processes and in no shell's history.

    Raises:
        UsageError: There is none.
    """
    if sys.stdin.isatty():
        raise UsageError(
            "Give the secret on standard input: `onefold secret set SOURCE < file`, or from a password tool"
        )
    return sys.stdin.read().strip()


def set_secret(deployment: Deployment, name: str, secret: str, *, keep_hours: int) -> str:
    """Put a webhook's secret in use, and say what holds now.

    Raises:
        CommandError: The source takes no webhooks, or the secret cannot be one of its provider.
    """
    source = find_source(deployment, name)
    if source.webhook is None:
        raise CommandError(
            f"{name} takes no webhooks: declare it with `webhook: stripe` or another provider, and apply"
        )
    fault = secret_fault(source.webhook, source.webhook_signature, secret)
    if fault:
        raise CommandError(f"This is no secret for {name}: {fault}")
    if source.webhook == "sendgrid":
        secret = b64encode(public_key_bytes(secret)).decode()
    about, ssm = deployment.description, deployment.client("ssm")
    parameter = about.webhook_secrets_prefix + name
    known = read_secrets(ssm, parameter)
    secrets = replace_secret(known, secret, now_s=time.time(), keep_s=keep_hours * HOUR_S)
    if secrets == known:
        return f"{name} has this secret already"
    write_secrets(ssm, parameter, secrets, key_arn=about.key_arn)
    address = f"{about.collector_url}/v1/webhooks/{name}"
    until = f"; the one before it stays good for {keep_hours} h" if secrets.previous else ""
    return f"{name} has a new secret{until}. Its webhooks go to {address}"


def publish(deployment: Deployment, source: str, payload: str, *, device: str) -> str:
    """Publish one message for a source, over HTTPS as a device without MQTT does; gives the topic.

    Raises:
        CommandError: The source takes no devices.
        UsageError: The payload is too large, or no object that could name its device.
    """
    if not find_source(deployment, source).devices:
        raise CommandError(f"{source} takes no devices: declare it with `devices: true`, and apply")
    body = _of_device(payload, device) if device else payload.encode()
    if len(body) > PAYLOAD_BYTES_MAX:
        raise UsageError(f"A message has at most {PAYLOAD_BYTES_MAX} bytes")
    topic = f"onefold/{source}/events"
    data_plane(deployment).publish(topic=topic, qos=1, payload=body)
    return topic


def _of_device(payload: str, device: str) -> bytes:
    try:
        document = json.loads(payload)
    except ValueError as error:
        raise UsageError("--device is written into a JSON object, and the payload is none") from error
    if not isinstance(document, dict):
        raise UsageError("--device is written into a JSON object, and the payload is none")
    return json.dumps({**document, "deviceId": device}).encode()


def data_plane(deployment: Deployment) -> Any:  # noqa: ANN401 - boto3's clients have no common type
    """The client that publishes; in AWS each account has an address of its own for it."""
    if deployment.endpoint_url is not None:
        return deployment.client("iot-data")
    address = deployment.client("iot").describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    return aws_client(deployment.session, "iot-data", f"https://{address}")
