from pathlib import Path
from typing import Any

import pytest

from infra.local import assembly
from infra.local.assembly import TemplateError
from infra.local.resources import UnknownResourceType
from infra.local.template import Deployment
from tests.unit.infra.local.assemblies import write_assembly
from tests.unit.infra.local.conftest import Clients

ROLE_ARN = "arn:aws:iam::123456789012:role/worker"
BUS = {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}}


def deployed(folder: Path, clients: Clients, *templates: dict[str, Any]) -> Deployment:
    stacks = {f"S{number}": template for number, template in enumerate(templates)}
    deployment = Deployment(
        assembly.load(write_assembly(folder, stacks)), clients, api_endpoint=lambda name: f"http://127.0.0.1/{name}"
    )
    deployment.deploy()
    return deployment


def value_of(folder: Path, clients: Clients, expression: Any, **sections: Any) -> Any:
    template = {"Resources": {"Bus": BUS}, "Outputs": {"It": {"Value": expression}}, **sections}
    return deployed(folder, clients, template).outputs["Test-S0"]["It"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Ref": "Bus"}, "bus"),
        ({"Ref": "AWS::Region"}, "eu-central-1"),
        ({"Ref": "Size"}, "10"),
        ({"Fn::GetAtt": ["Bus", "Arn"]}, "arn:aws:events:eu-central-1:123456789012:event-bus/bus"),
        ({"Fn::GetAtt": "Bus.Name"}, "bus"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Bus"}, {"Ref": "AWS::NoValue"}]]}, "a-bus"),
        ({"Fn::Sub": "${Bus}/${Bus.Name}/${AWS::AccountId}/${!literal}"}, "bus/bus/123456789012/${literal}"),
        ({"Fn::Sub": ["${x}-${Bus}", {"x": {"Ref": "Size"}}]}, "10-bus"),
        ({"Fn::Select": ["1", {"Fn::Split": [":", "a:b:c"]}]}, "b"),
    ],
)
def test_intrinsic_functions(tmp_path: Path, clients: Clients, expression: Any, value: Any) -> None:
    sections = {"Parameters": {"Size": {"Type": "String", "Default": "10"}}}

    assert value_of(tmp_path, clients, expression, **sections) == value


def test_values_pass_from_stack_to_stack(tmp_path: Path, clients: Clients) -> None:
    giver = {
        "Resources": {"Bus": BUS},
        "Outputs": {"Bus": {"Value": {"Ref": "Bus"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:bus"}}}},
    }
    taker = {"Resources": {}, "Outputs": {"Imported": {"Value": {"Fn::ImportValue": "Test-S0:bus"}}}}

    assert deployed(tmp_path, clients, giver, taker).outputs["Test-S1"] == {"Imported": "bus"}


def test_resources_come_after_those_they_mention(tmp_path: Path, clients: Clients) -> None:
    def parameter(value: Any, **more: Any) -> dict[str, Any]:
        return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}, **more}

    template = {
        "Resources": {
            "A": parameter({"Fn::Sub": "${B.Value}"}),
            "B": parameter("b", DependsOn=["C"]),
            "C": parameter({"Fn::GetAtt": ["E", "Value"]}),
            "E": parameter("e"),
        },
    }

    assert [resource.logical_id for resource in deployed(tmp_path, clients, template).resources] == ["E", "C", "B", "A"]


def test_resources_that_need_each_other_are_named(tmp_path: Path, clients: Clients) -> None:
    def policy(other: str) -> dict[str, Any]:
        return {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": {"Ref": other}}}

    with pytest.raises(TemplateError, match=r"Test-S0: resources need each other: .*A"):
        deployed(tmp_path, clients, {"Resources": {"A": policy("B"), "B": policy("A")}})


def test_a_conditional_resource_stops_with_its_place(tmp_path: Path, clients: Clients) -> None:
    with pytest.raises(TemplateError, match=r"Test-S0\.Bus: the local runtime does not know conditions"):
        deployed(tmp_path, clients, {"Resources": {"Bus": {**BUS, "Condition": "Never"}}})


def test_an_unknown_type_stops_with_its_name_and_place(tmp_path: Path, clients: Clients) -> None:
    with pytest.raises(UnknownResourceType, match=r"Test-S0\.Fleet: .*AWS::RoboMaker::Fleet"):
        deployed(tmp_path, clients, {"Resources": {"Fleet": {"Type": "AWS::RoboMaker::Fleet"}}})


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Name": {"Ref": "Nobody"}}, "Ref Nobody is neither"),
        ({"Name": {"Fn::GetAtt": ["Bus", "Colour"]}}, r"Bus\.Colour: the local runtime's AWS::Events::EventBus has no"),
        ({"Name": {"Fn::If": []}}, "does not know Fn::If"),
        ({"Name": "{{resolve:ssm:/x}}"}, "does not know dynamic references"),
        ({"Name": {"Fn::ImportValue": "x"}}, "no stack before this one exports it"),
        ({"Name": "bus"}, "ResourceAlreadyExistsException"),
    ],
)
def test_what_cannot_be_created_is_named_with_its_place(
    tmp_path: Path, clients: Clients, properties: dict[str, Any], message: str
) -> None:
    second = {"Type": "AWS::Events::EventBus", "Properties": properties, "DependsOn": "Bus"}

    with pytest.raises(TemplateError, match=rf"Test-S0\.Second \(AWS::Events::EventBus\) .*{message}"):
        deployed(tmp_path, clients, {"Resources": {"Bus": BUS, "Second": second}})


def test_functions_and_mappings_are_listed_as_the_template_says(tmp_path: Path, clients: Clients) -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"S3Bucket": "assets", "S3Key": "code.zip"},
            "Environment": {"Variables": {"BUS_NAME": {"Ref": "Bus"}}},
            "Handler": "handler.handle",
            "MemorySize": 512,
            "Role": ROLE_ARN,
            "Runtime": "python3.14",
            "Timeout": 30,
        },
    }
    bare = {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"ZipFile": ""}, "Role": ROLE_ARN}}
    mapping = {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": {"Ref": "Worker"},
            "BatchSize": 10,
            "EventSourceArn": {"Fn::GetAtt": ["Bus", "Arn"]},
        },
    }
    template = {"Resources": {"Bus": BUS, "Worker": function, "Bare": bare, "Mapping": mapping}}

    deployment = deployed(tmp_path, clients, template)

    bare_function, worker = sorted(deployment.functions.values(), key=lambda spec: spec.name)
    assert worker.name.startswith("Test-S0-Worker-")
    assert worker.arn == f"arn:aws:lambda:eu-central-1:123456789012:function:{worker.name}"
    assert (worker.handler, worker.runtime, worker.asset) == ("handler.handle", "python3.14", tmp_path / "asset.code")
    assert (worker.environment, worker.role_arn) == ({"BUS_NAME": "bus"}, ROLE_ARN)
    assert (worker.timeout_s, worker.memory_mb) == (30, 512)
    assert (bare_function.timeout_s, bare_function.memory_mb) == (3, 128)
    assert bare_function.asset is None
    (found,) = deployment.event_source_mappings
    assert (found["FunctionName"], found["BatchSize"]) == (worker.name, 10)
    assert found["Id"]
