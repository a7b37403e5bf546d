"""How far behind a deployment is, what it counted, and what went wrong in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cli.deployment import Deployment

WINDOW: Final = timedelta(hours=24)
LAG_WINDOW: Final = timedelta(minutes=5)
PERIOD_S: Final = 300
NAMESPACE: Final = "Onefold"
CONSUMERS: Final = ("stitch", "archive", "evaluate", "activate")


@dataclass(frozen=True, slots=True)
class Status:
    """How a deployment has been doing for the last day.

    Attributes:
        outcomes: Metric of our own → its sum.
        lag_ms: Consumer of a stream → how old the last record was that it got, at worst in the last five minutes; None
            where it got none.
        waiting: The same, in records that wait for it; known of a local instance only.
        errors: Function → failed invocations.
        undelivered: Deliveries that were given up.
    """

    outcomes: Mapping[str, int]
    lag_ms: Mapping[str, int | None]
    waiting: Mapping[str, int]
    errors: Mapping[str, int]
    undelivered: int

    def document(self) -> dict[str, Any]:
        return asdict(self)


def read_status(deployment: Deployment) -> Status:
    about, cloudwatch = deployment.description, deployment.client("cloudwatch")
    lag, errors = {}, {}
    for verb, name in about.functions.items():
        failed = sum(_points(cloudwatch, _of_function("Errors", name), "Sum", WINDOW))
        if failed:
            errors[verb] = round(failed)
        if verb in CONSUMERS:
            ages = _points(cloudwatch, _of_function("IteratorAge", name), "Maximum", LAG_WINDOW)
            lag[verb] = round(max(ages)) if ages else None
    queue = deployment.client("sqs").get_queue_attributes(
        QueueUrl=about.deliveries_dlq_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    undelivered = int(queue["Attributes"]["ApproximateNumberOfMessages"])
    here = deployment.instance.waiting if deployment.instance else {}
    waiting = {verb: here[name] for verb, name in about.functions.items() if verb in CONSUMERS and name in here}
    return Status(_outcomes(cloudwatch, about.environment), lag, waiting, errors, undelivered)


def _points(cloudwatch: Any, query: dict[str, Any], statistic: str, window: timedelta) -> list[float]:  # noqa: ANN401
    """A metric's values, one for each period of the window that has any."""
    now = datetime.now(UTC)
    points = cloudwatch.get_metric_statistics(
        **query, StartTime=now - window, EndTime=now + timedelta(minutes=1), Period=PERIOD_S, Statistics=[statistic]
    )["Datapoints"]
    return [point[statistic] for point in points]


def _of_function(metric: str, name: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": name}]
    return {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}


def _outcomes(cloudwatch: Any, environment: str) -> dict[str, int]:  # noqa: ANN401 - a boto3 client
    """Sum each metric of ours over the functions.

    What is counted for each source is also counted without it; only one of the two is taken.
    """
    by_source: dict[tuple[str, str], float] = {}
    plain: dict[tuple[str, str], float] = {}
    for name, dimensions in _own_metrics(cloudwatch, environment):
        named = dict(dimensions)
        listed = [{"Name": key, "Value": value} for key, value in dimensions]
        query = {"Namespace": NAMESPACE, "MetricName": name, "Dimensions": listed}
        sums, place = by_source if "source" in named else plain, (name, named.get("service", ""))
        sums[place] = sums.get(place, 0) + sum(_points(cloudwatch, query, "Sum", WINDOW))
    totals: dict[str, float] = {}
    for (name, _), value in (plain | by_source).items():
        totals[name] = totals.get(name, 0) + value
    return {name: round(value) for name, value in sorted(totals.items())}


def _own_metrics(cloudwatch: Any, environment: str) -> set[tuple[str, tuple[tuple[str, str], ...]]]:  # noqa: ANN401
    """Name and dimensions of each metric of this environment."""
    return {
        (metric["MetricName"], tuple(sorted((each["Name"], each["Value"]) for each in metric["Dimensions"])))
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=NAMESPACE)
        for metric in page["Metrics"]
        if {"Name": "environment", "Value": environment} in metric["Dimensions"]
    }
