"""Deploy the templates of an assembly: intrinsic functions, order, and what Ref and GetAtt give."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.moto_api._internal import mock_random

from infra.local.assembly import Assembly, StackTemplate, TemplateError
from infra.local.resources import Created, Creation, create

_NO_VALUE = object()
_TIMEOUT_S_DEFAULT = 3
_MEMORY_MB_DEFAULT = 128


@dataclass(frozen=True, slots=True)
class Resource:
    """A deployed resource: its resolved properties, and what Ref and Fn::GetAtt give for it."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    ref: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """What a template says of a Lambda function."""

    name: str
    arn: str
    runtime: str
    handler: str
    asset: Path | None  # the folder or file of its code; None for code within the template
    environment: Mapping[str, str]
    role_arn: str
    timeout_s: int
    memory_mb: int


class Deployment:
    """The stacks of an assembly, deployed in order into whatever answers the clients.

    Physical names and identifiers are functions of stack and logical id: a second deployment of the same assembly gives
    the same ones. What it creates must not be there yet.
    """

    def __init__(
        self, assembly: Assembly, clients: Callable[[str], Any], *, api_endpoint: Callable[[str], str]
    ) -> None:
        """Args: clients: service -> boto3 client; api_endpoint: name of an HTTP API -> the URL where it answers."""
        self.assembly = assembly
        self.clients = clients
        self.api_endpoint = api_endpoint
        self.resources: list[Resource] = []
        self.outputs: dict[str, dict[str, Any]] = {}  # stack -> output -> value
        self.exports: dict[str, Any] = {}

    def deploy(self) -> None:
        """Create every resource.

        Raises:
            UnknownResourceType: A type without a row; the text has the type, the stack and the logical id.
            TemplateError: Anything else that cannot be resolved or created, with its place.
        """
        try:
            for stack in self.assembly.stacks:
                _StackDeployment(self, stack).deploy()
        finally:
            mock_random.seed()

    @property
    def functions(self) -> dict[str, FunctionSpec]:
        """By physical name."""
        specs = (self._function(resource) for resource in self._of_type("AWS::Lambda::Function"))
        return {spec.name: spec for spec in specs}

    @property
    def event_source_mappings(self) -> list[dict[str, Any]]:
        """The resolved properties of each mapping, and its `Id`."""
        mappings = self._of_type("AWS::Lambda::EventSourceMapping")
        return [{"Id": mapping.ref, **mapping.properties} for mapping in mappings]

    def _of_type(self, type_: str) -> Iterator[Resource]:
        return (resource for resource in self.resources if resource.type == type_)

    def _function(self, resource: Resource) -> FunctionSpec:
        properties = resource.properties
        return FunctionSpec(
            name=resource.ref,
            arn=resource.attributes["Arn"],
            runtime=properties.get("Runtime", ""),
            handler=properties.get("Handler", ""),
            asset=self.assembly.asset_path(properties["Code"].get("S3Key", "")),
            environment=properties.get("Environment", {}).get("Variables", {}),
            role_arn=properties["Role"],
            timeout_s=int(properties.get("Timeout", _TIMEOUT_S_DEFAULT)),
            memory_mb=int(properties.get("MemorySize", _MEMORY_MB_DEFAULT)),
        )


class _StackDeployment:
    """One stack: what its names mean, and the creation of its resources."""

    def __init__(self, deployment: Deployment, stack: StackTemplate) -> None:
        self.deployment = deployment
        self.name, self.template = stack
        self.created: dict[str, Created] = {}
        assembly = deployment.assembly
        self.pseudo_parameters: dict[str, Any] = {
            "AWS::AccountId": assembly.account,
            "AWS::NoValue": _NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": assembly.region,
            "AWS::StackId": f"arn:aws:cloudformation:{assembly.region}:{assembly.account}:stack/{self.name}/local",
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
        self.functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::ImportValue": self._import_value,
            "Fn::Join": lambda pair: pair[0].join(str(part) for part in self.resolve(pair[1])),
            "Fn::Select": lambda pair: self.resolve(pair[1])[int(self.resolve(pair[0]))],
            "Fn::Split": lambda pair: self.resolve(pair[1]).split(pair[0]),
            "Fn::Sub": self._sub,
        }

    def deploy(self) -> None:
        for logical_id in self._creation_order():
            definition = self.template["Resources"][logical_id]
            if "Condition" in definition:
                raise TemplateError(f"{self.name}.{logical_id}: the local runtime does not know conditions")
            self._create(logical_id, definition)
        outputs = self.deployment.outputs.setdefault(self.name, {})
        for name, output in self.template.get("Outputs", {}).items():
            outputs[name] = self.resolve(output["Value"])
            if "Export" in output:
                self.deployment.exports[self.resolve(output["Export"]["Name"])] = outputs[name]

    def _create(self, logical_id: str, definition: Mapping[str, Any]) -> None:
        deployment = self.deployment
        mock_random.seed(f"{self.name}/{logical_id}")
        try:
            properties = self.resolve(definition.get("Properties", {}))
            creation = Creation(
                stack=self.name,
                logical_id=logical_id,
                type=definition["Type"],
                properties=properties,
                region=deployment.assembly.region,
                account=deployment.assembly.account,
                clients=deployment.clients,
                api_endpoint=deployment.api_endpoint,
            )
            created = create(creation)
        except (ClientError, BotoCoreError, KeyError, TypeError, ValueError) as error:
            place = f"{self.name}.{logical_id} ({definition.get('Type')})"
            raise TemplateError(f"{place} cannot be created here: {type(error).__name__}: {error}") from error
        self.created[logical_id] = created
        deployment.resources.append(
            Resource(self.name, logical_id, definition["Type"], properties, created.ref, created.attributes)
        )

    def _creation_order(self) -> list[str]:
        resources = self.template.get("Resources", {})
        graph: dict[str, list[str]] = {}
        for logical_id, definition in resources.items():
            explicit = definition.get("DependsOn", [])
            names = {*([explicit] if isinstance(explicit, str) else explicit), *_references(definition)}
            graph[logical_id] = sorted(name for name in names if name in resources and name != logical_id)
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            raise TemplateError(f"{self.name}: resources need each other: {' -> '.join(error.args[1])}") from error

    def resolve(self, value: Any) -> Any:
        """The value with every intrinsic function replaced by its result."""
        if isinstance(value, list):
            return [inner for inner in map(self.resolve, value) if inner is not _NO_VALUE]
        if isinstance(value, str) and "{{resolve:" in value:
            raise ValueError(f"the local runtime does not know dynamic references such as {value}")
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in self.functions:
                return self.functions[name](argument)
            if name.startswith("Fn::"):
                raise ValueError(f"the local runtime does not know {name}")
        resolved = ((key, self.resolve(inner)) for key, inner in value.items())
        return {key: inner for key, inner in resolved if inner is not _NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name in self.pseudo_parameters:
            return self.pseudo_parameters[name]
        if name in self.created:
            return self.created[name].ref
        parameter = self.template.get("Parameters", {}).get(name)
        if parameter is None or "Default" not in parameter:
            raise ValueError(f"Ref {name} is neither a resource nor a parameter with a default")
        return parameter["Default"]

    def _get_att(self, argument: str | list[Any]) -> Any:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        attribute = self.resolve(attribute)
        if logical_id not in self.created:
            raise ValueError(f"Fn::GetAtt {logical_id}.{attribute}: there is no such resource")
        if attribute not in self.created[logical_id].attributes:
            type_ = self.template["Resources"][logical_id]["Type"]
            raise ValueError(f"Fn::GetAtt {logical_id}.{attribute}: the local runtime's {type_} has no such attribute")
        return self.created[logical_id].attributes[attribute]

    def _sub(self, argument: str | list[Any]) -> Any:
        template, variables = (argument, {}) if isinstance(argument, str) else argument

        def substitute(match: re.Match[str]) -> str:
            name = match.group(1)
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return str(self.resolve(variables[name]))
            return str(self._get_att(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", substitute, template)

    def _import_value(self, argument: Any) -> Any:
        name = self.resolve(argument)
        if name not in self.deployment.exports:
            raise ValueError(f"Fn::ImportValue {name}: no stack before this one exports it")
        return self.deployment.exports[name]


def _references(value: Any) -> Iterator[str]:
    """Names that Ref, Fn::GetAtt and Fn::Sub mention anywhere in `value`."""
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == "Ref":
                yield inner
            elif name == "Fn::GetAtt":
                yield inner.split(".")[0] if isinstance(inner, str) else inner[0]
            else:
                if name == "Fn::Sub":
                    text = inner if isinstance(inner, str) else inner[0]
                    yield from (found.split(".")[0] for found in re.findall(r"\$\{([^}!][^}]*)\}", text))
                yield from _references(inner)
