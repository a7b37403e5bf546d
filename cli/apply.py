"""Brings a folder of definitions into a deployment: all checked first, then only what has changed is written."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from rich.console import Console
from rich.text import Text

from cli.definitions import Declared, Fault, read_definitions
from cli.deployment import Deployment
from cli.problems import CommandError
from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.domain.definition import Definition
from onefold.domain.source import Source, parse_source
from onefold.domain.tracking_plan import TrackingPlan

WRITE_KEY_BYTES: Final = 16
STEPS: Final = {"new": ("+", "green"), "changed": ("~", "yellow"), "same": ("=", "dim"), "left": ("?", "dim")}


@dataclass(frozen=True, slots=True)
class Step:
    """What applying does to one definition. `left`: it is in the deployment and not in the folder, and stays."""

    name: str
    what: Literal["new", "changed", "same", "left"]
    body: bytes
    after_version: int
    fields: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        return self.after_version + (self.what in {"new", "changed"})


class FaultyDefinitionsError(CommandError):
    """Some definitions are unusable; nothing was written."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        lines = "; ".join(f"{fault.place}: {fault.text}" for fault in faults)
        super().__init__(f"nothing was applied, for {len(faults)} definition(s) cannot be used: {lines}")
        self.faults = faults


def apply_definitions(deployment: Deployment, folder: Path) -> list[Step]:
    """Apply a folder; a second time changes nothing.

    Raises:
        FaultyDefinitionsError: With every fault; nothing was written.
        VersionConflict: Somebody else applied at the same time; what is written until then is complete in itself.
    """
    declared, faults = read_definitions(folder)
    if faults:
        raise FaultyDefinitionsError(faults)
    return apply_declared(deployment, declared)


def apply_declared(deployment: Deployment, declared: Iterable[Declared]) -> list[Step]:
    """Apply definitions that were read already."""
    table = definition_table(deployment)
    steps = plan(declared, {definition.name: definition for definition in table.load_current()})
    for step in steps:
        if step.what in {"new", "changed"}:
            table.put_current(step.name, step.body, after_version=step.after_version)
    return steps


def definition_table(deployment: Deployment) -> DynamoDbDefinitions:
    return DynamoDbDefinitions(deployment.client("dynamodb"), deployment.description.tables["definitions"])


def plan(declared: Iterable[Declared], current: Mapping[str, Definition]) -> list[Step]:
    """What has to be done, sorted by name.

    Raises:
        FaultyDefinitionsError: A source would have the write key of another or misses its mapping, or a plan is for
            none.
    """
    declared = list(declared)
    steps = {name: Step(name, "left", known.body, known.version) for name, known in current.items()}
    for each in declared:
        known = current.get(each.name)
        body = msgspec.json.encode(_with_write_key(each, known))
        if known is None:
            steps[each.name] = Step(each.name, "new", body, 0)
        elif known.body == body:
            steps[each.name] = Step(each.name, "same", body, known.version)
        else:
            steps[each.name] = Step(each.name, "changed", body, known.version, _changed_fields(known.body, body))
    _check_write_keys(declared, steps)
    _check_plans(declared, steps)
    _check_mappings(declared, steps)
    return [steps[name] for name in sorted(steps)]


def _check_write_keys(declared: Iterable[Declared], steps: Mapping[str, Step]) -> None:
    """A key leads to one source: look at all that the deployment will have."""
    names: dict[str, list[str]] = {}
    for name, step in steps.items():
        if name.startswith("source/"):
            names.setdefault(parse_source(step.body).write_key, []).append(name)
    paths = {each.name: each.path for each in declared}
    faults = [
        Fault(str(paths[name]), f"{_place(other, paths)} has the same write_key: give each source its own")
        for shared in names.values()
        for name in shared
        for other in shared
        if name in paths and other != name and (other not in paths or other < name)
    ]
    if faults:
        raise FaultyDefinitionsError(faults)


def _check_plans(declared: Iterable[Declared], steps: Mapping[str, Step]) -> None:
    """A plan for a source that is not there would never be asked, and nobody would know."""
    faults = [
        Fault(str(each.path), f'no source "{source}" is declared: declare it, or correct `sources`')
        for each in declared
        if isinstance(each.value, TrackingPlan)
        for source in each.value.sources
        if f"source/{source}" not in steps
    ]
    if faults:
        raise FaultyDefinitionsError(faults)


def _check_mappings(declared: Iterable[Declared], steps: Mapping[str, Step]) -> None:
    """A source that is read by a mapping which is not there would take nothing."""
    faults = [
        Fault(
            str(each.path), f'no mapping "{each.value.mapping}" is declared: write mappings/{each.value.mapping}.yaml'
        )
        for each in declared
        if isinstance(each.value, Source) and each.value.mapping and f"mapping/{each.value.mapping}" not in steps
    ]
    if faults:
        raise FaultyDefinitionsError(faults)


def _place(name: str, paths: Mapping[str, Path]) -> str:
    return str(paths[name]) if name in paths else f"{name} in the deployment"


def _with_write_key(declared: Declared, known: Definition | None) -> msgspec.Struct:
    """A source that names no key keeps the one it has, or gets one."""
    source = declared.value
    if not isinstance(source, Source) or declared.has_write_key:
        return source
    key = parse_source(known.body).write_key if known else f"wk_{secrets.token_hex(WRITE_KEY_BYTES)}"
    return msgspec.structs.replace(source, write_key=key)


def _changed_fields(old: bytes, new: bytes) -> tuple[str, ...]:
    before, after = msgspec.json.decode(old), msgspec.json.decode(new)
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ()
    missing = object()
    return tuple(name for name in sorted(before | after) if before.get(name, missing) != after.get(name, missing))


def write_keys(deployment: Deployment) -> dict[str, str]:
    """Source → write key."""
    definitions = definition_table(deployment).load_current("source")
    sources = (parse_source(definition.body) for definition in definitions)
    return {source.name: source.write_key for source in sources}


def write_key_of(deployment: Deployment, source: str) -> str:
    """The write key of one source.

    Raises:
        CommandError: It is not declared.
    """
    keys = write_keys(deployment)
    if source not in keys:
        known = ", ".join(keys) or "none: run `onefold apply definitions/`"
        raise CommandError(f'No source "{source}" is declared; there are {known}')
    return keys[source]


def show_steps(console: Console, steps: Sequence[Step]) -> None:
    """Print what was done, like a diff."""
    for step in steps:
        sign, style = STEPS[step.what]
        line = Text(f"{sign} {step.name}  ", style=style)
        version = f"version {step.version}"
        if step.what == "changed":
            version = f"version {step.after_version} → {step.version}"
        notes = {"left": "not in the folder, left as it is", "changed": ", ".join(step.fields)}
        if step.name.startswith("source/"):
            notes["new"] = f"write key {parse_source(step.body).write_key}"
        console.print(line.append(version).append(f"  {notes[step.what]}" if notes.get(step.what) else ""))
    counts = {what: sum(step.what == what for step in steps) for what in STEPS}
    console.print(f"{counts['new']} new, {counts['changed']} changed, {counts['same']} unchanged")


def steps_document(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [{"name": step.name, "what": step.what, "version": step.version} for step in steps]
