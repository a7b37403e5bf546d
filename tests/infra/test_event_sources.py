"""How streams, queues and rules feed the functions."""

import re
from typing import Any

import pytest

from tests.infra.assembly import Assembly, construct_of

FAILURE_POLICY = {
    "StartingPosition": "TRIM_HORIZON",
    "BisectBatchOnFunctionError": True,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "MaximumRetryAttempts": 10,
}
SIX_DAYS_S = 6 * 24 * 3600
TWENTY_HOURS_S = 20 * 3600


@pytest.mark.parametrize(
    ("verb", "source", "settings"),
    [
        ("stitch", "EventsStream", (1_000, 1, 4, SIX_DAYS_S)),
        ("archive", "EventsStream", (10_000, 60, 1, SIX_DAYS_S)),
        ("evaluateFragments", "FragmentsTable.StreamArn", (100, 1, 1, TWENTY_HOURS_S)),
        ("evaluateHeads", "HeadsTable.StreamArn", (100, 1, 1, TWENTY_HOURS_S)),
        ("activate", "HeadsTable.StreamArn", (100, None, 1, TWENTY_HOURS_S)),
    ],
)
def test_f18_stream_consumers_start_at_the_beginning_and_set_aside_what_fails(
    prod: Assembly, verb: str, source: str, settings: tuple[int | None, ...]
) -> None:
    """What fails for good goes to S3, which keeps the records; others get their place in the stream only."""
    mapping = _mapping(prod, verb)

    assert mapping.items() >= FAILURE_POLICY.items()
    assert prod.readable(mapping["EventSourceArn"]) == source
    assert prod.readable(mapping["DestinationConfig"]["OnFailure"]["Destination"]) == "SpoolBucket"
    assert settings == (
        mapping["BatchSize"],
        mapping.get("MaximumBatchingWindowInSeconds"),
        mapping["ParallelizationFactor"],
        mapping["MaximumRecordAgeInSeconds"],
    )


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_f18_records_are_set_aside_before_their_stream_forgets_them(assemblies: dict[str, Assembly], name: str) -> None:
    """A record that expires before it is set aside would be gone."""
    assembly = assemblies[name]
    stream_keeps_s = assembly.named("EventsStream", "AWS::Kinesis::Stream").properties["RetentionPeriodHours"] * 3600

    for verb, keeps_s in (("stitch", stream_keeps_s), ("archive", stream_keeps_s), ("evaluateHeads", 86_400)):
        assert _mapping(assembly, verb)["MaximumRecordAgeInSeconds"] < keeps_s


@pytest.mark.parametrize(
    ("verb", "queue", "concurrency"),
    [
        ("drain", "Spooled", 2),
        ("import_files", "Imports", 2),
        ("deliver", "Deliveries", 10),
        ("receive", "Devices", 10),
    ],
)
def test_f05_queue_consumers_report_single_failures_and_dead_letters_follow(
    prod: Assembly, verb: str, queue: str, concurrency: int
) -> None:
    """The spool is emptied by two invocations at most, beside live traffic."""
    mapping = _mapping(prod, verb)
    properties = prod.named(f"{queue}Queue", "AWS::SQS::Queue").properties

    assert prod.readable(mapping["EventSourceArn"]) == f"{queue}Queue"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": concurrency}
    assert properties["RedrivePolicy"]["maxReceiveCount"] == 5
    assert prod.readable(properties["RedrivePolicy"]["deadLetterTargetArn"]) == f"{queue}DeadLetters"
    assert properties["VisibilityTimeout"] >= 6 * prod.functions()[verb].properties["Timeout"]


def test_each_mapping_waits_for_the_permissions_of_its_role(prod: Assembly) -> None:
    for mapping in prod.resources("AWS::Lambda::EventSourceMapping"):
        verb = re.match("ImportFiles|[A-Z][a-z]+", mapping.name)[0]  # type: ignore[index]
        policies = [logical_id for logical_id in mapping.body["DependsOn"] if f"{verb}RoleDefaultPolicy" in logical_id]
        assert len(policies) == 1


def test_only_spooled_events_reach_drain(prod: Assembly) -> None:
    rule = prod.named("SpooledEventsSpooled", "AWS::Events::Rule").properties
    spool = prod.named("SpoolBucket", "AWS::S3::Bucket").properties

    assert "EventBusName" not in rule
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "spool/"}]}
    assert [prod.readable(name) for name in rule["EventPattern"]["detail"]["bucket"]["name"]] == ["SpoolBucket"]
    assert [prod.readable(target["Arn"]) for target in rule["Targets"]] == ["SpooledQueue"]
    assert spool["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_only_dropped_files_reach_import_files(prod: Assembly) -> None:
    """What import_files itself writes must not start it again."""
    rule = prod.named("ImportsFilesDropped", "AWS::Events::Rule").properties

    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "imports/inbox/"}]}
    assert [prod.readable(name) for name in rule["EventPattern"]["detail"]["bucket"]["name"]] == ["SpoolBucket"]
    assert [prod.readable(target["Arn"]) for target in rule["Targets"]] == ["ImportsQueue"]


def test_transitions_reach_deliveries(prod: Assembly) -> None:
    rule = prod.named("DeliveriesTransitionsPublished", "AWS::Events::Rule").properties

    assert prod.readable(rule["EventBusName"]) == "Bus"
    assert rule["EventPattern"] == {
        "source": ["onefold"],
        "detail-type": ["Audience Entered", "Audience Exited", "Profile Merged", "Profile Split"],
    }
    assert [prod.readable(target["Arn"]) for target in rule["Targets"]] == ["DeliveriesQueue"]


def test_only_its_own_rule_may_fill_a_queue(prod: Assembly) -> None:
    policies = {policy.name: policy for policy in prod.resources("AWS::SQS::QueuePolicy")}

    # Devices' queues are filled by a rule of AWS IoT Core with a role of its own: their policies allow nobody anything.
    for name in ("DevicesQueuePolicy", "DevicesDeadLettersPolicy"):
        statements = policies.pop(name).properties["PolicyDocument"]["Statement"]
        assert {statement["Effect"] for statement in statements} == {"Deny"}
    assert len(policies) == 6
    for policy in policies.values():
        (allowed,) = (s for s in policy.properties["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")
        assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
        rule = prod.readable(allowed["Condition"]["ArnEquals"]["aws:SourceArn"])
        assert rule in {"SpooledEventsSpooled", "ImportsFilesDropped", "DeliveriesTransitionsPublished"}


def _mapping(assembly: Assembly, feed: str) -> dict[str, Any]:
    name = construct_of(feed) if "_" in feed else f"{feed[0].upper()}{feed[1:]}"
    mapping = assembly.named(f"{name}ConsumerMapping", "AWS::Lambda::EventSourceMapping")
    return dict(mapping.properties)
