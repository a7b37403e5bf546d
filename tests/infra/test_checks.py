"""cdk-nag and cfn-lint find nothing in production's stacks, and would find something in worse ones."""

import json
from pathlib import Path

import pytest
from constructs import Construct

from infra.application import build_stacks
from infra.checks import lint_findings, nag_findings
from infra.environments import PROD
from tests.infra.assembly import Assembly


def test_nag_and_lint_find_nothing(tmp_path: Path) -> None:
    assert nag_findings("prod", lambda app: build_stacks(app, PROD, bundle=False), tmp_path) == []
    assert lint_findings("prod", sorted(tmp_path.glob("*.template.json"))) == []


def test_nag_finds_an_open_bucket(tmp_path: Path) -> None:
    findings = nag_findings("test", _open_bucket, tmp_path)

    assert {finding.rule for finding in findings} >= {"AwsSolutions-S1", "AwsSolutions-S10"}
    assert {finding.place for finding in findings} == {"Open/Bucket/Resource"}


def test_lint_finds_a_property_that_does_not_exist(tmp_path: Path) -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "red"}}}}
    path = tmp_path / "worse.template.json"
    path.write_text(json.dumps(template), encoding="utf-8")

    assert {(finding.rule, finding.place.split("/")[0]) for finding in lint_findings("test", [path])} == {
        ("E3002", "worse.template.json")
    }


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_every_exception_from_lint_has_its_reason(assemblies: dict[str, Assembly], name: str) -> None:
    exceptions = [
        resource.body["Metadata"]["cfn-lint"]
        for resource in assemblies[name].resources()
        if "cfn-lint" in resource.body.get("Metadata", {})
    ]

    assert exceptions
    assert all(len(exception["reason"].split()) > 5 for exception in exceptions)


def _open_bucket(app: Construct) -> None:
    from aws_cdk import Stack
    from aws_cdk import aws_s3 as s3

    s3.Bucket(Stack(app, "Open"), "Bucket")
