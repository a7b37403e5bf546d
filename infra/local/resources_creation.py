"""What a resource creator is given and what it gives back."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from infra.local.assembly import AssemblyError


class TemplateError(AssemblyError):
    """A template that cannot be deployed here; the text names the stack and the logical id."""


class UnknownResourceType(TemplateError):  # noqa: N818 - reads as what it tells
    """A resource type that the local runtime has no row for."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One resource that is about to be created."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]  # resolved
    region: str
    account: str
    clients: Callable[[str], Any]  # service -> boto3 client
    api_endpoint: Callable[[str], str]  # name of an HTTP API -> where it answers

    def name(self, length_max: int = 64) -> str:
        """The physical name where the template gives none: a function of stack and logical id, so it is found again."""
        digest = self.digest(8)
        return f"{self.stack}-{self.logical_id}"[: length_max - len(digest) - 1] + f"-{digest}"

    def digest(self, length: int) -> str:
        return hashlib.sha256(f"{self.stack}/{self.logical_id}".encode()).hexdigest()[:length]

    def arn(self, service: str, resource: str, *, global_: bool = False) -> str:
        return f"arn:aws:{service}:{'' if global_ else self.region}:{self.account}:{resource}"

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Call `operation` with what its input shape knows of `parameters`; returns what was sent and the answer."""
        client = self.clients(service)
        sent = fit(client.meta.service_model.operation_model(operation).input_shape, dict(parameters))
        return sent, client._make_api_call(operation, sent)


@dataclass(frozen=True, slots=True)
class Created:
    """What Ref and Fn::GetAtt give for a resource."""

    ref: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


def fit(shape: Shape, value: Any) -> Any:
    """A CloudFormation value in the form of a botocore input shape.

    Members are matched without regard to case, unknown ones are left out, scalars get the type of the shape, and a
    document becomes JSON text where the API takes text.
    """
    if isinstance(shape, StructureShape):
        members = {name.lower(): (name, member) for name, member in shape.members.items()}
        known = ((members[key.lower()], inner) for key, inner in value.items() if key.lower() in members)
        return {name: fit(member, inner) for (name, member), inner in known}
    if isinstance(shape, ListShape):
        return [fit(shape.member, inner) for inner in (value if isinstance(value, list) else [value])]
    if isinstance(shape, MapShape):
        return {key: fit(shape.value, inner) for key, inner in value.items()}
    return _fit_scalar(shape.type_name, value)


def _fit_scalar(type_name: str, value: Any) -> Any:
    if type_name in ("integer", "long"):
        return int(value)
    if type_name in ("float", "double"):
        return float(value)
    if type_name == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if type_name == "string":
        return text(value)
    return value


def text(value: Any) -> str:
    """A value as the API takes it where it takes only text."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
