"""JSON Schema by jsonschema-rs; it is imported where a plan exists, and not before."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from onefold.domain.errors import DefinitionInvalid
from onefold.domain.tracking_plan import FAULTS_MAX, SchemaFault, escaped

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

PATTERN_BYTES_MAX: Final = 1_000_000  # of a compiled regular expression
REFERENCES: Final = ("$ref", "$dynamicRef")
TOO_DEEP: Final = SchemaFault("nesting", ())
# Keywords whose fault is about properties of an object, by their names.
NAMED: Final = frozenset(["additionalProperties", "unevaluatedProperties"])


class CompiledSchema:
    """A schema that has been compiled."""

    def __init__(self, validator: "Draft202012Validator") -> None:
        self._validator = validator

    def faults(self, instance: object) -> Sequence[SchemaFault]:
        """At most one more than the bound; nearly every event has none, and that costs a microsecond."""
        try:
            return () if self._validator.is_valid(instance) else self._find(instance)
        except ValueError:
            return [TOO_DEEP]  # beyond 255 levels there is no verdict

    def _find(self, instance: object) -> list[SchemaFault]:
        faults: list[SchemaFault] = []
        for error in self._validator.iter_errors(instance):
            fault = _fault(error, instance)
            if fault is not None:
                faults.append(fault)
            if len(faults) > FAULTS_MAX:
                break
        return faults


def compile_schema(schema: Any) -> CompiledSchema:
    """Compile a schema of draft 2020-12. Formats are checked; patterns take linear time; nothing is fetched.

    Raises:
        DefinitionInvalid: It is no such schema, or refers to something outside itself.
    """
    import jsonschema_rs

    for pointer, reference in _references(schema, "#"):
        if not isinstance(reference, str) or not reference.startswith("#"):
            detail = "Refer to what stands in the same schema, as #/$defs/money"
            raise DefinitionInvalid("schema_reference", detail, pointer=pointer)
    try:
        jsonschema_rs.meta.validate(schema)
        validator = jsonschema_rs.Draft202012Validator(
            schema,
            validate_formats=True,
            offline=True,
            mask="…",
            pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES_MAX),
        )
    except jsonschema_rs.ValidationError as error:
        pointer = "#" + "".join(f"/{escaped(str(step))}" for step in error.instance_path)
        raise DefinitionInvalid("schema_invalid", f"Not a JSON Schema: {error.message}", pointer=pointer) from error
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise DefinitionInvalid("schema_invalid", f"Not a JSON Schema: {error}") from error
    return CompiledSchema(validator)


def _fault(error: "ValidationError", instance: object) -> SchemaFault | None:
    """One fault, or None for a required property that is there.

    jsonschema-rs's verdicts are right, but beside `additionalProperties: false` its list has two oddities: a required
    property that `properties` leaves out is called missing, and without `properties` no name is given.
    """
    keyword, kind = error.kind.name, error.kind
    path = tuple(error.instance_path)
    if keyword in NAMED:
        return SchemaFault(keyword, path, tuple(getattr(kind, "unexpected", ())))
    if keyword == "required":
        name = str(getattr(kind, "property", ""))
        return None if name in _names_at(instance, path) else SchemaFault(keyword, path, (name,))
    if keyword == "falseSchema" and error.schema_path and error.schema_path[-1] == "additionalProperties":
        return SchemaFault("additionalProperties", path, _names_at(instance, path))
    return SchemaFault(keyword, path)


def _names_at(instance: Any, path: tuple[str | int, ...]) -> tuple[str, ...]:
    for step in path:
        instance = instance[step]
    return tuple(instance) if isinstance(instance, dict) else ()


def _references(schema: object, pointer: str) -> Iterator[tuple[str, object]]:
    if isinstance(schema, dict):
        for name, value in schema.items():
            place = f"{pointer}/{escaped(str(name))}"
            if name in REFERENCES:
                yield place, value
            yield from _references(value, place)
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from _references(value, f"{pointer}/{index}")
