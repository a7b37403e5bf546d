"""Deleting data needs two keys, and production has turned neither."""

from dataclasses import replace

import pytest

from infra.environments import DEV, PROD
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import Synthesize

# Everything that holds what cannot be made again.
HOLDS_DATA = {
    "AWS::DynamoDB::Table",
    "AWS::Kinesis::Stream",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
}


def test_production_keeps_its_data(prod: Assembly) -> None:
    assert _policies(prod) == {("Retain", "Retain")}
    assert _protected_tables(prod) == {True}


@pytest.mark.parametrize("name", ["dev", "staging"])
def test_other_environments_take_their_data_with_them(assemblies: dict[str, Assembly], name: str) -> None:
    assert _policies(assemblies[name]) == {("Delete", "Delete")}
    assert _protected_tables(assemblies[name]) == {False}


def test_the_environments_key_alone_does_not_release_production(synthesize_app: Synthesize) -> None:
    assembly = synthesize_app(replace(PROD, data_is_disposable=True))

    assert _policies(assembly) == {("Retain", "Retain")}
    assert _protected_tables(assembly) == {True}


def test_the_constructs_key_alone_does_not_release_production(synthesize_app: Synthesize) -> None:
    assembly = synthesize_app(PROD, removable=True)

    assert _policies(assembly) == {("Retain", "Retain")}
    assert _protected_tables(assembly) == {True}


def test_the_constructs_key_guards_every_environment(synthesize_app: Synthesize) -> None:
    assembly = synthesize_app(DEV, removable=False)

    assert _policies(assembly) == {("Retain", "Retain")}
    assert _protected_tables(assembly) == {True}


def test_tables_can_be_restored_to_any_second(prod: Assembly) -> None:
    for table in prod.resources("AWS::DynamoDB::Table"):
        assert table.properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def _holders(assembly: Assembly) -> list[Resource]:
    holders = [resource for resource in assembly.resources() if resource.kind in HOLDS_DATA]
    assert {holder.kind for holder in holders} == HOLDS_DATA
    assert len(holders) == 13  # seven tables, three buckets, the stream, the key and the secret
    return holders


def _policies(assembly: Assembly) -> set[tuple[str, str]]:
    return {(holder.body["DeletionPolicy"], holder.body["UpdateReplacePolicy"]) for holder in _holders(assembly)}


def _protected_tables(assembly: Assembly) -> set[bool]:
    return {table.properties["DeletionProtectionEnabled"] for table in assembly.resources("AWS::DynamoDB::Table")}
