"""Small stacks for tests of the running half of the local runtime, written as `cdk synth` would."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from infra.local.runtime import LocalRuntime

Resources = dict[str, dict[str, Any]]

POLLING = (
    *(f"kinesis:{operation}" for operation in ("DescribeStream", "GetRecords", "GetShardIterator", "ListShards")),
    *(f"dynamodb:{operation}" for operation in ("DescribeStream", "GetRecords", "GetShardIterator")),
    *(f"sqs:{operation}" for operation in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")),
)


def resource(type_: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{type_}", "Properties": properties}


def arn(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def ref(logical_id: str) -> dict[str, str]:
    return {"Ref": logical_id}


def function(name: str, *actions: str, environment: Mapping[str, Any] | None = None, **properties: Any) -> Resources:
    """A function, a role that may do `actions` and poll event sources, and the services that may invoke it."""
    statement = {"Effect": "Allow", "Action": [*actions, *POLLING], "Resource": "*"}
    policy = {"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    resources = {
        f"{name}Role": resource("IAM::Role", AssumeRolePolicyDocument={"Statement": []}, Policies=[policy]),
        name: resource(
            "Lambda::Function",
            FunctionName=name,
            Handler="handler.handle",
            Runtime="python3.14",
            Code={"S3Bucket": "assets", "S3Key": f"{name}.zip"},
            Role=arn(f"{name}Role"),
            Environment={"Variables": dict(environment or {})},
            **properties,
        ),
    }
    for service in ("apigateway", "events", "s3"):
        resources[f"{name}{service}"] = resource(
            "Lambda::Permission",
            Action="lambda:InvokeFunction",
            FunctionName=arn(name),
            Principal=f"{service}.amazonaws.com",
        )
    return resources


def mapping(name: str, source: Any, **properties: Any) -> Resources:
    settings = {"FunctionName": ref(name), "EventSourceArn": source, **properties}
    return {f"{name}Mapping": resource("Lambda::EventSourceMapping", **settings)}


def http_api(name: str, routes: Mapping[str, str], *, scopes: list[str] | None = None, **properties: Any) -> Resources:
    """An API `name` with `routes` (route key -> function); with `scopes` all of them want a token."""
    api: Resources = {
        name: resource("ApiGatewayV2::Api", Name=name, ProtocolType="HTTP", **properties),
        f"{name}Stage": resource("ApiGatewayV2::Stage", ApiId=ref(name), StageName="$default", AutoDeploy=True),
    }
    authorization: dict[str, Any] = {}
    if scopes is not None:
        api |= {
            "Pool": resource("Cognito::UserPool", UserPoolName="pool"),
            "Client": resource("Cognito::UserPoolClient", UserPoolId=ref("Pool"), ClientName="client"),
            f"{name}Jwt": resource(
                "ApiGatewayV2::Authorizer",
                ApiId=ref(name),
                Name="jwt",
                AuthorizerType="JWT",
                IdentitySource=["$request.header.Authorization"],
                JwtConfiguration={
                    "Audience": [ref("Client")],
                    "Issuer": {"Fn::Sub": "https://cognito-idp.${AWS::Region}.amazonaws.com/${Pool}"},
                },
            ),
        }
        authorization = {"AuthorizationType": "JWT", "AuthorizerId": ref(f"{name}Jwt"), "AuthorizationScopes": scopes}
    for number, (key, target) in enumerate(routes.items()):
        api[f"{name}Integration{number}"] = resource(
            "ApiGatewayV2::Integration",
            ApiId=ref(name),
            IntegrationType="AWS_PROXY",
            IntegrationUri=arn(target),
            PayloadFormatVersion="2.0",
        )
        api[f"{name}Route{number}"] = resource(
            "ApiGatewayV2::Route",
            ApiId=ref(name),
            RouteKey=key,
            Target={"Fn::Join": ["/", ["integrations", ref(f"{name}Integration{number}")]]},
            **authorization,
        )
    return api


def runtime_of(folder: Path, resources: Resources, sources: Mapping[str, str], **options: Any) -> LocalRuntime:
    """A runtime of one stack; `sources` are the modules of the handlers by function."""
    files = {}
    for name, source in sources.items():
        (folder / f"asset.{name}").mkdir(exist_ok=True)
        (folder / f"asset.{name}" / "handler.py").write_text(dedent(source))
        place = {"bucketName": "assets", "objectKey": f"{name}.zip"}
        files[name] = {"source": {"path": f"asset.{name}"}, "destinations": {"here": place}}
    artifact = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://123456789012/eu-central-1",
        "properties": {"templateFile": "Test.template.json"},
    }
    documents = {
        "manifest.json": {"version": "1", "artifacts": {"Test": artifact}},
        "Test.template.json": {"Resources": resources},
        "Test.assets.json": {"version": "1", "files": files},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    return LocalRuntime(folder, **{"time_scale": 0.001, **options})


def lines(runtime: LocalRuntime, name: str) -> list[Any]:
    """What a function printed, each line parsed as JSON."""
    return [json.loads(line) for line in list(runtime.logs[name]) if not line.startswith("[ERROR]")]
