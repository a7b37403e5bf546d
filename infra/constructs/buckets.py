"""The buckets: the lake, the spool, and the access log of both."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation, removal_policy
from infra.constructs.function import OnefoldFunction
from infra.constructs.spark_job import SparkJob

ACCESS_LOG_KEEP_DAYS = 90
INCOMPLETE_UPLOAD_KEEP_DAYS = 7
RAW_ARCHIVE_AFTER_DAYS = 30
QUARANTINE_KEEP_DAYS = 180
QUERY_RESULT_KEEP_DAYS = 7
REBUILT_KEEP_DAYS = 30
FAILED_BATCH_KEEP_DAYS = 90
IMPORTED_FILE_KEEP_DAYS = 30
IMPORT_PART_KEEP_DAYS = 7

RAW_PREFIX = "raw/"
QUARANTINE_PREFIX = "quarantine/"
QUERY_RESULT_PREFIX = "athena-results/"
REPLAYS_PREFIX = "quarantine/replays/"  # marks of what was sent again
REBUILT_PREFIX = "rebuilt/"
SPOOL_PREFIX = "spool/"
IMPORT_PREFIX = "imports/"
IMPORT_INBOX_PREFIX = f"{IMPORT_PREFIX}inbox/"
IMPORT_SUMMARIES_PREFIX = f"{IMPORT_PREFIX}summaries/"
IMPORT_CLAIMS_PREFIX = f"{IMPORT_PREFIX}claims/"
IMPORT_PARTS_PREFIX = f"{IMPORT_PREFIX}parts/"
FAILED_BATCH_PREFIX = "aws/lambda/"  # chosen by Lambda for the batches that an event source gives up


class AccessLogBucket(Construct):
    """Where S3 writes who touched the other buckets."""

    def __init__(self, scope: Construct, construct_id: str, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,  # S3 can deliver its access logs under no customer key
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[s3.LifecycleRule(id="expire-access-logs", expiration=Duration.days(ACCESS_LOG_KEEP_DAYS))],
            removal_policy=removal_policy(foundation.environment, removable=removable),
        )
        # The account is named instead of the logged buckets, because the spool lives in a later stack.
        self.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AccessLogs",
                principals=[iam.ServicePrincipal("logging.s3.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[self.bucket.arn_for_objects("*")],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        acknowledge(self.bucket, "AwsSolutions-S1", "It is the access log itself; logging it would log the logging.")


class OnefoldBucket(Construct):
    """One bucket: the deployment's key, TLS only, never public, access logged."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        access_log: AccessLogBucket,
        *,
        removable: bool,
        lifecycle_rules: list[s3.LifecycleRule],
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = foundation.key
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=foundation.key.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                *lifecycle_rules,
                s3.LifecycleRule(
                    id="abort-incomplete-uploads",
                    abort_incomplete_multipart_upload_after=Duration.days(INCOMPLETE_UPLOAD_KEEP_DAYS),
                ),
            ],
            removal_policy=removal_policy(foundation.environment, removable=removable),
        )
        # Not `server_access_logs_bucket`: it would write this bucket's ARN into the log bucket's policy, a cycle.
        self._resource.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=access_log.bucket.bucket_name, log_file_prefix=f"{construct_id.lower()}/"
        )

    @property
    def name(self) -> str:
        return self.bucket.bucket_name

    @property
    def _resource(self) -> s3.CfnBucket:
        resource = self.bucket.node.default_child
        if not isinstance(resource, s3.CfnBucket):
            raise TypeError("a bucket's default child is a CfnBucket")
        return resource

    def _grant(self, function: OnefoldFunction | SparkJob, actions: list[str], prefix: str, *, reason: str) -> None:
        """Allow `actions` below `prefix`; `reason` says why no narrower resource can be named."""
        function.role.add_to_principal_policy(
            iam.PolicyStatement(actions=actions, resources=[self.bucket.arn_for_objects(f"{prefix}*")])
        )
        acknowledge(function.role, f"AwsSolutions-IAM5[Resource::{self._arn_seen_by(function)}/{prefix}*]", reason)

    def _arn_seen_by(self, function: OnefoldFunction | SparkJob) -> str:
        """Return the bucket's ARN in the words of cdk-nag, which knows it in another stack by its export's name."""
        owner = Stack.of(self)
        if Stack.of(function) == owner:
            return f"<{owner.get_logical_id(self._resource)}.Arn>"
        exported = owner.resolve(owner.export_value(self.bucket.bucket_arn))
        return str(exported["Fn::ImportValue"])


class LakeBucket(OnefoldBucket):
    """Raw events and quarantine as Parquet, and Athena's results."""

    def __init__(
        self,
        scope: Construct,
        foundation: Foundation,
        access_log: AccessLogBucket,
        *,
        removable: bool,
    ) -> None:
        super().__init__(
            scope,
            "Lake",
            foundation,
            access_log,
            removable=removable,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="archive-raw-events",
                    prefix=RAW_PREFIX,
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INTELLIGENT_TIERING,
                            transition_after=Duration.days(RAW_ARCHIVE_AFTER_DAYS),
                        )
                    ],
                ),
                s3.LifecycleRule(
                    id="expire-quarantine",
                    prefix=QUARANTINE_PREFIX,
                    expiration=Duration.days(QUARANTINE_KEEP_DAYS),
                ),
                s3.LifecycleRule(
                    id="expire-query-results",
                    prefix=QUERY_RESULT_PREFIX,
                    expiration=Duration.days(QUERY_RESULT_KEEP_DAYS),
                ),
                s3.LifecycleRule(
                    id="expire-rebuilt-profiles",
                    prefix=REBUILT_PREFIX,
                    expiration=Duration.days(REBUILT_KEEP_DAYS),
                ),
            ],
        )

    def grant_archive(self, function: OnefoldFunction) -> None:
        """Write raw events and what was refused among them; the name repeats with the batch."""
        self._grant(function, ["s3:PutObject"], RAW_PREFIX, reason="An object is named by its batch's place and time.")
        self._grant(function, ["s3:PutObject"], QUARANTINE_PREFIX, reason="A refused event is kept under its day.")
        self.key.grant_write(function, through="s3")

    def grant_quarantine(self, function: OnefoldFunction) -> None:
        """Keep what was refused."""
        self._grant(function, ["s3:PutObject"], QUARANTINE_PREFIX, reason="A refused event is kept under its day.")
        self.key.grant_write(function, through="s3")

    def grant_query(self, function: OnefoldFunction, *prefixes: str) -> None:
        """Let Athena read these folders in the function's name and leave its answers; it asks where the bucket is."""
        for prefix in prefixes:
            self._grant(function, ["s3:GetObject"], prefix, reason="A question reads whichever files hold its days.")
        writing = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
        self._grant(function, writing, QUERY_RESULT_PREFIX, reason="Athena names its answers itself.")
        function.role.add_to_principal_policy(
            iam.PolicyStatement(actions=["s3:GetBucketLocation", "s3:ListBucket"], resources=[self.bucket.bucket_arn])
        )
        self.key.grant_write(function, through="s3")

    def grant_mark(self, function: OnefoldFunction) -> None:
        """Mark refused messages that are sent again."""
        self._grant(function, ["s3:PutObject"], REPLAYS_PREFIX, reason="A mark is named by its message's digest.")
        self.key.grant_write(function, through="s3")

    def grant_rebuild(self, job: SparkJob) -> None:
        """Read all raw events; write what they become, and replace what an earlier run wrote."""
        self._grant(job, ["s3:GetObject"], RAW_PREFIX, reason="A rebuild reads the whole history.")
        actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        self._grant(job, actions, REBUILT_PREFIX, reason="Spark names the parts of what it writes.")
        job.role.add_to_principal_policy(
            iam.PolicyStatement(actions=["s3:ListBucket", "s3:GetBucketLocation"], resources=[self.bucket.bucket_arn])
        )
        self.key.grant_write(job, through="s3")


class SpoolBucket(OnefoldBucket):
    """What waits: events that the stream would not take, files to import, and batches that a consumer gave up."""

    def __init__(
        self,
        scope: Construct,
        foundation: Foundation,
        access_log: AccessLogBucket,
        *,
        removable: bool,
    ) -> None:
        super().__init__(
            scope,
            "Spool",
            foundation,
            access_log,
            removable=removable,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="expire-failed-batches",
                    prefix=FAILED_BATCH_PREFIX,
                    expiration=Duration.days(FAILED_BATCH_KEEP_DAYS),
                ),
                # Files hold people's data, and what became of them is on the stream and in the quarantine.
                s3.LifecycleRule(
                    id="expire-imported-files",
                    prefix=IMPORT_INBOX_PREFIX,
                    expiration=Duration.days(IMPORTED_FILE_KEEP_DAYS),
                ),
                s3.LifecycleRule(
                    id="expire-parts-of-imports",
                    prefix=IMPORT_PARTS_PREFIX,
                    expiration=Duration.days(IMPORT_PART_KEEP_DAYS),
                ),
            ],
        )
        # Not `event_bridge_enabled`: it would add a custom resource with a function of its own for this one property.
        self._resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )

    def grant_append(self, function: OnefoldFunction) -> None:
        """Keep events that the stream would not take."""
        self._grant(function, ["s3:PutObject"], SPOOL_PREFIX, reason="Each spooled batch gets a name of its own.")
        self.key.grant_write(function, through="s3")

    def grant_drain(self, function: OnefoldFunction) -> None:
        """Read spooled events, remove them once they are on the stream."""
        actions = ["s3:GetObject", "s3:DeleteObject"]
        self._grant(function, actions, SPOOL_PREFIX, reason="The batches to drain have names of their own.")
        self.key.grant_read(function, through="s3")

    def grant_import(self, function: OnefoldFunction) -> None:
        """Read dropped files; keep what becomes of them, whose contents are through, and rows on the way.

        ListBucket makes S3 answer that an object is not there, which a first import has to hear.
        """
        self._grant(function, ["s3:GetObject"], IMPORT_INBOX_PREFIX, reason="Whoever drops a file names it.")
        own = ["s3:GetObject", "s3:PutObject"]
        self._grant(function, own, IMPORT_SUMMARIES_PREFIX, reason="A summary has the name of its file.")
        passing = [*own, "s3:DeleteObject"]
        self._grant(function, passing, IMPORT_CLAIMS_PREFIX, reason="Contents are named by their digest.")
        self._grant(function, passing, IMPORT_PARTS_PREFIX, reason="Parts are named by their file's digest.")
        function.role.add_to_principal_policy(
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.bucket.bucket_arn])
        )
        self.key.grant_write(function, through="s3")

    def grant_set_aside(self, function: OnefoldFunction) -> None:
        """Keep batches that an event source gave up; Lambda asks for ListBucket when the mapping is made."""
        self._grant(function, ["s3:PutObject"], FAILED_BATCH_PREFIX, reason="Lambda itself names what it gives up.")
        function.role.add_to_principal_policy(
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.bucket.bucket_arn])
        )
        self.key.grant_write(function, through="s3")
