from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from onefold.adapters.json_schema import compile_schema
from onefold.domain.errors import DefinitionInvalid
from onefold.domain.tracking_plan import FAULTS_MAX, SchemaFault


def test_faults_have_keyword_place_and_names() -> None:
    schema = compile_schema(
        {"required": ["a"], "properties": {"b": {"enum": [1]}, "c": {"format": "email"}}, "additionalProperties": False}
    )

    assert schema.faults({"a": 1}) == [SchemaFault("additionalProperties", (), ("a",))]
    closed = compile_schema({"properties": {"p": {"additionalProperties": False}}})
    assert closed.faults({"p": {"x": 1, "y": 2}}) == [SchemaFault("additionalProperties", ("p",), ("x", "y"))]
    assert set(schema.faults({"b": 2, "c": "no address"})) == {
        SchemaFault("required", (), ("a",)),
        SchemaFault("enum", ("b",)),
        SchemaFault("format", ("c",)),
    }
    assert not compile_schema({"type": "integer"}).faults(2**80)


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"properties": {"a/b": {"type": "nothing"}}}, "#/properties/a~1b/type"),
        ({"allOf": [{}, {"$ref": "other.json"}]}, "#/allOf/1/$ref"),
        ({"$ref": 5}, "#/$ref"),
        ({"pattern": "("}, "#/pattern"),
        (5, "#"),
        ("text", "#"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(schema: Any, pointer: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        compile_schema(schema)

    assert refused.value.pointer == pointer


names = st.sampled_from(["a", "b", "c"])
schemas = st.fixed_dictionaries(
    {},
    optional={
        "required": st.lists(names, unique=True, max_size=2),
        "properties": st.dictionaries(
            names, st.sampled_from([{}, {"type": "string"}, {"minimum": 2}, {"additionalProperties": False}])
        ),
        "additionalProperties": st.sampled_from([False, True, {"type": "integer"}]),
    },
)


@given(schemas, st.dictionaries(names, st.sampled_from([1, "x", 3, {}, {"z": 1}])))
def test_faults_are_those_that_another_implementation_finds(schema: dict[str, Any], instance: dict[str, Any]) -> None:
    expected = {(error.validator, tuple(error.path)) for error in Draft202012Validator(schema).iter_errors(instance)}

    assert {(fault.keyword, fault.path) for fault in compile_schema(schema).faults(instance)} == expected


def test_a_pattern_takes_linear_time_and_deep_values_do_no_harm() -> None:
    hostile = "a" * 100_000 + "!"
    deep: Any = 1
    for _ in range(900):  # as deep as the decoder lets through
        deep = {"k": deep}
    recursive = {"$defs": {"n": {"type": "object", "additionalProperties": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}

    assert compile_schema({"pattern": "^(a+)+$"}).faults(hostile)
    assert [fault.keyword for fault in compile_schema(recursive).faults(deep)] == ["type"]
    assert compile_schema({"properties": {"k": {"type": "string"}}}).faults(deep) == [SchemaFault("nesting", ())]


def test_no_more_is_looked_for_than_will_be_said() -> None:
    schema = compile_schema({"items": {"type": "string"}})

    assert len(schema.faults([1] * 10_000)) == FAULTS_MAX + 1
