"""What a month of such days would cost in AWS, from the requests and units that one of them used here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from rich.console import Console

from cli.costs import (
    HOURS_PER_MONTH,
    FunctionRun,
    Meter,
    bill,
    lambda_usage,
    load_prices,
    standing_usage,
    stream_usage,
    times,
    total,
)
from cli.deployment import Deployment
from cli.render import rows_table

if TYPE_CHECKING:
    from infra.local.runtime import LocalRuntime

DAYS_PER_MONTH: Final = HOURS_PER_MONTH / 24
STREAM_CONSUMERS: Final = 2  # stitch and archive
LOG_BYTES_PER_INVOCATION: Final = 1_500  # Lambda's own three lines, and one of metrics
SQS_REQUESTS_PER_MESSAGE: Final = 3  # sent, received, deleted
LINES_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Consumption:
    """What the events of one day used, and what stands there anyway; in units that have a price."""

    events: int
    of_events: Mapping[str, float]
    standing: Mapping[str, float]


def measure(runtime: "LocalRuntime", deployment: Deployment, meter: Meter, events: int) -> Consumption:
    """Read the meters; what is asked afterwards by those who look on is not the events' doing."""
    specs = runtime.deployment.functions
    runs = {
        name: FunctionRun(seen.invocations, seen.cpu_s, specs[name].memory_mb)
        for name, seen in runtime.statistics.items()
    }
    used = meter.usage()
    used.update(lambda_usage(runs.values()))
    used.update(stream_usage(used, consumers=STREAM_CONSUMERS))
    invocations = sum(run.invocations for run in runs.values())
    functions = deployment.description.functions
    used.update(
        {
            "http_api_requests": runs[functions["collect"]].invocations,
            "log_gb": invocations * LOG_BYTES_PER_INVOCATION / 1e9,
            "sqs_requests": used["eventbridge_events"] * SQS_REQUESTS_PER_MESSAGE,
        }
    )
    return Consumption(events, used, _standing(runtime, deployment))


def _standing(runtime: "LocalRuntime", deployment: Deployment) -> dict[str, float]:
    alarms = sum(resource.type == "AWS::CloudWatch::Alarm" for resource in runtime.deployment.resources)
    pages = deployment.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="Onefold")
    metrics = {
        (metric["MetricName"], *sorted((each["Name"], each["Value"]) for each in metric["Dimensions"]))
        for page in pages
        for metric in page["Metrics"]
    }
    standing = standing_usage(streams=1, queues=2, keys=1, secrets=1, alarms=alarms)
    return {**standing, "metrics": len(metrics)}


def show_monthly_cost(console: Console, consumption: Consumption) -> None:
    prices = load_prices()
    month = Counter(times(consumption.of_events, DAYS_PER_MONTH))
    by_events = total(bill(month, prices))
    month.update(consumption.standing)
    lines = bill(month, prices)
    console.rule("[bold]What a month of such days would cost in AWS")
    rows = [
        (line.label, f"{line.quantity:,.3f}" if line.quantity < 1 else f"{line.quantity:,.0f}", f"{line.usd:,.2f}")
        for line in lines[:LINES_SHOWN]
    ]
    console.print(rows_table((f"unit ({prices.region}, list prices of {prices.as_of})", "a month", "USD"), rows))
    events = consumption.events * DAYS_PER_MONTH
    per_million = by_events / Decimal(consumption.events) / Decimal(DAYS_PER_MONTH) * 1_000_000
    idle = total(lines) - by_events
    console.print(
        f"{total(lines):,.2f} USD a month for {events:,.0f} events; {idle:,.2f} of it would be due without any."
    )
    console.print(f"A million events more: {per_million:,.2f} USD.")
    console.print(
        "Counted from requests, items and records as they were here; Lambda time is processor time only. Storage, "
        "data transfer and free tiers are left out.",
        style="dim",
    )
