"""How commands find and reach a deployment."""

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import boto3
import httpx
import msgspec
import pytest

from cli import deployment
from cli.deployment import Deployment, Description, Instance
from cli.problems import CommandError, UsageError

DESCRIPTION = Description(
    environment="prod",
    region="eu-central-1",
    collector_url="https://collector.demo",
    api_url="https://api.demo",
    token_url="https://login.demo/oauth2/token",
    user_pool_id="pool",
    user_pool_client_id="client",
    stream_name="stream",
    lake_bucket="lake",
    spool_bucket="spool",
    bus_name="bus",
    deployment_secret_arn="arn",
    glue_database="onefold_prod",
    workgroup="onefold_prod",
    tables={},
    functions={},
    deliveries_dlq_url="https://queue.demo",
    key_arn="arn:aws:kms:eu-central-1:123456789012:key/demo",
    webhook_secrets_prefix="/onefold/demo/webhooks/",
)


class Cognito:
    def describe_user_pool_client(self, **asked: str) -> dict[str, Any]:
        assert asked == {"UserPoolId": "pool", "ClientId": "client"}
        return {"UserPoolClient": {"ClientSecret": "s3cret"}}


class Deployed(Deployment):
    def client(self, service: str) -> Any:
        assert service == "cognito-idp"
        return Cognito()


def deployed(answer: httpx.Response, asked: list[httpx.Request]) -> Deployed:
    found = Deployed(DESCRIPTION, boto3.Session(region_name="eu-central-1"))

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    found.__dict__["http"] = httpx.Client(transport=httpx.MockTransport(respond))
    return found


def test_a_deployed_token_is_asked_for_with_the_clients_secret() -> None:
    asked: list[httpx.Request] = []

    token = deployed(httpx.Response(200, json={"access_token": "t0ken"}), asked).token

    assert token == "t0ken"
    assert str(asked[0].url) == DESCRIPTION.token_url
    assert asked[0].content == b"grant_type=client_credentials"
    assert b64decode(asked[0].headers["Authorization"].removeprefix("Basic ")) == b"client:s3cret"


def test_a_refused_token_gives_one_line() -> None:
    with pytest.raises(CommandError, match="gave no token: HTTP 400"):
        _ = deployed(httpx.Response(400), []).token


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONEFOLD_HOME", str(tmp_path))
    return tmp_path


def test_an_instance_is_found_while_its_program_lives(home: Path) -> None:
    instance = Instance(os.getpid(), "eu-central-1", "http://c", "http://a", "http://e", "t")

    deployment.record_instance(instance)

    assert deployment.running_instance() == instance
    assert (home / "local.json").stat().st_mode & 0o077 == 0
    deployment.forget_instance(os.getpid() + 1)
    assert deployment.running_instance() == instance
    deployment.forget_instance(os.getpid())
    with pytest.raises(CommandError, match="start one with `onefold up`"):
        deployment.running_instance()


def test_a_record_that_a_crash_left_behind_is_not_believed(home: Path) -> None:
    gone = msgspec.structs.replace(Instance(1, "eu-central-1", "http://c", "http://a", "http://e", "t"), pid=2**22 - 1)

    deployment.record_instance(gone)

    with pytest.raises(CommandError, match="No local instance is running"):
        deployment.running_instance()


def test_an_unknown_environment_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"local\|dev\|staging\|prod"):
        deployment.find_deployment("production")


def test_no_region_gives_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(CommandError, match="set AWS_REGION"):
        deployment.find_deployment("prod")


def test_the_description_is_read_as_the_stacks_write_it() -> None:
    written = json.loads(msgspec.json.encode(DESCRIPTION))

    assert msgspec.convert(written | {"something_new": 1}, Description) == DESCRIPTION
