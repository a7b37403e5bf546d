"""Reads synthesized templates so that tests can speak of resources by readable names."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HASH_OF_LOGICAL_ID = re.compile(r"[0-9A-F]{8}$")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one template."""

    stack: str
    logical_id: str
    kind: str
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The logical id without CDK's hash: `FragmentsTable`."""
        return HASH_OF_LOGICAL_ID.sub("", self.logical_id)

    @property
    def properties(self) -> Mapping[str, Any]:
        properties: Mapping[str, Any] = self.body.get("Properties", {})
        return properties


@dataclass(frozen=True, slots=True)
class Assembly:
    """All templates of one environment.

    Attributes:
        templates: By the stack's own word: Storage, Ingest, …
        folder: Where they and their assets lie.
    """

    templates: Mapping[str, Mapping[str, Any]]
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> "Assembly":
        paths = sorted(folder.glob("*.template.json"))
        templates = {path.name.split(".")[0].rsplit("-", 1)[1]: json.loads(path.read_text()) for path in paths}
        return cls(templates, folder)

    def resources(self, kind: str | None = None) -> Iterator[Resource]:
        """Yield every resource, or those of one type such as `AWS::SQS::Queue`."""
        for stack, template in self.templates.items():
            for logical_id, body in template["Resources"].items():
                if kind is None or body["Type"] == kind:
                    yield Resource(stack, logical_id, body["Type"], body)

    def named(self, name: str, kind: str) -> Resource:
        """Return the only resource of that type and readable name."""
        (found,) = (resource for resource in self.resources(kind) if resource.name == name)
        return found

    def functions(self) -> dict[str, Resource]:
        """Map each verb to its function."""
        return {
            resource.properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]: resource
            for resource in self._of("AWS::Lambda::Function")
        }

    def readable(self, value: Any) -> str:
        """Write an intrinsic as text: references become readable names, joins are joined."""
        if isinstance(value, str):
            return value
        ((intrinsic, argument),) = value.items()
        if intrinsic == "Ref":
            return f"{{{argument}}}" if argument.startswith("AWS::") else HASH_OF_LOGICAL_ID.sub("", argument)
        if intrinsic == "Fn::GetAtt":
            name = HASH_OF_LOGICAL_ID.sub("", argument[0])
            return name if argument[1] == "Arn" else f"{name}.{argument[1]}"
        if intrinsic == "Fn::Join":
            return str(argument[0]).join(self.readable(part) for part in argument[1])
        if intrinsic == "Fn::ImportValue":
            return self.readable(self._exports()[argument])
        raise ValueError(f"{intrinsic} is not known here")

    def statements(self, verb: str) -> Iterator[Mapping[str, Any]]:
        """Yield every statement of the function's role."""
        role = self.functions()[verb].properties["Role"]["Fn::GetAtt"][0]
        for policy in self._of("AWS::IAM::Policy"):
            if {"Ref": role} in policy.properties["Roles"]:
                yield from policy.properties["PolicyDocument"]["Statement"]

    def _of(self, kind: str) -> Iterator[Resource]:
        return self.resources(kind)

    def _exports(self) -> dict[str, Any]:
        outputs = (output for template in self.templates.values() for output in template.get("Outputs", {}).values())
        return {output["Export"]["Name"]: output["Value"] for output in outputs if "Export" in output}


def construct_of(verb: str) -> str:
    """The readable name of a function's construct: `ImportFiles`."""
    return "".join(word.capitalize() for word in verb.split("_"))


def listed(value: Any) -> list[Any]:
    """Return a policy's one-or-many as a list."""
    return value if isinstance(value, list) else [value]
