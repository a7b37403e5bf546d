"""The one page that says whether events flow."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.event_stream import EventStream
from infra.constructs.function import OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.work_queue import WorkQueue

WIDTH = 8
PERIOD = Duration.minutes(1)
OUTCOMES = ("EventsAccepted", "EventsStitched", "EventsArchived", "EventsQuarantined", "Deliveries", "Defects")


class FlowDashboard(Construct):
    """From left to right as the events go: in, through, out; then what went wrong."""

    def __init__(  # noqa: PLR0913 - each argument is one row of the page
        self,
        scope: Construct,
        construct_id: str,
        *,
        alarms: Alarms,
        apis: dict[str, OnefoldHttpApi],
        stream: EventStream,
        functions: Sequence[OnefoldFunction],
        consumers: Sequence[OnefoldFunction],
        queues: dict[str, WorkQueue],
    ) -> None:
        super().__init__(scope, construct_id)
        functions_by_name = {function.verb: function.function for function in functions}
        age_of = [
            function.function.metric("IteratorAge", label=function.verb, statistic="max", period=PERIOD)
            for function in consumers
        ]
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=Duration.hours(3))
        dashboard.add_widgets(
            _graph("Requests", [api.api.metric_count(label=name, period=PERIOD) for name, api in apis.items()]),
            _graph("Latency p99, ms", [_p99(name, api) for name, api in apis.items()]),
            _graph("Stream, bytes in", [stream.stream.metric("IncomingBytes", statistic="sum", period=PERIOD)]),
        )
        dashboard.add_widgets(
            _graph("Behind the stream, ms", age_of),
            _graph("Invocations", [_invocations(name, function) for name, function in functions_by_name.items()]),
            _graph("Duration p95, ms", [_p95(name, function) for name, function in functions_by_name.items()]),
        )
        dashboard.add_widgets(
            _graph("Errors", [_errors(name, function) for name, function in functions_by_name.items()]),
            _graph("Dead letters", [_dead_letters(name, queue) for name, queue in queues.items()]),
            _graph("Outcomes", [alarms.outcome(name) for name in OUTCOMES]),
        )


def _p99(name: str, api: OnefoldHttpApi) -> cloudwatch.Metric:
    return api.api.metric_latency(label=name, statistic="p99", period=PERIOD)


def _invocations(name: str, function: lambda_.Function) -> cloudwatch.Metric:
    return function.metric_invocations(label=name, period=PERIOD)


def _p95(name: str, function: lambda_.Function) -> cloudwatch.Metric:
    return function.metric_duration(label=name, statistic="p95", period=PERIOD)


def _errors(name: str, function: lambda_.Function) -> cloudwatch.Metric:
    return function.metric_errors(label=name, period=PERIOD)


def _dead_letters(name: str, queue: WorkQueue) -> cloudwatch.Metric:
    return queue.dead_letters.metric_approximate_number_of_messages_visible(label=name, period=PERIOD)


def _graph(title: str, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=WIDTH)
