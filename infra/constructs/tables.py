"""The seven tables, each with its permissions as verbs."""

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.foundation import Foundation, removal_policy


class OnefoldTable(Construct):
    """One table: on demand, point-in-time recovery, the deployment's key, protected unless both keys are turned."""

    def __init__(  # noqa: PLR0913 - scope and id, which every construct has, leave room for too few
        self,
        scope: Construct,
        construct_id: str,
        foundation: Foundation,
        *,
        removable: bool,
        partition_key: str,
        sort_key: str | None = None,
        expiry_attribute: str | None = None,
        stream: dynamodb.StreamViewType | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = foundation.key
        policy = removal_policy(foundation.environment, removable=removable)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=_string_attribute(partition_key),
            sort_key=_string_attribute(sort_key) if sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=foundation.key.key,
            time_to_live_attribute=expiry_attribute,
            stream=stream,
            removal_policy=policy,
            deletion_protection=not (removable and foundation.environment.data_is_disposable),
        )

    @property
    def name(self) -> str:
        return self.table.table_name

    @property
    def stream_arn(self) -> str:
        """ARN of the table's change stream; only tables made with `stream` have one."""
        if self.table.table_stream_arn is None:
            raise ValueError(f"table {self.node.path} has no change stream")
        return self.table.table_stream_arn

    def grant_stream_read(self, grantee: iam.IGrantable) -> None:
        """Follow the table's changes."""
        self._grant(
            grantee,
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
            resource=self.stream_arn,
        )
        self._key.grant_read(grantee, through="dynamodb")

    def _grant_reading(self, grantee: iam.IGrantable, *actions: str) -> None:
        self._grant(grantee, *actions, resource=self.table.table_arn)
        self._key.grant_read(grantee, through="dynamodb")

    def _grant_writing(self, grantee: iam.IGrantable, *actions: str) -> None:
        self._grant(grantee, *actions, resource=self.table.table_arn)
        self._key.grant_write(grantee, through="dynamodb")

    @staticmethod
    def _grant(grantee: iam.IGrantable, *actions: str, resource: str) -> None:
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=list(actions), resources=[resource])
        )


class FragmentsTable(OnefoldTable):
    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(
            scope,
            "Fragments",
            foundation,
            removable=removable,
            partition_key="fragment_key",
            stream=dynamodb.StreamViewType.KEYS_ONLY,
        )

    def grant_fold(self, grantee: iam.IGrantable) -> None:
        """Load a batch's fragments, insert or update each one conditionally in a batch of statements."""
        self._grant_writing(grantee, "dynamodb:BatchGetItem", "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate")

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Load the fragments of a profile."""
        self._grant_reading(grantee, "dynamodb:BatchGetItem")


class IdentitiesTable(OnefoldTable):
    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(scope, "Identities", foundation, removable=removable, partition_key="identifier_key")

    def grant_link(self, grantee: iam.IGrantable) -> None:
        """Resolve identifiers, claim new ones inside a transaction, and see to it that others are still nobody's."""
        self._grant_writing(grantee, "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem")

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Resolve identifiers."""
        self._grant_reading(grantee, "dynamodb:BatchGetItem")


class HeadsTable(OnefoldTable):
    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(
            scope,
            "Heads",
            foundation,
            removable=removable,
            partition_key="profile_id",
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
        )

    def grant_link(self, grantee: iam.IGrantable) -> None:
        """Load heads, replace or redirect them inside a transaction that also checks untouched ones."""
        self._grant_writing(grantee, "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:ConditionCheckItem")

    def grant_evaluate(self, grantee: iam.IGrantable) -> None:
        """Load heads, replace one when a membership changed, shorten redirects together with the head they lead to."""
        self._grant_writing(grantee, "dynamodb:BatchGetItem", "dynamodb:PutItem")

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Load heads, following redirects."""
        self._grant_reading(grantee, "dynamodb:BatchGetItem")


class TimelineTable(OnefoldTable):
    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(
            scope,
            "Timeline",
            foundation,
            removable=removable,
            partition_key="fragment_key",
            sort_key="sequence",
            expiry_attribute="expires_at",
        )

    def grant_append(self, grantee: iam.IGrantable) -> None:
        """Put a batch's items; the key is a function of the batch, so a repeat overwrites itself."""
        self._grant_writing(grantee, "dynamodb:BatchWriteItem")

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Page through one fragment's events."""
        self._grant_reading(grantee, "dynamodb:Query")


class SuppressionsTable(OnefoldTable):
    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(scope, "Suppressions", foundation, removable=removable, partition_key="identifier_key")


class DecisionsTable(OnefoldTable):
    """What was decided about identities; an audit, so nothing of it expires."""

    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(
            scope,
            "Decisions",
            foundation,
            removable=removable,
            partition_key="scope",
            sort_key="place",
        )

    def grant_decide(self, grantee: iam.IGrantable) -> None:
        """Look decisions up, and add new ones inside a transaction; a condition keeps each from being overwritten."""
        self._grant_writing(grantee, "dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem")

    def grant_replay(self, grantee: iam.IGrantable) -> None:
        """Page through all decisions."""
        self._grant_reading(grantee, "dynamodb:Query")


class DefinitionsTable(OnefoldTable):
    def __init__(self, scope: Construct, foundation: Foundation, *, removable: bool) -> None:
        super().__init__(
            scope,
            "Definitions",
            foundation,
            removable=removable,
            partition_key="scope",
            sort_key="name",
        )

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Load the current definitions."""
        self._grant_reading(grantee, "dynamodb:Query")


def _string_attribute(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
