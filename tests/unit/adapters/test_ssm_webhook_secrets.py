import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from onefold.adapters.ssm_webhook_secrets import SsmWebhookSecrets, read_secrets, write_secrets
from onefold.domain.errors import Unavailable
from onefold.domain.webhook_secret import WebhookSecrets

PREFIX = "/onefold/dev/webhooks/"
ONE, TWO = WebhookSecrets("one"), WebhookSecrets("two", "one", 1_794_477_600)


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("ssm", region_name="eu-central-1")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def put(ssm: Any, secrets: WebhookSecrets) -> None:
    write_secrets(ssm, f"{PREFIX}stripe", secrets, key_arn="alias/aws/ssm")


def test_what_is_written_is_read_and_encrypted_at_rest(ssm: Any) -> None:
    put(ssm, TWO)

    assert read_secrets(ssm, f"{PREFIX}stripe") == TWO
    assert read_secrets(ssm, f"{PREFIX}shopify") is None
    stored = ssm.get_parameter(Name=f"{PREFIX}stripe")["Parameter"]
    assert stored["Type"] == "SecureString"


def test_secrets_are_kept_for_as_long_as_asked_and_then_read_again(ssm: Any) -> None:
    clock = Clock()
    secrets = SsmWebhookSecrets(ssm, PREFIX, now=clock)
    assert secrets.load("stripe", max_age_s=300) is None
    put(ssm, ONE)

    assert secrets.load("stripe", max_age_s=300) is None
    clock.now += 10
    assert secrets.load("stripe", max_age_s=10) == ONE
    put(ssm, TWO)
    clock.now += 299
    assert secrets.load("stripe", max_age_s=300) == ONE
    clock.now += 1
    assert secrets.load("stripe", max_age_s=300) == TWO


def test_known_secrets_serve_while_they_cannot_be_read_again(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    secrets = SsmWebhookSecrets(ssm, PREFIX, now=clock)
    put(ssm, ONE)
    secrets.load("stripe", max_age_s=300)
    calls = []

    def refuse(**_: Any) -> None:
        calls.append(clock.now)
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "GetParameter")

    monkeypatch.setattr(ssm, "get_parameter", refuse)
    for _ in range(6):
        clock.now += 100
        assert secrets.load("stripe", max_age_s=300) == ONE
        clock.now += 1
        assert secrets.load("stripe", max_age_s=300) == ONE

    assert len(calls) == 4  # not again within five seconds of a failure
    with pytest.raises(Unavailable):
        secrets.load("shopify", max_age_s=300)


def test_what_is_none_of_ours_is_said(ssm: Any) -> None:
    ssm.put_parameter(Name=f"{PREFIX}stripe", Value=json.dumps({"later": 1}), Type="SecureString")

    with pytest.raises(Unavailable, match="set it again"):
        read_secrets(ssm, f"{PREFIX}stripe")
