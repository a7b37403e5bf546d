"""Alarms: what is watched on each kind of resource, where it is told, and which paragraph of the runbook helps."""

from collections.abc import Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk.aws_cloudwatch_actions import SnsAction
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from constructs import Construct

from infra.constructs.consumers import StreamConsumer
from infra.constructs.event_stream import EventStream
from infra.constructs.foundation import Foundation
from infra.constructs.function import METRICS_NAMESPACE, OnefoldFunction
from infra.constructs.http_api import OnefoldHttpApi
from infra.constructs.work_queue import WorkQueue

RUNBOOK = "docs/runbook.md"
PERIOD = Duration.minutes(5)
SPOOLED_AGE_MAX = Duration.minutes(15)


class Alarms(Construct):
    """The topic and every alarm that goes to it."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation) -> None:
        super().__init__(scope, construct_id)
        self._environment = foundation.environment
        self.topic = sns.Topic(self, "Topic", master_key=foundation.key.key, enforce_ssl=True)
        # The rule above replaces the topic's default policy, which would have let CloudWatch publish.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if foundation.environment.alarm_email is not None:
            self.topic.add_subscription(EmailSubscription(foundation.environment.alarm_email))

    def watch_function(self, function: OnefoldFunction) -> None:
        """Errors that last, and throttling."""
        verb = function.verb
        self._raise(
            f"{verb}-errors",
            function.function.metric_errors(period=PERIOD),
            meaning=f"{verb} fails again and again",
            anchor="function-errors",
            breaches=2,
        )
        self._raise(
            f"{verb}-throttles",
            function.function.metric_throttles(period=PERIOD),
            meaning=f"Lambda refuses to run {verb}: concurrency is used up",
            anchor="function-throttles",
            breaches=2,
        )

    def watch_consumer(self, function: OnefoldFunction, consumers: Sequence[StreamConsumer]) -> None:
        """How far behind its streams a function is, and whether batches were given up."""
        verb = function.verb
        set_aside = {
            f"m{number}": cloudwatch.Metric(
                namespace="AWS/Lambda",
                metric_name="OnFailureDestinationDeliveredEventCount",
                dimensions_map={"EventSourceMappingUUID": consumer.mapping.ref},
                statistic="sum",
                period=PERIOD,
            )
            for number, consumer in enumerate(consumers)
        }
        self._raise(
            f"{verb}-iterator-age",
            function.function.metric("IteratorAge", statistic="max", period=PERIOD),
            above=self._environment.iterator_age_max_s * 1_000,
            meaning=f"{verb} is more than {self._environment.iterator_age_max_s} s behind its stream",
            anchor="iterator-age",
            breaches=2,
        )
        self._raise(
            f"{verb}-set-aside",
            cloudwatch.MathExpression(expression="SUM(METRICS())", using_metrics=set_aside, period=PERIOD),
            meaning=f"Records that {verb} failed on for good were set aside in the spool bucket",
            anchor="records-set-aside",
        )

    def watch_stream(self, stream: EventStream) -> None:
        """Writes that the stream refused; the collector spools them, so nothing is lost yet."""
        self._raise(
            "stream-throttles",
            stream.stream.metric("WriteProvisionedThroughputExceeded", statistic="sum", period=PERIOD),
            meaning="The stream refuses writes: it is throttled",
            anchor="stream-throttles",
            breaches=2,
        )

    def watch_queue(self, name: str, queue: WorkQueue) -> None:
        """Messages that were given up."""
        self._raise(
            f"{name}-dead-letters",
            queue.dead_letters.metric_approximate_number_of_messages_visible(period=PERIOD),
            meaning=f"Messages of the queue {name} were given up and wait among its dead letters",
            anchor=f"{name}-dead-letters",
        )

    def watch_spool(self, queue: WorkQueue) -> None:
        """Spooled events that are not brought back in time."""
        self._raise(
            "spool-age",
            queue.queue.metric_approximate_age_of_oldest_message(period=PERIOD),
            above=SPOOLED_AGE_MAX.to_seconds(),
            meaning="Spooled events have waited for 15 minutes and more",
            anchor="spool-age",
        )

    def watch_api(self, name: str, api: OnefoldHttpApi) -> None:
        """Answers that are the server's fault."""
        self._raise(
            f"{name}-server-errors",
            api.api.metric_server_error(statistic="sum", period=PERIOD),
            meaning=f"The {name} API answers 5xx",
            anchor="server-errors",
        )

    def watch_outcomes(self) -> None:
        """What the functions themselves count."""
        self._raise(
            "events-quarantined",
            self.outcome("EventsQuarantined"),
            above=self._environment.quarantined_events_max,
            meaning=f"More than {self._environment.quarantined_events_max} events were refused in five minutes",
            anchor="events-quarantined",
        )
        self._raise(
            "profile-caps",
            self.outcome("ProfileCapsReached"),
            meaning="A profile has reached the size that none of an ordinary person has",
            anchor="profile-caps",
        )
        self._raise(
            "defects", self.outcome("Defects"), meaning="Code met a case that it does not know", anchor="defects"
        )

    def outcome(self, metric_name: str) -> cloudwatch.MathExpression:
        """Return the sum over all functions of a metric of our own.

        The schema names its dimensions exactly: a metric is also written per source, and would be counted twice.
        """
        environment = self._environment.name
        scope = f"FROM SCHEMA(\"{METRICS_NAMESPACE}\", environment, service) WHERE environment = '{environment}'"
        return cloudwatch.MathExpression(
            expression=f"SELECT SUM({metric_name}) {scope}", label=metric_name, period=PERIOD
        )

    def _raise(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        meaning: str,
        anchor: str,
        above: float = 0,
        breaches: int = 1,
    ) -> None:
        """Alarm when `metric` is above `above` in `breaches` of the last three periods; no data means no trouble."""
        alarm = cloudwatch.Alarm(
            self,
            "".join(word.capitalize() for word in name.replace("_", "-").split("-")),
            metric=metric,
            alarm_description=f"{meaning}. What to do: {RUNBOOK}#{anchor}",
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=3 if breaches > 1 else 1,
            datapoints_to_alarm=breaches,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(SnsAction(self.topic))
        alarm.add_ok_action(SnsAction(self.topic))
