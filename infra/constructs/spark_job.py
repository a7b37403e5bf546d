"""A Glue job: Spark over the whole history, started by hand, with a role of its own."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.bundling import BUILD, REPOSITORY, locked_version, package_folder
from infra.constructs.acknowledgement import acknowledge
from infra.constructs.foundation import Foundation

GLUE_VERSION = "5.1"  # Spark 3.5.6, Python 3.11: what the tests run
WORKER_TYPE = "G.1X"
WORKERS_MAX = 10  # with automatic scaling as few as are busy
TIMEOUT_MIN = 480
MODULES = ("msgspec", "orjson", "zstandard")  # what the job imports beyond what Glue has
LOG_GROUPS = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:/aws-glue/jobs/*"


class SparkJob(Construct):
    """`glue_jobs/<name>/job.py` with the package onefold beside it; runs when somebody starts it."""

    def __init__(
        self, scope: Construct, name: str, foundation: Foundation, *, description: str, arguments: Mapping[str, str]
    ) -> None:
        super().__init__(scope, "".join(word.capitalize() for word in name.split("_")))
        self.name = f"onefold-{foundation.environment.name}-{name.replace('_', '-')}"
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("glue.amazonaws.com"),
            description=f"onefold: what the job {name} may do",
        )
        script = assets.Asset(self, "Script", path=str(REPOSITORY / "glue_jobs" / name / "job.py"))
        package = assets.Asset(self, "Package", path=str(job_package()))
        security = self._security(foundation)
        job = glue.CfnJob(
            self,
            "Job",
            name=self.name,
            description=description,
            role=self.role.role_arn,
            command=glue.CfnJob.JobCommandProperty(
                name="glueetl", python_version="3", script_location=script.s3_object_url
            ),
            glue_version=GLUE_VERSION,
            worker_type=WORKER_TYPE,
            number_of_workers=WORKERS_MAX,
            timeout=TIMEOUT_MIN,
            max_retries=0,
            execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
            security_configuration=self.name,
            default_arguments={
                "--extra-py-files": package.s3_object_url,
                "--additional-python-modules": ",".join(f"{each}=={locked_version(each)}" for each in MODULES),
                "--conf": "spark.sql.session.timeZone=UTC",
                "--enable-auto-scaling": "true",
                "--enable-continuous-cloudwatch-log": "true",
                "--job-bookmark-option": "job-bookmark-disable",
                **arguments,
            },
        )
        job.add_resource_dependency(security)
        self._grant_running(script, package)

    def _security(self, foundation: Foundation) -> glue.CfnSecurityConfiguration:
        """Encrypt under the deployment's key whatever the job writes, its logs and bookmarks too."""
        return glue.CfnSecurityConfiguration(
            self,
            "Security",
            name=self.name,
            encryption_configuration=glue.CfnSecurityConfiguration.EncryptionConfigurationProperty(
                cloud_watch_encryption=glue.CfnSecurityConfiguration.CloudWatchEncryptionProperty(
                    cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=foundation.key.arn
                ),
                job_bookmarks_encryption=glue.CfnSecurityConfiguration.JobBookmarksEncryptionProperty(
                    job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=foundation.key.arn
                ),
                s3_encryptions=[
                    glue.CfnSecurityConfiguration.S3EncryptionProperty(
                        s3_encryption_mode="SSE-KMS", kms_key_arn=foundation.key.arn
                    )
                ],
            ),
        )

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """Let the job stand wherever a grantee is asked for."""
        return self.role.grant_principal

    def _grant_running(self, *code: assets.Asset) -> None:
        """Fetch its code, write its log; Glue makes the log groups under the key, hence AssociateKmsKey."""
        self.role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject"],
                resources=[each.bucket.arn_for_objects(each.s3_object_key) for each in code],
            )
        )
        self.role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"],
                resources=[LOG_GROUPS],
            )
        )
        acknowledge(
            self.role,
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:"
            "log-group:/aws-glue/jobs/*]",
            "Glue names its log groups after the security configuration and the role.",
        )


def job_package() -> Path:
    """Return a folder with the packages `onefold` and `glue_jobs`, as Spark's Python finds them in a zip.

    Its name is a hash of what it holds, so that one build does not pull it from under another.
    """
    sources = {"onefold": package_folder() / "python" / "onefold", "glue_jobs": REPOSITORY / "glue_jobs"}
    files = {
        f"{name}/{path.relative_to(source).as_posix()}": path
        for name, source in sources.items()
        for path in sorted(source.rglob("*.py"))
    }
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    folder = BUILD / "jobs" / digest.hexdigest()[:16]
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, path in files.items():
        (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, unfinished / name)
    if not folder.is_dir():
        unfinished.rename(folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return folder
