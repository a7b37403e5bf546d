import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold.adapters.json_schema import compile_schema
from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid, PlanViolated
from onefold.domain.event import Kind
from onefold.domain.tracking_plan import (
    FAULTS_MAX,
    POINTER_CHARACTERS_MAX,
    CompiledPlan,
    compile_plan,
    parse_plan,
    plans_by_source,
)

ORDER = {
    "type": "object",
    "required": ["order_id"],
    "properties": {
        "order_id": {"type": "string"},
        "total": {"type": "number", "minimum": 0},
        "products": {"type": "array", "items": {"required": ["price"], "properties": {"price": {"type": "number"}}}},
    },
    "additionalProperties": False,
}
PLAN: dict[str, Any] = {
    "name": "shop",
    "sources": ["web"],
    "events": {"Order Completed": {"properties": ORDER}, "Anything": {}},
    "kinds": {"identify": {"traits": {"properties": {"email": {"type": "string"}}}}},
}


def compiled(**fields: Any) -> CompiledPlan:
    return compile_plan(parse_plan(msgspec.json.encode(PLAN | fields)), "plan/shop@3", compile_schema)


def judge(
    plan: CompiledPlan, properties: dict[str, Any], *, name: str = "Order Completed", kind: Kind = "track"
) -> tuple[dict[str, Any], list[str]]:
    properties, violations = copy.deepcopy(properties), list[str]()
    is_traits = kind == "identify"
    parts: Any = {"properties": {}, "traits": {}, "context": {}} | {"traits" if is_traits else "properties": properties}
    plan.judge(kind, name, parts, violations)
    return properties, violations


def test_an_event_that_fits_is_left_alone() -> None:
    order = {"order_id": "o-1", "total": 5, "products": [{"price": 5, "colour": "red"}]}

    for mode in ("observe", "quarantine", "strip"):
        assert judge(compiled(mode=mode), order) == (order, [])


def test_what_does_not_fit_is_named_by_keyword_and_place_and_never_by_its_value() -> None:
    order = {"total": "ada@lovelace.dev", "products": [{"price": 1}, {"price": "ada@lovelace.dev"}], "x/y": 1}

    kept, violations = judge(compiled(), order)

    assert kept == order
    assert sorted(violations) == [
        "plan_additionalProperties:/properties/x~1y",
        "plan_required:/properties/order_id",
        "plan_type:/properties/products/1/price",
        "plan_type:/properties/total",
    ]


def test_quarantine_refuses_the_event_with_the_same_words_and_the_plans_version() -> None:
    with pytest.raises(PlanViolated) as refused:
        judge(compiled(mode="quarantine"), {"order_id": "o-1", "total": "ada@lovelace.dev"})

    assert (refused.value.reason, refused.value.version) == ("plan_violated", "plan/shop@3")
    assert "plan_type:/properties/total" in refused.value.detail
    assert "ada" not in refused.value.detail


def test_strip_takes_out_what_does_not_fit_and_says_so() -> None:
    order = {"order_id": "o", "total": -1, "x": 1, "products": [{"price": "a"}, {"price": 2}, {}]}

    kept, violations = judge(compiled(mode="strip"), order)

    assert kept == {"order_id": "o", "products": [{}, {"price": 2}, {}]}
    assert sorted(violations) == [
        "plan_additionalProperties:/properties/x",
        "plan_minimum:/properties/total",
        "plan_required:/properties/products/2/price",
        "plan_type:/properties/products/0/price",
        "stripped:/properties",
    ]


def test_what_is_missing_cannot_be_stripped() -> None:
    assert judge(compiled(mode="strip"), {}) == ({}, ["plan_required:/properties/order_id"])


@pytest.mark.parametrize(
    ("unplanned", "violations"), [("allow", []), ("violation", ["event_unplanned"]), ("quarantine", None)]
)
@pytest.mark.parametrize(("kind", "name"), [("track", "Unknown"), ("page", "")])
def test_an_event_that_the_plan_does_not_know(
    unplanned: str, violations: list[str] | None, kind: Kind, name: str
) -> None:
    plan = compiled(unplanned=unplanned)

    if violations is None:
        with pytest.raises(PlanViolated) as refused:
            judge(plan, {}, name=name, kind=kind)
        assert refused.value.reason == "event_unplanned"
    else:
        assert judge(plan, {}, name=name, kind=kind) == ({}, violations)


def test_a_planned_event_may_have_a_mode_of_its_own_and_no_schema_at_all() -> None:
    events = {"Order Completed": {"mode": "quarantine", "properties": ORDER}, "Anything": {}}
    plan = compiled(mode="strip", events=events)

    assert judge(plan, {"x": 1}, name="Anything") == ({"x": 1}, [])
    assert judge(plan, {"email": 5}, kind="identify", name="") == ({}, ["plan_type:/traits/email", "stripped:/traits"])
    with pytest.raises(PlanViolated):
        judge(plan, {"x": 1})


def test_the_context_of_every_event_can_have_a_schema() -> None:
    plan = compiled(context={"required": ["library"]})
    violations: list[str] = []

    plan.judge("page", "", {"properties": {}, "traits": {}, "context": {}}, violations)

    assert violations == ["plan_required:/context/library"]


def test_how_much_is_said_of_one_event_has_bounds() -> None:
    order = {"order_id": "o"} | {f"{number}-" + "x" * 500: 1 for number in range(100)}

    _, violations = judge(compiled(), order)
    _, typed = judge(compiled(), {"order_id": "o", "products": [{"price": "x"}] * 100})

    assert len(violations) == FAULTS_MAX
    assert max(map(len, violations)) < POINTER_CHARACTERS_MAX + 50
    assert (len(typed), typed[-1]) == (FAULTS_MAX + 1, "plan_more")


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"name": "Shop plan"}, "#/name"),
        ({"sources": []}, "#/sources"),
        ({"sources": "web"}, "#/sources"),
        ({"mode": "block"}, "#/mode"),
        ({"colour": "red"}, "#/"),
        ({"kinds": {"track": {}}}, "#/kinds/track"),
        ({"events": {"A/B": {"mode": "block"}}}, "#/events"),
        ({"events": {"A/B": {"properties": {"type": "txt"}}}}, "#/events/A~1B/properties/type"),
        (
            {"events": {"A": {"traits": {"properties": {"a": {"minimum": ""}}}}}},
            "#/events/A/traits/properties/a/minimum",
        ),
        ({"context": {"$ref": "https://example.org/schema"}}, "#/context/$ref"),
        ({"context": {"items": [{"$ref": "#/$defs/none"}]}}, "#/context"),
        ({"context": {"pattern": "(?=a)"}}, "#/context/pattern"),
        ({"context": 5}, "#/context"),
    ],
)
def test_a_plan_with_a_fault_is_refused_with_its_place(fault: dict[str, Any], pointer: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        compiled(**fault)

    assert refused.value.pointer.startswith(pointer)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{", b"[" * 5_000])
def test_what_is_no_plan_is_refused(body: bytes) -> None:
    with pytest.raises(DefinitionInvalid):
        parse_plan(body)


def test_plans_are_found_by_source_and_a_broken_one_does_not_take_the_rest() -> None:
    definitions = [
        Definition("source/web", msgspec.json.encode(PLAN), 1),
        Definition("plan/broken", b"{", 1),
        Definition("plan/no-schema", msgspec.json.encode(PLAN | {"sources": ["app"], "context": {"type": "txt"}}), 1),
        Definition("plan/shop", msgspec.json.encode(PLAN | {"sources": ["web", "till"]}), 3),
        Definition("plan/zoo", msgspec.json.encode(PLAN | {"name": "zoo", "sources": ["web", "zoo"]}), 1),
    ]

    plans = plans_by_source(definitions, compile_schema)

    assert {source: plan.plan.name for source, plan in plans.items()} == {"web": "shop", "till": "shop", "zoo": "zoo"}
    assert plans["web"].version == "plan/shop@3"
    assert plans_by_source(definitions, compile_schema)["web"] is plans["web"]  # not compiled again


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
orders = st.dictionaries(
    st.sampled_from(["order_id", "total", "products", "x"]),
    json_values | st.lists(st.dictionaries(st.just("price"), json_values), max_size=4) | st.just("o-1"),
)


@given(orders)
def test_what_is_left_after_stripping_fits_but_for_what_is_missing(order: dict[str, Any]) -> None:
    """JSON Schema's own Python implementation is the oracle."""
    from jsonschema import Draft202012Validator

    kept, violations = judge(compiled(mode="strip"), order)

    oracle = Draft202012Validator(ORDER)
    assert bool(violations) == (not oracle.is_valid(order))
    assert {error.validator for error in oracle.iter_errors(kept)} <= {"required"}
