"""Read a cloud assembly: the folder that `cdk synth` writes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ACCOUNT = "123456789012"
REGION_DEFAULT = "eu-central-1"


class AssemblyError(Exception):
    """What was synthesized cannot be run here; the text is one line that says where and what to do."""


class TemplateError(AssemblyError):
    """A template that cannot be deployed or run here; the text names the stack and the logical id."""


class StackTemplate(NamedTuple):
    name: str
    template: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The stacks in an order in which they can be deployed, and the files that they refer to."""

    path: Path
    region: str
    account: str
    stacks: tuple[StackTemplate, ...]
    _assets: Mapping[str, Path]

    def asset_path(self, object_key: str) -> Path | None:
        """Where the asset lies that a template names by its S3 key; None for a key that is no asset."""
        return self._assets.get(object_key)


def load(path: Path) -> Assembly:
    """Read the assembly in `path`.

    Raises:
        AssemblyError: The folder, its manifest, a template or an asset is missing or broken.
    """
    artifacts = _read_json(path / "manifest.json").get("artifacts", {})
    names = list(_deployment_order(artifacts))
    if not names:
        raise AssemblyError(f"{path}: the cloud assembly has no stack; run `cdk synth` again")
    stacks = tuple(
        StackTemplate(
            artifacts[name]["properties"].get("stackName", name),
            _read_json(path / artifacts[name]["properties"]["templateFile"]),
        )
        for name in names
    )
    region = _only_region(path, [artifacts[name].get("environment", "") for name in names])
    return Assembly(path=path, region=region, account=ACCOUNT, stacks=stacks, _assets=_assets(path))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise AssemblyError(f"{file} does not exist; run `cdk synth` first") from error
    except (OSError, ValueError) as error:
        raise AssemblyError(f"{file} cannot be read ({error}); run `cdk synth` again") from error
    if not isinstance(document, dict):
        raise AssemblyError(f"{file} is not a JSON object; run `cdk synth` again")
    return document


def _deployment_order(artifacts: Mapping[str, Any]) -> Iterator[str]:
    """Names of the stack artifacts, each after those that it depends on."""
    visited: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in visited or name not in artifacts:
            return
        visited.add(name)
        for dependency in artifacts[name].get("dependencies", []):
            yield from visit(dependency)
        if artifacts[name]["type"] == "aws:cloudformation:stack":
            yield name

    for name in artifacts:
        yield from visit(name)


def _only_region(path: Path, environments: list[str]) -> str:
    """The region of all stacks; environments look like `aws://123456789012/eu-central-1` or `aws://unknown-account/unknown-region`."""
    regions = {environment.rsplit("/", 1)[-1] for environment in environments} - {"unknown-region", ""}
    if len(regions) > 1:
        raise AssemblyError(
            f"{path}: stacks in {sorted(regions)}; the local runtime has one region, synthesize for one"
        )
    return regions.pop() if regions else REGION_DEFAULT


def _assets(path: Path) -> dict[str, Path]:
    assets: dict[str, Path] = {}
    for file in sorted(path.glob("*.assets.json")):
        for asset in _read_json(file).get("files", {}).values():
            source = path / asset["source"]["path"]
            if not source.exists():
                raise AssemblyError(f"{source} does not exist, though {file.name} names it; run `cdk synth` again")
            assets |= {destination["objectKey"]: source for destination in asset["destinations"].values()}
    return assets
