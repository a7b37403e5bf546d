from pathlib import Path
from typing import Any

import pytest

from infra.local import assembly
from tests.unit.infra.local.assemblies import write_assembly


def test_stacks_come_after_those_they_depend_on(tmp_path: Path) -> None:
    stacks: dict[str, dict[str, Any]] = {"Late": {"Resources": {}}, "Early": {"Resources": {}, "Description": "first"}}
    loaded = assembly.load(write_assembly(tmp_path, stacks, dependencies={"Late": ["Early", "Missing.assets"]}))

    assert [name for name, _ in loaded.stacks] == ["Test-Early", "Test-Late"]
    assert loaded.stacks[0].template == stacks["Early"]


def test_assets_are_found_by_their_object_key(tmp_path: Path) -> None:
    loaded = assembly.load(write_assembly(tmp_path, {"App": {"Resources": {}}}))

    assert loaded.asset_path("code.zip") == tmp_path / "asset.code"
    assert loaded.asset_path("other.zip") is None


@pytest.mark.parametrize(
    ("environment", "region"),
    [("aws://unknown-account/unknown-region", "eu-central-1"), ("aws://111122223333/eu-west-1", "eu-west-1")],
)
def test_the_region_is_the_environment_s(tmp_path: Path, environment: str, region: str) -> None:
    loaded = assembly.load(write_assembly(tmp_path, {"App": {"Resources": {}}}, environment=environment))

    assert (loaded.region, loaded.account) == (region, "123456789012")


def test_a_missing_assembly_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(assembly.AssemblyError, match=r"^[^\n]*manifest\.json does not exist; run `cdk synth` first$"):
        assembly.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("manifest.json", "{", "manifest.json cannot be read"),
        ("manifest.json", "[]", "manifest.json is not a JSON object"),
        ("manifest.json", '{"artifacts": {}}', "has no stack"),
        ("App.template.json", "", "App.template.json cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    write_assembly(tmp_path, {"App": {"Resources": {}}})
    (tmp_path / file).write_text(content)

    with pytest.raises(assembly.AssemblyError, match=message):
        assembly.load(tmp_path)


def test_a_missing_asset_is_named(tmp_path: Path) -> None:
    write_assembly(tmp_path, {"App": {"Resources": {}}})
    (tmp_path / "asset.code").rmdir()

    with pytest.raises(assembly.AssemblyError, match=r"asset\.code does not exist"):
        assembly.load(tmp_path)
