from pathlib import Path
from typing import Any

import pytest

from cli.inspecting import read_repair, trace_view
from cli.problems import UsageError


@pytest.mark.parametrize(
    ("settings", "patch"),
    [
        (["event=Shoe Sold"], {"event": "Shoe Sold"}),
        (["properties.total=12.5"], {"properties": {"total": 12.5}}),
        (['properties.total="12.5"'], {"properties": {"total": "12.5"}}),
        (["a.b.c=null", "a.d=true"], {"a": {"b": {"c": None}, "d": True}}),
        (["traits=", "note=a=b"], {"traits": "", "note": "a=b"}),
        (["total=NaN"], {"total": "NaN"}),
    ],
)
def test_settings_become_a_merge_patch(settings: list[str], patch: dict[str, Any]) -> None:
    assert read_repair(None, settings, None) == {"patch": patch}


def test_settings_go_on_top_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "patch.json"
    file.write_text('{"properties": {"total": 1, "currency": "EUR"}}')

    assert read_repair(file, ["properties.total=2"], None) == {"patch": {"properties": {"total": 2, "currency": "EUR"}}}


def test_nothing_to_change_is_no_patch(tmp_path: Path) -> None:
    message = tmp_path / "message.json"
    message.write_text('{"type": "track"}')

    assert read_repair(None, [], None) == {}
    assert read_repair(None, [], message) == {"message": {"type": "track"}}


@pytest.mark.parametrize("setting", ["event", "=x", ".a=1", "a.=1", "a..b=1"])
def test_a_setting_that_names_no_place_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="path=value"):
        read_repair(None, [setting], None)


def test_a_place_is_set_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is set to a value already"):
        read_repair(None, ["a=1", "a.b=2"], None)


@pytest.mark.parametrize("text", ["no json", '{"a": NaN}', "[1]"])
def test_a_file_that_is_no_patch_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "patch.json"
    file.write_text(text)

    with pytest.raises(UsageError, match=r"patch\.json"):
        read_repair(file, [], None)


def test_what_is_not_found_says_why_that_may_be() -> None:
    view = trace_view({"message_id": "m1", "days": 7, "found": []})

    assert "last 7 days" in str(view)
    assert "--days" in str(view)
