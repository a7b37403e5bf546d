"""An embedded moto with the patches in place."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from infra.local import moto_mended

REGION = "eu-central-1"
Clients = Callable[[str], Any]


@pytest.fixture(scope="session")
def session_clients() -> Clients:
    """service -> client; made once, because making one takes longer than most tests."""
    session: Any = boto3.Session("testing", "testing", region_name=REGION)
    config = Config(account_id_endpoint_mode="disabled")
    return cache(lambda service: session.client(service, config=config))


@pytest.fixture
def clients(session_clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """service -> client of an empty AWS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    moto_mended.install()
    with mock_aws():
        yield session_clients


@pytest.fixture
def dynamodb(clients: Clients) -> Any:
    """A client that has the tables `heads` (hash key, stream) and `timeline` (hash and range key)."""
    client = clients("dynamodb")
    client.create_table(
        TableName="heads",
        KeySchema=[{"AttributeName": "profile_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "profile_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client.create_table(
        TableName="timeline",
        KeySchema=[
            {"AttributeName": "fragment_key", "KeyType": "HASH"},
            {"AttributeName": "sequence", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "fragment_key", "AttributeType": "S"},
            {"AttributeName": "sequence", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return client
