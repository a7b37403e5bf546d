"""The Glue jobs: what they run, what they may do, and that their code is there."""

import ast
import json
import subprocess
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

from infra.bundling import REPOSITORY, locked_version
from infra.constructs.spark_job import MODULES, job_package
from tests.infra.assembly import Assembly, listed

# Comes with Glue, or with Python.
PRESENT = {"boto3", "botocore", "pandas", "pyarrow", "pyspark", *sys.stdlib_module_names}
OURS = {"onefold", "glue_jobs"}

EXPECTED = {
    "LakeBucket/raw/*": {"s3:GetObject"},
    "LakeBucket/rebuilt/*": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"},
    "LakeBucket": {"s3:ListBucket", "s3:GetBucketLocation"},
    "Key via s3": {"kms:Decrypt", "kms:GenerateDataKey"},
    "Key via dynamodb": {"kms:Decrypt"},
    "DefinitionsTable": {"dynamodb:Query"},
    "DecisionsTable": {"dynamodb:Query"},
    "log groups": {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"},
    "its code": {"s3:GetObject"},
}


def test_the_job_may_do_exactly_what_the_table_says(prod: Assembly) -> None:
    (job,) = prod.resources("AWS::Glue::Job")
    role = job.properties["Role"]["Fn::GetAtt"][0]
    (policy,) = (each for each in prod.resources("AWS::IAM::Policy") if {"Ref": role} in each.properties["Roles"])

    actions: defaultdict[str, set[str]] = defaultdict(set)
    for statement in policy.properties["PolicyDocument"]["Statement"]:
        via = statement.get("Condition", {}).get("StringEquals", {}).get("kms:ViaService")
        for resource in listed(statement["Resource"]):
            actions[_place(prod, resource) + (f" via {prod.readable(via).split('.')[0]}" if via else "")] |= set(
                listed(statement["Action"])
            )

    assert dict(actions) == EXPECTED


def _place(prod: Assembly, resource: object) -> str:
    text = json.dumps(resource)
    if "/aws-glue/jobs/*" in text:
        return "log groups"
    return "its code" if "cdk-" in text else prod.readable(resource)


def test_only_glue_can_be_the_job(prod: Assembly) -> None:
    (role,) = (each for each in prod.resources("AWS::IAM::Role") if "job" in each.properties["Description"])

    (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "glue.amazonaws.com"}
    assert not {"ManagedPolicyArns", "Policies"} & set(role.properties)


def test_the_job_reads_the_raw_zone_under_the_deployments_key(prod: Assembly) -> None:
    (job,) = prod.resources("AWS::Glue::Job")
    (security,) = prod.resources("AWS::Glue::SecurityConfiguration")
    arguments = job.properties["DefaultArguments"]

    assert (job.properties["Name"], job.properties["GlueVersion"]) == ("onefold-prod-rebuild-profiles", "5.1")
    assert prod.readable(arguments["--source"]) == "s3://LakeBucket/raw/"
    assert prod.readable(arguments["--target"]) == "s3://LakeBucket/rebuilt/profiles"
    assert job.properties["SecurityConfiguration"] == security.properties["Name"]
    encryption = security.properties["EncryptionConfiguration"]
    keys = [encryption["CloudWatchEncryption"], encryption["JobBookmarksEncryption"], *encryption["S3Encryptions"]]
    assert {prod.readable(each["KmsKeyArn"]) for each in keys} == {"Key"}


def test_what_the_job_imports_is_in_glue_in_its_package_or_among_its_modules(prod: Assembly) -> None:
    """Imported alone, in a process of its own, it brings in nothing else."""
    (job,) = prod.resources("AWS::Glue::Job")
    wanted = job.properties["DefaultArguments"]["--additional-python-modules"].split(",")
    assert wanted == [f"{name}=={locked_version(name)}" for name in MODULES]
    imported = _imports_of("glue_jobs.rebuild_profiles.job") | _imports_of("glue_jobs.rebuild_profiles.transform")

    assert imported - PRESENT - OURS == set(MODULES)


def _imports_of(module: str) -> set[str]:
    """The packages that a module needs, with all of ours that it imports, by their sources."""
    roots = [REPOSITORY, REPOSITORY / "layers" / "onefold" / "python"]
    waiting, seen, found = [module], set(), set()
    while waiting:
        name = waiting.pop()
        paths = [root.joinpath(*name.split(".")).with_suffix(".py") for root in roots]
        path = next((each for each in paths if each.is_file()), None)
        if name in seen or path is None:
            continue
        seen.add(name)
        names = [each for each in _imported(path) if not each.startswith("mypy_boto3")]
        found |= {each.split(".")[0] for each in names}
        waiting += [each for each in names if each.split(".")[0] in OURS]
    return found


def _imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def test_the_package_holds_what_the_job_imports() -> None:
    folder = job_package()

    assert job_package() == folder
    program = (
        "import onefold.use_cases.rebuild, onefold.adapters.lake_rows, onefold, glue_jobs; print(onefold.__path__)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    assert str(folder) in outcome.stdout
    assert not list(folder.rglob("__pycache__/*.py"))


def test_the_assets_are_a_script_and_a_folder_with_both_packages(prod: Assembly) -> None:
    (assets,) = (json.loads(path.read_text()) for path in prod.folder.glob("*Analytics.assets.json"))
    sources = [prod.folder / each["source"]["path"] for each in assets["files"].values()]

    assert any(path.is_file() and "def run(" in path.read_text() for path in sources if path.suffix == ".py")
    assert any({each.name for each in path.iterdir()} == OURS for path in sources if path.is_dir())
    assert not any(zipfile.is_zipfile(path) for path in sources if isinstance(path, Path) and path.is_file())
