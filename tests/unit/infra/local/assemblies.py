"""Write small cloud assemblies, in the form that `cdk synth` gives them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_assembly(
    folder: Path,
    stacks: Mapping[str, Mapping[str, Any]],
    *,
    dependencies: Mapping[str, Sequence[str]] | None = None,
    environment: str = "aws://unknown-account/unknown-region",
) -> Path:
    """A folder with a manifest, one template a stack and one asset, `code`, under the key `code.zip`."""
    artifacts: dict[str, Any] = {"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}
    for name, template in stacks.items():
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": environment,
            "properties": {"templateFile": f"{name}.template.json", "stackName": f"Test-{name}"},
            "dependencies": list((dependencies or {}).get(name, [])),
        }
    (folder / "manifest.json").write_text(json.dumps({"version": "40", "artifacts": artifacts}))
    (folder / "asset.code").mkdir()
    asset = {"source": {"path": "asset.code", "packaging": "zip"}, "destinations": {"here": {"objectKey": "code.zip"}}}
    (folder / "App.assets.json").write_text(json.dumps({"files": {"code": asset}}))
    return folder
