"""How functions are fed: event-source mappings of streams and queues, with one policy for what fails."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.buckets import SpoolBucket
from infra.constructs.function import OnefoldFunction
from infra.constructs.work_queue import WorkQueue

RETRY_ATTEMPTS_MAX = 10
# Below what the source keeps, seven days and one, so that a batch is set aside before it is lost.
RECORD_AGE_MAX = Duration.days(6)
TABLE_RECORD_AGE_MAX = Duration.hours(20)
CONSUMER_ID = "Consumer"


class StreamConsumer(Construct):
    """Feeds a function from a stream's start, in order per partition key.

    A failing batch is halved until the record at fault is alone; a record that fails for good is set aside in the spool
    bucket. Made below its function, and only after the role may do all that Lambda checks when a mapping is made.
    """

    def __init__(  # noqa: PLR0913 - the settings of a mapping, each by its name
        self,
        function: OnefoldFunction,
        *,
        source_arn: str,
        set_aside: SpoolBucket,
        batch_records_max: int,
        window: Duration | None = None,
        parallelization: int = 1,
        record_age_max: Duration = RECORD_AGE_MAX,
        construct_id: str = CONSUMER_ID,
    ) -> None:
        super().__init__(function, construct_id)
        self.verb = function.verb
        set_aside.grant_set_aside(function)
        self.mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.name,
            event_source_arn=source_arn,
            starting_position="TRIM_HORIZON",
            batch_size=batch_records_max,
            maximum_batching_window_in_seconds=window.to_seconds() if window else None,
            parallelization_factor=parallelization,
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=RETRY_ATTEMPTS_MAX,
            maximum_record_age_in_seconds=record_age_max.to_seconds(),
            function_response_types=["ReportBatchItemFailures"],
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=set_aside.bucket.bucket_arn)
            ),
            metrics_config=lambda_.CfnEventSourceMapping.MetricsConfigProperty(metrics=["EventCount"]),
        )
        self.mapping.node.add_dependency(function.role)


class QueueConsumer(Construct):
    """Feeds a function from a queue; what fails comes back, and after some attempts goes to the dead letters."""

    def __init__(
        self, function: OnefoldFunction, queue: WorkQueue, *, batch_messages_max: int, concurrency_max: int
    ) -> None:
        super().__init__(function, CONSUMER_ID)
        queue.grant_consume(function)
        self.mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.name,
            event_source_arn=queue.arn,
            batch_size=batch_messages_max,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=concurrency_max),
        )
        self.mapping.node.add_dependency(function.role)
