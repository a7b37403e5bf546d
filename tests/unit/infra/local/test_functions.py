import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.functions import FunctionError
from infra.local.runtime import LocalRuntime
from tests.unit.infra.local.small_stacks import Resources, function, resource, runtime_of


def one(folder: Path, source: str, *actions: str, extra: Resources | None = None, **properties: Any) -> LocalRuntime:
    """A runtime of one function, `run`."""
    resources = {**function("run", *actions, **properties), **(extra or {})}
    return runtime_of(folder, resources, {"run": source})


def test_a_function_has_its_own_environment_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    source = """
import os
from os import environ
def handle(event, context):
    seen = "SECRET_OF_THE_SHELL" in environ
    return {**os.environ, "from": environ["TABLE"], "getenv": os.getenv("TABLE"), "seen": seen}
"""
    with one(tmp_path, source, environment={"TABLE": "fragments"}, MemorySize=512) as runtime:
        environment = runtime.invoker.invoke("run", {})

    assert environment["TABLE"] == environment["from"] == environment["getenv"] == "fragments"
    assert environment["seen"] is False
    assert "SECRET_OF_THE_SHELL" not in environment
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "run"
    assert environment["AWS_REGION"] == "eu-central-1"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"


def test_two_functions_share_no_module_state(tmp_path: Path) -> None:
    source = """
import os
import shop
from aws_lambda_powertools import Logger
logger = Logger()
def handle(event, context):
    shop.count += 1
    logger.info("done")
    return [shop.name, shop.count, logger.service]
"""
    resources = {
        **function("first", environment={"POWERTOOLS_SERVICE_NAME": "first"}),
        **function("second", environment={"POWERTOOLS_SERVICE_NAME": "second"}),
    }
    runtime = runtime_of(tmp_path, resources, {"first": source, "second": source})
    for name in ("first", "second"):
        (tmp_path / f"asset.{name}" / "shop.py").write_text(f"name = '{name}'\ncount = 0\n")
    with runtime:
        answers = [runtime.invoker.invoke(name, {}) for name in ("first", "second", "first")]

        assert answers == [["first", 1, "first"], ["second", 1, "second"], ["first", 2, "first"]]
        assert [len(runtime.logs[name]) for name in ("first", "second")] == [2, 1]
        assert '"service":"second"' in runtime.logs["second"][0]


def test_the_context_counts_down_and_names_the_function(tmp_path: Path) -> None:
    source = """
def handle(event, context):
    return [context.function_name, context.memory_limit_in_mb, context.invoked_function_arn,
            context.get_remaining_time_in_millis()]
"""
    with one(tmp_path, source, Timeout=7) as runtime:
        name, memory, function_arn, left_ms = runtime.invoker.invoke("run", {})

    assert (name, memory) == ("run", "128")
    assert function_arn == "arn:aws:lambda:eu-central-1:123456789012:function:run"
    assert 6000 < left_ms <= 7000


TABLE = {
    "Table": resource(
        "DynamoDB::Table",
        TableName="table",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
}
PUT = """
import boto3
def handle(event, context):
    boto3.client("dynamodb").put_item(TableName="table", Item={"id": {"S": "a"}})
"""


def test_a_call_that_the_role_allows_goes_through_and_is_counted(tmp_path: Path) -> None:
    with one(tmp_path, PUT, "dynamodb:PutItem", extra=TABLE) as runtime:
        seen: list[tuple[Any, ...]] = []
        runtime.on_call(lambda *call: seen.append(call[:3]))
        runtime.invoker.invoke("run", {})

        assert runtime.client("dynamodb").get_item(TableName="table", Key={"id": {"S": "a"}})["Item"]
        assert runtime.calls["run", "dynamodb", "PutItem"] == 1
        assert ("run", "dynamodb", "PutItem") in seen
        assert runtime.denied == []


def test_a_call_that_the_role_does_not_allow_is_refused(tmp_path: Path) -> None:
    with one(tmp_path, PUT, "dynamodb:GetItem", extra=TABLE) as runtime:
        with pytest.raises(FunctionError, match="AccessDeniedException"):
            runtime.invoker.invoke("run", {})

        assert runtime.denied == [("run", "dynamodb:PutItem", "arn:aws:dynamodb:eu-central-1:123456789012:table/table")]
        runtime.client("dynamodb").put_item(TableName="table", Item={"id": {"S": "b"}})


def test_a_thread_of_a_function_has_its_role(tmp_path: Path) -> None:
    source = """
import boto3
from concurrent.futures import ThreadPoolExecutor
def handle(event, context):
    with ThreadPoolExecutor(2) as pool:
        pool.submit(boto3.client("s3").list_buckets).result()
"""
    with one(tmp_path, source) as runtime:
        with pytest.raises(FunctionError, match="AccessDenied"):
            runtime.invoker.invoke("run", {})

        assert [(name, action) for name, action, _ in runtime.denied] == [("run", "s3:ListAllMyBuckets")]


def test_an_error_carries_lambdas_payload_and_is_logged(tmp_path: Path) -> None:
    with one(tmp_path, "def handle(event, context):\n    raise KeyError('x')\n") as runtime:
        with pytest.raises(FunctionError) as failure:
            runtime.invoker.invoke("run", {})

        assert failure.value.payload["errorType"] == "KeyError"
        assert "handler.py" in "".join(failure.value.payload["stackTrace"])
        assert runtime.logs["run"][0].startswith("[ERROR] KeyError")
        assert (runtime.statistics["run"].invocations, runtime.statistics["run"].errors) == (1, 1)


@pytest.mark.parametrize(
    ("source", "error_type"),
    [
        ("import nothing_like_it\n", "Runtime.ImportModuleError"),
        ("def handle(event, context):\n    return {1, 2}\n", "Runtime.MarshalError"),
        ("import sys\ndef handle(event, context):\n    sys.exit(3)\n", "Runtime.ExitError"),
    ],
)
def test_lambda_names_for_what_a_handler_cannot_do(tmp_path: Path, source: str, error_type: str) -> None:
    with one(tmp_path, source) as runtime, pytest.raises(FunctionError) as failure:
        runtime.invoker.invoke("run", {})

    assert failure.value.payload["errorType"] == error_type


def test_the_result_of_a_late_handler_is_thrown_away(tmp_path: Path) -> None:
    source = "import time\ndef handle(event, context):\n    time.sleep(1.1)\n    return 'late'\n"
    with one(tmp_path, source, Timeout=1) as runtime:
        with pytest.raises(FunctionError, match="timed out after 1 seconds"):
            runtime.invoker.invoke("run", {})

        assert runtime.statistics["run"].errors == 1
        assert any("Task timed out" in line for line in runtime.logs["run"])


def test_metrics_in_embedded_format_reach_cloudwatch(tmp_path: Path) -> None:
    source = """
from aws_lambda_powertools import Metrics
metrics = Metrics()
@metrics.log_metrics
def handle(event, context):
    print("a line")
    metrics.add_metric("EventsAccepted", unit="Count", value=event)
"""
    variables = {"POWERTOOLS_METRICS_NAMESPACE": "Shop", "POWERTOOLS_SERVICE_NAME": "run"}
    with one(tmp_path, source, environment=variables) as runtime:
        for value in (3, 4):
            runtime.invoker.invoke("run", value)
        assert runtime.drain(1)
        now = time.time()
        (point,) = runtime.client("cloudwatch").get_metric_statistics(
            Namespace="Shop",
            MetricName="EventsAccepted",
            Dimensions=[{"Name": "service", "Value": "run"}],
            StartTime=now - 60,
            EndTime=now + 60,
            Period=300,
            Statistics=["Sum", "SampleCount", "Maximum"],
        )["Datapoints"]

        assert (point["Sum"], point["SampleCount"], point["Maximum"]) == (7, 2, 4)
        assert list(runtime.logs["run"]) == ["a line", "a line"]


def test_code_that_is_not_a_folder_is_named(tmp_path: Path) -> None:
    runtime = one(tmp_path, "def handle(event, context):\n    pass\n")
    (tmp_path / "asset.run" / "handler.py").unlink()
    (tmp_path / "asset.run").rmdir()
    with zipfile.ZipFile(tmp_path / "asset.run", "w") as archive:
        archive.writestr("handler.py", "")
    with runtime, pytest.raises(FunctionError, match="the code of run is not a folder"):
        runtime.invoker.invoke("run", {})


def test_the_error_of_a_service_is_the_functions_to_catch(tmp_path: Path) -> None:
    source = """
import boto3
from botocore.exceptions import ClientError
def handle(event, context):
    try:
        boto3.resource("dynamodb").Table("table").put_item(Item={"id": "a"}, ConditionExpression="attribute_exists(id)")
    except ClientError as error:
        return error.response["Error"]["Code"]
"""
    with one(tmp_path, source, "dynamodb:PutItem", extra=TABLE) as runtime:
        assert runtime.invoker.invoke("run", {}) == "ConditionalCheckFailedException"
        with pytest.raises(ClientError):
            runtime.client("dynamodb").get_item(TableName="nothing", Key={"id": {"S": "a"}})
