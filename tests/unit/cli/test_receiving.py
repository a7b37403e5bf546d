import io
import sys
from typing import Any

import msgspec
import pytest

from cli import receiving
from cli.deployment import Deployment, Description, local_session
from cli.problems import CommandError, UsageError
from cli.receiving import publish, read_secret, set_secret
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.adapters.ssm_webhook_secrets import read_secrets
from onefold.domain.source import Source
from tests.fakes.tables import aws

PREFIX = "/onefold/dev/webhooks/"


class Published:
    """A data plane that remembers."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> None:
        self.messages.append(message)


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Any:
    texts = {name: "x" for name, kind in Description.__annotations__.items() if kind is str}
    described = Description(
        **texts | {"webhook_secrets_prefix": PREFIX, "key_arn": "alias/aws/ssm", "collector_url": "http://c"},
        tables={"definitions": "definitions"},
        functions={},
    )
    with aws(monkeypatch) as tables:
        definitions = DynamoDbDefinitions(tables, "definitions")
        for source in (
            Source("stripe", "key-of-stripe", webhook="stripe"),
            Source("sendgrid", "key-of-sendgrid", webhook="sendgrid"),
            Source("things", "key-of-things", devices=True),
        ):
            definitions.put_current(f"source/{source.name}", msgspec.json.encode(source), after_version=0)
        yield Deployment(described, local_session("eu-central-1"))


def valid(deployment: Deployment, source: str, now_s: float) -> tuple[str, ...]:
    secrets = read_secrets(deployment.client("ssm"), PREFIX + source)
    return secrets.valid_at(now_s) if secrets else ()


def test_a_secret_is_set_replaced_and_ended(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.receiving.time.time", lambda: 1_000.0)
    said = set_secret(deployment, "stripe", "whsec_one", keep_hours=24)
    assert "http://c/v1/webhooks/stripe" in said
    assert "whsec_one" not in said

    assert "24 h" in set_secret(deployment, "stripe", "whsec_two", keep_hours=24)
    assert valid(deployment, "stripe", 1_000 + 86_399) == ("whsec_two", "whsec_one")
    assert "already" in set_secret(deployment, "stripe", "whsec_two", keep_hours=24)
    set_secret(deployment, "stripe", "whsec_two", keep_hours=0)
    assert valid(deployment, "stripe", 1_000) == ("whsec_two",)


@pytest.mark.parametrize(
    ("source", "secret", "said"),
    [
        ("nobody", "x", "there are sendgrid, stripe, things"),
        ("things", "x", "webhook: stripe"),
        ("stripe", "", "one line"),
        ("sendgrid", "SG.key", "MFkwEwYHKoZI"),
    ],
)
def test_what_cannot_be_a_secret_is_not_stored(deployment: Deployment, source: str, secret: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        set_secret(deployment, source, secret, keep_hours=24)

    assert valid(deployment, source, 0) == ()


def test_a_secret_comes_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("whsec_one\n"))
    assert read_secret() == "whsec_one"

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(UsageError, match="standard input"):
        read_secret()


def test_a_message_is_published_with_its_device(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Published()
    monkeypatch.setattr(receiving, "data_plane", lambda _: plane)

    assert publish(deployment, "things", '{"a": 1}', device="t-7") == "onefold/things/events"
    publish(deployment, "things", "raw", device="")

    assert [message["payload"] for message in plane.messages] == [b'{"a": 1, "deviceId": "t-7"}', b"raw"]
    for payload in ("raw", "[1]"):
        with pytest.raises(UsageError, match="--device"):
            publish(deployment, "things", payload, device="t-7")
    with pytest.raises(UsageError, match="bytes"):
        publish(deployment, "things", "x" * (128 * 1_024 + 1), device="")
    with pytest.raises(CommandError, match="devices: true"):
        publish(deployment, "stripe", "{}", device="")
