import json
from typing import Any

import pytest

from onefold.domain.errors import EventInvalid, Unavailable
from onefold.edge.observability import Observability

PERSON = "alice@shop.example"


@pytest.fixture
def observe(monkeypatch: pytest.MonkeyPatch) -> Observability:
    for name, value in {
        "ENVIRONMENT": "dev",
        "POWERTOOLS_SERVICE_NAME": "verb",
        "POWERTOOLS_METRICS_NAMESPACE": "Onefold",
        "LOG_LEVEL": "INFO",
    }.items():
        monkeypatch.setenv(name, value)
    return Observability("verb")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_keys_that_are_not_allowed_are_withheld_and_named(
    observe: Observability, capsys: pytest.CaptureFixture[str]
) -> None:
    observe.info("request answered", accepted=3, email=PERSON, traits={"email": PERSON})

    [line] = lines(capsys)
    assert line["accepted"] == 3
    assert line["withheld_keys"] == ["email", "traits"]
    assert PERSON not in json.dumps(line)


def test_an_error_is_logged_by_type_and_place_without_its_text(
    observe: Observability, capsys: pytest.CaptureFixture[str]
) -> None:
    @observe.invocation
    def handle(event: Any, context: Any) -> None:
        raise KeyError(PERSON)

    with pytest.raises(KeyError):
        handle(None, None)

    log, metrics = lines(capsys)
    assert (log["level"], log["exception_name"]) == ("ERROR", "KeyError")
    assert log["stack_trace"][-1].startswith("test_observability.py:")
    assert metrics["Defects"] == [1.0]
    assert PERSON not in json.dumps([log, metrics])


def test_an_error_of_ours_is_logged_with_its_text_and_is_no_defect(
    observe: Observability, capsys: pytest.CaptureFixture[str]
) -> None:
    @observe.invocation
    def handle(event: Any, context: Any) -> None:
        raise Unavailable("The spool cannot be read")

    with pytest.raises(Unavailable):
        handle(None, None)

    [log] = lines(capsys)
    assert (log["level"], log["detail"]) == ("WARNING", "The spool cannot be read")


def test_an_invocation_writes_one_line_of_metrics_with_the_sum_and_the_source(
    observe: Observability, capsys: pytest.CaptureFixture[str]
) -> None:
    @observe.invocation
    def handle(event: Any, context: Any) -> str:
        observe.count("EventsAccepted", 2)
        observe.count("EventsAccepted")
        observe.count("EventsRefused", 0)
        observe.of_source("web")
        return "answer"

    assert handle(None, None) == "answer"

    [line] = lines(capsys)
    [declared] = line["_aws"]["CloudWatchMetrics"]
    assert declared["Namespace"] == "Onefold"
    assert [sorted(dimensions) for dimensions in declared["Dimensions"]] == [
        ["environment", "service"],
        ["environment", "service", "source"],
    ]
    assert (line["EventsAccepted"], line["environment"], line["service"], line["source"]) == (
        [3.0],
        "dev",
        "verb",
        "web",
    )
    assert "EventsRefused" not in line


def test_an_invocation_that_counts_nothing_writes_nothing_and_counts_do_not_outlive_one(
    observe: Observability, capsys: pytest.CaptureFixture[str]
) -> None:
    @observe.invocation
    def handle(event: Any, context: Any) -> None:
        if event:
            observe.of_source("web")
            observe.count("EventsStitched", event)

    handle(5, None)
    handle(0, None)
    handle(7, None)

    assert [line["EventsStitched"] for line in lines(capsys)] == [[5.0], [7.0]]


def test_a_metric_that_no_page_knows_is_a_defect(observe: Observability) -> None:
    with pytest.raises(ValueError, match="METRICS"):
        observe.count("EventsLost")


def test_a_request_is_answered_whatever_happens(observe: Observability, capsys: pytest.CaptureFixture[str]) -> None:
    @observe.request(lambda event, error: type(error).__name__)
    def handle(event: Exception, context: Any) -> str:
        raise event

    assert handle(EventInvalid("name_missing", PERSON), None) == "EventInvalid"
    assert handle(ZeroDivisionError(), None) == "ZeroDivisionError"

    refused, refused_count, failed, failed_count = lines(capsys)
    assert (refused["message"], refused["reason"]) == ("request refused", "name_missing")
    assert refused_count["RequestsRefused"] == [1.0]
    assert (failed["level"], failed_count["Defects"]) == ("ERROR", [1.0])
