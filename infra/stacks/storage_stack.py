"""What outlives every deployment: the key, the tables, the lake and the deployment's secret."""

from aws_cdk import Environment as CdkEnvironment
from aws_cdk import Stack
from constructs import Construct

from infra.constructs.buckets import AccessLogBucket, LakeBucket
from infra.constructs.foundation import Foundation, removal_policy
from infra.constructs.key import DeploymentKey
from infra.constructs.secret import DeploymentSecret
from infra.constructs.tables import (
    DecisionsTable,
    DefinitionsTable,
    FragmentsTable,
    HeadsTable,
    IdentitiesTable,
    OnefoldTable,
    SuppressionsTable,
    TimelineTable,
)
from infra.environments import Environment


class StorageStack(Stack):
    """Holds people's data, apart from what can be deployed again at will."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        environment: Environment,
        *,
        bundle: bool,
        removable: bool,
        env: CdkEnvironment,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            description="onefold: tables, lake, key and secret",
            termination_protection=not environment.data_is_disposable,
        )
        key = DeploymentKey(self, "Key", removal_policy=removal_policy(environment, removable=removable))
        self.foundation = foundation = Foundation(environment=environment, key=key, bundle=bundle)
        self.fragments = FragmentsTable(self, foundation, removable=removable)
        self.identities = IdentitiesTable(self, foundation, removable=removable)
        self.heads = HeadsTable(self, foundation, removable=removable)
        self.timeline = TimelineTable(self, foundation, removable=removable)
        self.suppressions = SuppressionsTable(self, foundation, removable=removable)
        self.decisions = DecisionsTable(self, foundation, removable=removable)
        self.definitions = DefinitionsTable(self, foundation, removable=removable)
        self.access_log = AccessLogBucket(self, "AccessLog", foundation, removable=removable)
        self.lake = LakeBucket(self, foundation, self.access_log, removable=removable)
        self.secret = DeploymentSecret(self, "DeploymentSecret", foundation, removable=removable)

    @property
    def table_by_name(self) -> dict[str, OnefoldTable]:
        return {
            "fragments": self.fragments,
            "identities": self.identities,
            "heads": self.heads,
            "timeline": self.timeline,
            "suppressions": self.suppressions,
            "decisions": self.decisions,
            "definitions": self.definitions,
        }
