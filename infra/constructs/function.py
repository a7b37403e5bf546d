"""The one way in which a function is made: what every function shares is decided here."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.bundling import NOT_SHIPPED, function_folder
from infra.constructs.acknowledgement import acknowledge, acknowledge_lint
from infra.constructs.foundation import Foundation
from infra.environments import Environment

RUNTIME = lambda_.Runtime.PYTHON_3_14
ARCHITECTURE = lambda_.Architecture.ARM_64
METRICS_NAMESPACE = "Onefold"


class OnefoldFunction(Construct):
    """One verb: Python on arm64 with tracing, an encrypted JSON log of limited age and a role of its own.

    The folder `functions/<verb>` is the asset, `handler.handle` the entry. The role starts with its log and traces;
    everything else is granted by the verbs of the resources' constructs.
    """

    def __init__(  # noqa: PLR0913 - scope and id, which every construct has, leave room for too few
        self,
        scope: Construct,
        verb: str,
        foundation: Foundation,
        *,
        description: str,
        layers: Sequence[lambda_.ILayerVersion],
        memory_mb: int,
        timeout: Duration,
        variables: Mapping[str, str],
    ) -> None:
        super().__init__(scope, "".join(word.capitalize() for word in verb.split("_")))
        self.verb = verb
        self.timeout = timeout
        environment = foundation.environment
        self.log_group = logs.LogGroup(
            self,
            "Log",
            retention=log_retention(environment.log_keep_days),
            encryption_key=foundation.key.key,
            removal_policy=RemovalPolicy.DESTROY,  # logs hold no person's data, and they expire anyway
        )
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"onefold: what {verb} may do",
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description=description,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler="handler.handle",
            code=lambda_.Code.from_asset(str(function_folder(verb)), exclude=NOT_SHIPPED, ignore_mode=IgnoreMode.GLOB),
            layers=list(layers),
            memory_size=memory_mb,
            timeout=timeout,
            role=self.role,
            tracing=lambda_.Tracing.ACTIVE,
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            environment={**_shared_variables(verb, environment), **variables},
        )
        acknowledge_lint(
            self.function, "W3005", "CDK orders the function after its role and its role's policy in one list."
        )
        self._grant_logging()

    @property
    def name(self) -> str:
        return self.function.function_name

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """Let the function stand wherever a grantee is asked for: `fragments.grant_fold(stitch)`."""
        return self.role.grant_principal

    def _grant_logging(self) -> None:
        self.role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[self.log_group.log_group_arn]
            )
        )
        acknowledge(
            self.role,
            "AwsSolutions-IAM5[Resource::*]",
            "X-Ray's PutTraceSegments and PutTelemetryRecords know no resource to be limited to.",
        )


def _shared_variables(verb: str, environment: Environment) -> dict[str, str]:
    return {
        "ENVIRONMENT": environment.name,
        "LOG_LEVEL": environment.log_level,
        "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
        "POWERTOOLS_SERVICE_NAME": verb,
    }


def log_retention(days: int) -> logs.RetentionDays:
    """Return CloudWatch's name of a number of days, or raise ValueError when it offers no such retention."""
    by_days = {
        7: logs.RetentionDays.ONE_WEEK,
        14: logs.RetentionDays.TWO_WEEKS,
        30: logs.RetentionDays.ONE_MONTH,
        90: logs.RetentionDays.THREE_MONTHS,
        365: logs.RetentionDays.ONE_YEAR,
    }
    if days not in by_days:
        raise ValueError(f"log_keep_days {days}: use one of {sorted(by_days)}")
    return by_days[days]
