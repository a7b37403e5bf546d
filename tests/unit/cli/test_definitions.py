"""A folder of definitions is read whole, and each fault has its file and line."""

from pathlib import Path

import pytest

from cli.definitions import Fault, read_definitions, read_mapping
from cli.problems import UsageError
from cli.simulator.shop import simulate
from onefold.adapters.json_schema import compile_schema
from onefold.domain.tracking_plan import PARTS, TrackingPlan, compile_plan

EXAMPLES = Path(__file__).parents[3] / "definitions"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_example_workspace_has_no_fault() -> None:
    declared, faults = read_definitions(EXAMPLES)

    assert faults == []
    kinds = {each.name.partition("/")[0] for each in declared}
    assert kinds == {"source", "plan", "audience", "destination", "mapping", "identity"}


def test_all_faults_are_found_at_once_with_their_lines(tmp_path: Path) -> None:
    write(tmp_path, "sources/web.yaml", "kind: browser\nphone_region: Germany\n")
    write(tmp_path, "sources/app.yaml", "kind: mobile\n  nested: wrong\n")
    write(tmp_path, "sources/good.yaml", "kind: server\n")
    write(tmp_path, "audiences/vips.sql", "-- purpose: marketing\nanswers.nps > 8\nAND colour = 'red'\n")
    write(tmp_path, "destinations/crm.yaml", "# ours\nurl: http://crm.demo/hook\n")
    write(
        tmp_path,
        "mappings/sales.yaml",
        "message_id: x/{a}\ntimestamp: {column: at}\nevents:\n  - event: A\n  - event: B\n",
    )
    write(tmp_path, "notes.txt", "hello")

    declared, faults = read_definitions(tmp_path)

    assert [each.name for each in declared] == ["source/good"]
    assert {fault.place.removeprefix(f"{tmp_path}/") for fault in faults} == {
        "audiences/vips.sql:3:5",
        "destinations/crm.yaml:2",
        "mappings/sales.yaml:4",
        "notes.txt",
        "sources/app.yaml:2",
        "sources/web.yaml:2",
    }
    assert all(fault.text for fault in faults)


def test_identity_rules_that_contradict_are_shown_at_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, "identity.yaml", "shared_devices: last\ntypes:\n  email:\n    limit: 0\n")
    write(tmp_path, "sources/identity.yaml", "kind: server\n")

    declared, faults = read_definitions(tmp_path)

    assert [each.name for each in declared] == ["source/identity"]
    assert faults == [Fault(f"{path}:4", "Write limit as a number from 1 to 1000")]
    write(tmp_path, "identity.yaml", "types:\n  email: {limit: 3}\n")
    assert [each.name for each in read_definitions(tmp_path)[0]] == ["identity/rules", "source/identity"]


def test_a_name_that_differs_from_the_files_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "sources/web.yaml", "name: site\nkind: browser\n")

    assert read_definitions(tmp_path)[1] == [
        Fault(f"{path}:1", 'the name "site" differs from the file\'s: leave it out or rename the file')
    ]


def test_two_sources_with_one_write_key_are_a_fault_that_names_both(tmp_path: Path) -> None:
    app = write(tmp_path, "sources/app.yaml", "kind: mobile\nwrite_key: chosen-key-1\n")
    web = write(tmp_path, "sources/web.yaml", "# ours\nkind: browser\nwrite_key: chosen-key-1\n")
    write(tmp_path, "sources/one.yaml", "kind: server\n")
    write(tmp_path, "sources/two.yaml", "kind: server\n")

    declared, faults = read_definitions(tmp_path)

    assert faults == [Fault(f"{web}:3", f"{app} has the same write_key: give each source its own")]
    assert [each.name for each in declared] == ["source/app", "source/one", "source/two"]


def test_a_folder_or_mapping_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_definitions(tmp_path / "definitions")
    with pytest.raises(UsageError, match="no such file"):
        read_mapping(tmp_path / "sales.yaml")


def test_a_faulty_mapping_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, "sales.yaml", "message_id: x/{a}\nevents: [{event: A}]\ntimestamp:\n  column: at\n  zone: Nowhere\n"
    )

    with pytest.raises(UsageError, match=r"sales\.yaml:5: No such time zone"):
        read_mapping(path)


PLAN = """\
sources: [web]
mode: strip
events:
  Order Completed:
    properties:
      required: [order_id]
      properties:
        total: {type: money}
"""


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (PLAN, ":8", "money"),
        (PLAN.replace("{type: money}", '{$ref: "money.json"}'), ":8", "same schema"),
        (PLAN.replace("strip", "block"), ":2", "block"),
        (PLAN.replace("[web]", "[]"), ":1", "sources"),
        (PLAN.replace("events", "event"), ":1", "event"),
        (PLAN.replace("  Order Completed:", "  on:"), ":1", "quotes"),
        (PLAN.replace("{type: money}", "{minimum: .nan}"), ":1", "NaN"),
        (PLAN.replace("events:\n  Order Completed:", "kinds:\n  track:"), ":4", "identify"),
    ],
)
def test_a_plan_is_faulty_at_a_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = write(tmp_path, "plans/shop.yaml", text)

    [fault] = read_definitions(tmp_path)[1]

    assert fault.place == f"{path}{place}"
    assert words in fault.text


def test_two_plans_for_one_source_are_one_too_many(tmp_path: Path) -> None:
    write(tmp_path, "plans/a.yaml", "sources: [web]\n")
    second = write(tmp_path, "plans/b.yaml", "sources:\n- app\n- web\n")

    declared, [fault] = read_definitions(tmp_path)

    assert [each.name for each in declared] == ["plan/a"]
    assert (fault.place, "a.yaml" in fault.text) == (f"{second}:3", True)


def test_the_shops_plan_fits_the_simulated_day() -> None:
    """What the example workspace declares is what its example sources send."""
    plan = next(each.value for each in read_definitions(EXAMPLES)[0] if each.name == "plan/shop")
    assert isinstance(plan, TrackingPlan)
    compiled = compile_plan(plan, "plan/shop@1", compile_schema)
    violations: list[str] = []
    messages = [call.body for call in simulate(persons=40).calls if call.source in plan.sources]

    for body in messages:
        parts = {part: body.get(part, {}) for part in PARTS}
        compiled.judge(body["type"], body.get("event", ""), parts, violations)

    assert len(messages) > 500
    assert violations == []


def test_a_mapping_of_json_is_one_of_another_form(tmp_path: Path) -> None:
    good = write(tmp_path, "mappings/loyalty.yaml", "format: json\nevents:\n  - {event: $.type}\n")
    write(tmp_path, "mappings/other.yaml", "format: json\n\nevents:\n  - {event: $..type}\n")

    declared, faults = read_definitions(tmp_path)

    assert [each.name for each in declared] == ["mapping/loyalty"]
    [fault] = faults
    assert fault.place.endswith("other.yaml:4")
    assert "$.member.emails[0]" in fault.text
    with pytest.raises(UsageError, match="columns"):
        read_mapping(good)


def test_two_sources_with_one_app_id_are_a_fault_too(tmp_path: Path) -> None:
    app = write(tmp_path, "sources/app.yaml", "kind: mobile\napp_ids: [shop]\n")
    web = write(tmp_path, "sources/web.yaml", "kind: browser\napp_ids:\n- blog\n- shop\n")

    declared, faults = read_definitions(tmp_path)

    assert [fault.text for fault in faults] == [f"{app} has the same app id: give each source its own"]
    assert faults[0].place.startswith(f"{web}:")
    assert [each.path for each in declared] == [app]
