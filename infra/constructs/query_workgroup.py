"""Where questions to the lake are asked: Athena with a limit, and queries to begin with."""

from collections.abc import Sequence

from aws_cdk import Aws, Stack
from aws_cdk import aws_athena as athena
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.buckets import QUERY_RESULT_PREFIX, LakeBucket
from infra.constructs.foundation import Foundation
from infra.constructs.lake_catalog import QUERIES, LakeCatalog

NAMED_QUERIES = {
    "sales_by_month_and_country": "Orders, units, gross, refunds and net revenue per month and country",
    "events_per_day": "How many events of which kind came from which source",
    "audience_ready_customers": "Customers who bought, may be marketed to and can be reached by e-mail",
    "quarantine_by_reason": "What was refused, why and since when",
}


class QueryWorkgroup(Construct):
    """Enforced settings: results encrypted in the lake, and no query may read more than the environment allows."""

    def __init__(
        self, scope: Construct, construct_id: str, foundation: Foundation, lake: LakeBucket, catalog: LakeCatalog
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = f"onefold_{foundation.environment.name}"
        self._database_name = catalog.database_name
        self.workgroup = athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=self.name,
            description="onefold: questions to the lake",
            recursive_delete_option=foundation.environment.data_is_disposable,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=foundation.environment.query_scan_bytes_max,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{lake.name}/{QUERY_RESULT_PREFIX}",
                    expected_bucket_owner=Aws.ACCOUNT_ID,
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=foundation.key.arn
                    ),
                ),
            ),
        )
        for name, description in NAMED_QUERIES.items():
            query = athena.CfnNamedQuery(
                self,
                "".join(word.capitalize() for word in name.split("_")),
                name=name,
                description=description,
                database=catalog.database_name,
                query_string=(QUERIES / "named" / f"{name}.sql").read_text(encoding="utf-8"),
                work_group=self.name,
            )
            query.add_resource_dependency(self.workgroup)
            query.add_resource_dependency(catalog.database)

    def grant_ask(self, grantee: iam.IGrantable, *, tables: Sequence[str]) -> None:
        """Ask about these tables; what of the lake may be read is granted by its bucket."""
        stack = Stack.of(self)
        workgroup = stack.format_arn(service="athena", resource="workgroup", resource_name=self.name)
        actions = ("GetQueryExecution", "GetQueryResults", "StartQueryExecution", "StopQueryExecution")
        self._allow(grantee, [f"athena:{action}" for action in actions], [workgroup])
        catalog = [
            stack.format_arn(service="glue", resource="catalog"),
            stack.format_arn(service="glue", resource="database", resource_name=self._database_name),
        ]
        self._allow(grantee, ["glue:GetDatabase"], catalog)
        named = [
            stack.format_arn(service="glue", resource="table", resource_name=f"{self._database_name}/{table}")
            for table in tables
        ]
        self._allow(grantee, ["glue:GetTable"], [*catalog, *named])

    @staticmethod
    def _allow(grantee: iam.IGrantable, actions: Sequence[str], resources: Sequence[str]) -> None:
        grantee.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=list(actions), resources=list(resources))
        )
