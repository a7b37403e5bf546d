"""What applying a folder would do, decided without a deployment."""

from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cli.apply import FaultyDefinitionsError, Step, plan, show_steps
from cli.definitions import Declared, read_definitions
from onefold.domain.definition import Definition
from onefold.domain.source import parse_source


def declared(folder: Path, name: str, text: str) -> list[Declared]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found, faults = read_definitions(folder)
    assert faults == []
    return found


def applied(steps: list[Step]) -> dict[str, Definition]:
    """What the table holds afterwards."""
    return {step.name: Definition(step.name, step.body, step.version) for step in steps}


def test_a_new_source_gets_a_key_and_keeps_it(tmp_path: Path) -> None:
    folder = declared(tmp_path, "sources/web.yaml", "kind: browser\n")

    [first] = plan(folder, {})
    [again] = plan(folder, applied([first]))

    assert (first.what, first.version) == ("new", 1)
    assert (again.what, again.version, again.body) == ("same", 1, first.body)
    assert parse_source(first.body).write_key.startswith("wk_")
    assert parse_source(plan(folder, {})[0].body).write_key != parse_source(first.body).write_key


def test_the_key_of_a_new_source_is_shown_once(tmp_path: Path) -> None:
    folder = declared(tmp_path, "sources/web.yaml", "kind: browser\n")
    [first] = plan(folder, {})
    shown, shown_again = Console(record=True, file=StringIO()), Console(record=True, file=StringIO())

    show_steps(shown, [first])
    show_steps(shown_again, plan(folder, applied([first])))

    key = parse_source(first.body).write_key
    assert key in shown.export_text()
    assert key not in shown_again.export_text()


def test_a_key_that_is_written_down_wins(tmp_path: Path) -> None:
    [first] = plan(declared(tmp_path, "sources/web.yaml", "kind: browser\n"), {})

    [second] = plan(
        declared(tmp_path, "sources/web.yaml", "kind: browser\nwrite_key: chosen-key-1\n"), applied([first])
    )

    assert (second.what, second.version, second.fields) == ("changed", 2, ("write_key",))
    assert parse_source(second.body).write_key == "chosen-key-1"


def test_a_change_counts_the_version_up_and_names_its_fields(tmp_path: Path) -> None:
    [first] = plan(declared(tmp_path, "sources/web.yaml", "kind: browser\n"), {})

    [second] = plan(declared(tmp_path, "sources/web.yaml", "kind: mobile\nphone_region: DE\n"), applied([first]))

    assert (second.what, second.after_version, second.version) == ("changed", 1, 2)
    assert second.fields == ("kind", "phone_region")
    assert parse_source(second.body).write_key == parse_source(first.body).write_key


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("answers.nps <= 6\n", "answers.nps <= 6 -- the same\n", "same"),
        ("answers.nps <= 6\n", "answers.nps <= 5\n", "changed"),
        ("answers.nps <= 6\n", "-- purpose: marketing\nanswers.nps <= 6\n", "changed"),
    ],
)
def test_an_audience_changes_with_its_meaning(tmp_path: Path, before: str, after: str, what: str) -> None:
    first = plan(declared(tmp_path, "audiences/sad.sql", before), {})

    [second] = plan(declared(tmp_path, "audiences/sad.sql", after), applied(first))

    assert second.what == what


def test_what_is_not_in_the_folder_stays(tmp_path: Path) -> None:
    known = Definition("source/old", msgspec.json.encode({"name": "old", "write_key": "12345678"}), 3)

    steps = plan(declared(tmp_path, "sources/web.yaml", "kind: browser\n"), {"source/old": known})

    assert [(step.name, step.what, step.version) for step in steps] == [
        ("source/old", "left", 3),
        ("source/web", "new", 1),
    ]


@pytest.mark.parametrize("text", ["write_key: chosen-key-1\n", "# keeps the one that it has\n"])
def test_a_write_key_that_another_source_has_is_refused(tmp_path: Path, text: str) -> None:
    folder = declared(tmp_path, "sources/web.yaml", text)
    current = {
        f"source/{name}": Definition(f"source/{name}", msgspec.json.encode({"name": name, "write_key": key}), 1)
        for name, key in {"old": "chosen-key-1", "web": "chosen-key-1"}.items()
    }

    with pytest.raises(FaultyDefinitionsError) as refused:
        plan(folder, current)

    [fault] = refused.value.faults
    assert fault.place == str(tmp_path / "sources/web.yaml")
    assert "source/old in the deployment has the same write_key" in fault.text
    assert "chosen-key-1" not in str(refused.value)


def test_a_write_key_may_move_to_another_source(tmp_path: Path) -> None:
    declared(tmp_path, "sources/app.yaml", "write_key: chosen-key-1\n")
    first = plan(declared(tmp_path, "sources/web.yaml", "write_key: chosen-key-2\n"), {})

    declared(tmp_path, "sources/app.yaml", "write_key: chosen-key-3\n")
    moved = plan(declared(tmp_path, "sources/web.yaml", "write_key: chosen-key-1\n"), applied(first))

    assert [step.what for step in moved] == ["changed", "changed"]


def test_a_source_whose_mapping_is_not_declared_is_refused(tmp_path: Path) -> None:
    source = declared(tmp_path, "sources/loyalty.yaml", "webhook: generic\nmapping: loyalty\n")
    mapping = declared(tmp_path, "mappings/loyalty.yaml", "format: json\nevents:\n  - {event: $.type}\n")

    assert {step.what for step in plan(mapping, {})} == {"new"}
    with pytest.raises(FaultyDefinitionsError, match=r"mappings/loyalty\.yaml"):
        plan([each for each in source if each.name == "source/loyalty"], {})


def test_a_plan_needs_its_sources_here_or_in_the_deployment(tmp_path: Path) -> None:
    folder = declared(tmp_path, "plans/shop.yaml", "sources: [web]\n")
    web = Definition("source/web", b'{"name":"web","write_key":"key-of-web"}', 1)

    with pytest.raises(FaultyDefinitionsError) as refused:
        plan(folder, {})

    assert "plans/shop.yaml" in refused.value.faults[0].place
    assert '"web"' in refused.value.faults[0].text
    assert [(step.name, step.what) for step in plan(folder, {"source/web": web})] == [
        ("plan/shop", "new"),
        ("source/web", "left"),
    ]


def test_a_source_is_stored_without_what_it_leaves_as_it_is(tmp_path: Path) -> None:
    """An older version of the code refuses fields that it does not know: after a rollback it must find its sources."""
    [step] = plan(declared(tmp_path, "sources/web.yaml", "kind: browser\nwrite_key: key-of-web\n"), {})

    assert msgspec.json.decode(step.body) == {"name": "web", "write_key": "key-of-web", "kind": "browser"}
