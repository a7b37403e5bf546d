"""Tracking plans: what a source's events should look like, as JSON Schema, and what becomes of those that do not."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid, PlanViolated
from onefold.domain.event import KINDS, Kind

DEFINITION_KIND: Final = "plan"
NAME: Final = re.compile(r"[a-z][a-z0-9_\-]{0,63}")
POINTER_CHARACTERS_MAX: Final = 200
FAULTS_MAX: Final = 20  # of one event that are named; one more says that there are more
PLANS_KEPT: Final = 256  # compiled, a process

Mode = Literal["observe", "quarantine", "strip"]
Part = Literal["properties", "traits", "context"]
PARTS: Final[tuple[Part, ...]] = ("properties", "traits", "context")


class SchemaFault(NamedTuple):
    """Where an instance does not fit its schema.

    Attributes:
        keyword: JSON Schema's, `type` or `required`.
        path: To the place in the instance.
        names: Of properties there that should not be (`additionalProperties`) or are missing (`required`).
    """

    keyword: str
    path: tuple[str | int, ...]
    names: tuple[str, ...] = ()


class Schema(Protocol):
    """A compiled JSON Schema."""

    def faults(self, instance: object) -> Sequence[SchemaFault]:
        """What does not fit; empty where everything does."""


# Compiles a JSON Schema of draft 2020-12.
# Raises DefinitionInvalid with a pointer below the schema where it is none, or refers to something outside itself.
SchemaCompiler = Callable[[Any], Schema]


class EventPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is expected of one event. An empty `mode` is the plan's; a part without a schema may be anything."""

    description: str = ""
    mode: Mode | Literal[""] = ""
    properties: Any = None
    traits: Any = None
    context: Any = None


class TrackingPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One declared plan; as JSON it is the body of the definition `plan/<name>`.

    Attributes:
        sources: Whose events it is for.
        mode: What happens to an event that does not fit: `observe` notes it, `quarantine` refuses the event, `strip`
            takes out what does not fit, and notes it.
        unplanned: What happens to an event that the plan does not name.
        events: Track events by their names.
        kinds: The other kinds: identify, page, screen, group, alias.
        context: Schema of every event's context.
    """

    name: str
    sources: tuple[str, ...]
    description: str = ""
    mode: Mode = "observe"
    unplanned: Literal["allow", "violation", "quarantine"] = "allow"
    events: dict[str, EventPlan] = {}
    kinds: dict[str, EventPlan] = {}
    context: Any = None


@dataclass(frozen=True, slots=True)
class _Expected:
    mode: Mode
    schemas: tuple[tuple[Part, Schema], ...]


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """A plan that is ready to judge events.

    Attributes:
        version: Of the definition, kept with what is refused.
    """

    plan: TrackingPlan
    version: str
    _events: Mapping[str, _Expected]
    _kinds: Mapping[str, _Expected]
    _context: Schema | None = field(default=None)

    def judge(self, kind: Kind, name: str, parts: Mapping[Part, dict[str, Any]], violations: list[str]) -> None:
        """Hold an event against the plan; what does not fit is noted as `plan_<keyword>:<JSON pointer>`.

        Of a plan that strips, the event's `parts` are changed in place.

        Raises:
            PlanViolated: The plan keeps such an event out.
        """
        expected = self._events.get(name) if kind == "track" else self._kinds.get(kind)
        if expected is None:
            if self.plan.unplanned == "quarantine":
                detail = f"Plan {self.plan.name} does not know this event: add it there, or stop sending it"
                raise PlanViolated("event_unplanned", detail, version=self.version)
            if self.plan.unplanned == "violation":
                violations.append("event_unplanned")
        mode = expected.mode if expected is not None else self.plan.mode
        schemas = expected.schemas if expected is not None else ()
        if self._context is not None:
            schemas = (*schemas, ("context", self._context))
        for part, schema in schemas:
            faults = schema.faults(parts[part])
            if faults:
                self._treat(mode, part, parts[part], faults, violations)

    def _treat(
        self, mode: Mode, part: Part, value: dict[str, Any], faults: Sequence[SchemaFault], violations: list[str]
    ) -> None:
        slugs = [slug for fault in faults[:FAULTS_MAX] for slug in _slugs(part, fault)][:FAULTS_MAX]
        if len(faults) > FAULTS_MAX:
            slugs.append("plan_more")
        if mode == "quarantine":
            detail = f"The event does not fit plan {self.plan.name}: {', '.join(slugs)}"
            raise PlanViolated("plan_violated", detail, version=self.version)
        violations += slugs
        if mode == "strip" and _strip(value, faults):
            violations.append(f"stripped:/{part}")


def parse_plan(body: bytes) -> TrackingPlan:
    """Read a plan's definition. Its schemas are checked by `compile_plan`.

    Raises:
        DefinitionInvalid: It is no JSON, misses a field, has one too many, or one of the wrong shape.
    """
    try:
        plan = msgspec.json.decode(body, type=TrackingPlan)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionInvalid("plan_unreadable", f"Not a tracking plan: {error}", pointer=_place(error)) from error
    if not NAME.fullmatch(plan.name):
        remedy = "Write name with lower-case letters, digits, - and _, at most 64"
        raise DefinitionInvalid("plan_invalid", remedy, pointer="#/name")
    if not plan.sources:
        raise DefinitionInvalid("plan_invalid", "Name the sources that the plan is for", pointer="#/sources")
    for kind in plan.kinds:
        if kind == "track" or kind not in KINDS:
            known = ", ".join(other for other in KINDS if other != "track")
            remedy = f"Write one of the kinds {known}; track events stand in `events` by their names"
            raise DefinitionInvalid("plan_invalid", remedy, pointer=f"#/kinds/{escaped(kind)}")
    return plan


def _place(error: Exception) -> str:
    """Where msgspec found the fault: of `$.events[...].mode`, as it writes that, `#/events`."""
    match = re.search(r"at `\$\.?([^`]*)`", str(error))
    steps = match[1].partition("[...]")[0].replace("[", ".").replace("]", "").split(".") if match else []
    return "#/" + "/".join(step for step in steps if step)


def compile_plan(plan: TrackingPlan, version: str, compile_schema: SchemaCompiler) -> CompiledPlan:
    """Make a plan ready.

    Raises:
        DefinitionInvalid: One of its schemas is none; the pointer tells where in the plan.
    """

    def compiled(schema: object, pointer: str) -> Schema:
        try:
            return compile_schema(schema)
        except DefinitionInvalid as error:
            place = f"#/{pointer}{error.pointer.removeprefix('#')}"
            raise DefinitionInvalid(error.reason, error.detail, pointer=place) from error

    def expected(event: EventPlan, pointer: str) -> _Expected:
        schemas = tuple(
            (part, compiled(schema, f"{pointer}/{part}"))
            for part, schema in ((part, getattr(event, part)) for part in PARTS)
            if schema is not None
        )
        return _Expected(event.mode or plan.mode, schemas)

    return CompiledPlan(
        plan,
        version,
        {name: expected(event, f"events/{escaped(name)}") for name, event in plan.events.items()},
        {kind: expected(event, f"kinds/{kind}") for kind, event in plan.kinds.items()},
        None if plan.context is None else compiled(plan.context, "context"),
    )


@lru_cache(maxsize=PLANS_KEPT)
def _compiled(body: bytes, version: str, compile_schema: SchemaCompiler) -> CompiledPlan:
    return compile_plan(parse_plan(body), version, compile_schema)


def plans_by_source(definitions: Iterable[Definition], compile_schema: SchemaCompiler) -> Mapping[str, CompiledPlan]:
    """The plan of each source that has one. A plan that did not change is not compiled again.

    One that cannot be used is left out: `onefold apply` refuses such, so it comes from a newer or older version of
    this code, and must not take the events with it. Of two plans for a source, which `apply` refuses too, the first
    by name counts.
    """
    plans: dict[str, CompiledPlan] = {}
    for definition in sorted(definitions, key=lambda each: each.name):
        if definition.kind == DEFINITION_KIND:
            try:
                plan = _compiled(definition.body, f"{definition.name}@{definition.version}", compile_schema)
            except DefinitionInvalid:
                continue
            for source in plan.plan.sources:
                plans.setdefault(source, plan)
    return plans


def escaped(step: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")


def _slugs(part: Part, fault: SchemaFault) -> Iterator[str]:
    """`plan_required:/properties/order_id`: names and positions, and never a value."""
    steps = (part, *fault.path)
    for name in fault.names or (None,):
        pointer = "".join(f"/{escaped(str(step))}" for step in (*steps, *([] if name is None else [name])))
        yield f"plan_{fault.keyword}:{pointer[:POINTER_CHARACTERS_MAX]}"


def _strip(value: dict[str, Any], faults: Sequence[SchemaFault]) -> bool:
    """Take out of an object what does not fit; what is missing, or does not fit as a whole, stays as it is."""
    places: set[tuple[str | int, ...]] = set()
    for fault in faults:
        if fault.keyword == "required":
            continue
        places.update((*fault.path, name) for name in fault.names) if fault.names else places.add(fault.path)
    stripped = False
    # The last first, so that the positions of the earlier elements of an array hold.
    for place in sorted((place for place in places if place), key=_order, reverse=True):
        holder: Any = value
        try:
            for step in place[:-1]:
                holder = holder[step]
            del holder[place[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # went with what contained it
        stripped = True
    return stripped


def _order(place: tuple[str | int, ...]) -> list[tuple[bool, int, str]]:
    return [(False, step, "") if isinstance(step, int) else (True, 0, step) for step in place]
