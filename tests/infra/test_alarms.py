"""Every alarm tells somebody and leads to its paragraph of the runbook."""

import json
import re
from pathlib import Path

from onefold.edge.observability import METRICS
from tests.infra.assembly import Assembly, construct_of

VERBS = (
    "collect",
    "receive",
    "drain",
    "import_files",
    "stitch",
    "archive",
    "evaluate",
    "activate",
    "deliver",
    "serve",
    "resolve",
    "inspect",
    "replay",
)
STREAM_VERBS = ("stitch", "archive", "evaluate", "activate")


def test_everything_that_can_go_wrong_has_its_alarm(prod: Assembly) -> None:
    expected = {f"Alarms{construct_of(verb)}{what}" for verb in VERBS for what in ("Errors", "Throttles")}
    expected |= {f"Alarms{verb.capitalize()}{what}" for verb in STREAM_VERBS for what in ("IteratorAge", "SetAside")}
    expected |= {"AlarmsImportsDeadLetters"}
    expected |= {
        "AlarmsSpooledDeadLetters",
        "AlarmsDeliveriesDeadLetters",
        "AlarmsDevicesDeadLetters",
        "AlarmsSpoolAge",
        "AlarmsStreamThrottles",
    }
    expected |= {"AlarmsCollectorServerErrors", "AlarmsProfileServerErrors", "AlarmsEventsQuarantined", "AlarmsDefects"}
    expected |= {"AlarmsProfileCaps"}

    assert {alarm.name for alarm in prod.resources("AWS::CloudWatch::Alarm")} == expected


def test_every_alarm_leads_to_a_paragraph_of_the_runbook(prod: Assembly, repository: Path) -> None:
    headings = re.findall(r"^#+ (.+)$", (repository / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}

    for alarm in prod.resources("AWS::CloudWatch::Alarm"):
        link = re.search(r"docs/runbook\.md#([a-z-]+)$", alarm.properties["AlarmDescription"])
        assert link is not None, alarm.name
        assert link[1] in anchors, alarm.name


def test_every_alarm_tells_the_topic_when_it_comes_and_when_it_goes(prod: Assembly) -> None:
    for alarm in prod.resources("AWS::CloudWatch::Alarm"):
        for actions in ("AlarmActions", "OKActions"):
            assert [prod.readable(action) for action in alarm.properties[actions]] == ["AlarmsTopic"], alarm.name
        assert alarm.properties["TreatMissingData"] == "notBreaching"


def test_f18_each_stream_consumer_is_watched_by_its_own_name(prod: Assembly) -> None:
    """Somebody hears of a consumer that stands still days before its records expire."""
    for verb in STREAM_VERBS:
        alarm = prod.named(f"Alarms{verb.capitalize()}IteratorAge", "AWS::CloudWatch::Alarm").properties
        (dimension,) = alarm["Dimensions"]
        assert (alarm["MetricName"], dimension["Name"]) == ("IteratorAge", "FunctionName")
        assert prod.readable(dimension["Value"]) == f"{verb.capitalize()}Function"
        assert alarm["Threshold"] == 300_000


def test_outcomes_are_summed_over_functions_but_not_over_sources(prod: Assembly) -> None:
    for name, metric in (("AlarmsEventsQuarantined", "EventsQuarantined"), ("AlarmsDefects", "Defects")):
        (query,) = prod.named(name, "AWS::CloudWatch::Alarm").properties["Metrics"]
        selected, source = query["Expression"].split(" FROM ")
        assert selected == f"SELECT SUM({metric})"
        assert source == "SCHEMA(\"Onefold\", environment, service) WHERE environment = 'prod'"
        assert metric in METRICS


def test_cloudwatch_may_publish_to_the_topic(prod: Assembly) -> None:
    (policy,) = prod.resources("AWS::SNS::TopicPolicy")
    (allowed,) = (s for s in policy.properties["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")

    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Action"] == "sns:Publish"


def test_the_runbook_explains_every_metric(repository: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (repository / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(rows) == sorted(METRICS)


def test_the_dashboard_shows_metrics_that_exist(prod: Assembly) -> None:
    (dashboard,) = prod.resources("AWS::CloudWatch::Dashboard")
    body = prod.readable(dashboard.properties["DashboardBody"])
    shown = set(re.findall(r"SELECT SUM\((\w+)\)", body))

    assert shown
    assert shown <= METRICS
    assert len(json.loads(body)["widgets"]) == 9
