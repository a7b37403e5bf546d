"""Reads a folder of definitions and finds every fault in it, with file and line."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from cli.problems import UsageError
from onefold.adapters.json_schema import compile_schema
from onefold.domain.audience_sql import compile_audience
from onefold.domain.destination import Destination, parse_destination
from onefold.domain.errors import Rejected
from onefold.domain.identity_rules import DEFINITION_NAME, DeclaredRules, parse_rules
from onefold.domain.mapping import RowMapping, parse_mapping
from onefold.domain.source import Source, parse_source
from onefold.domain.tracking_plan import TrackingPlan, compile_plan, parse_plan
from onefold.domain.webhook_mapping import FORMAT as PAYLOAD_FORMAT
from onefold.domain.webhook_mapping import parse_payload_mapping

IDENTITY_FILE: Final = "identity.yaml"
PENDING_KEY: Final = "pending0"  # stands in for a write key until one is known


@dataclass(frozen=True, slots=True)
class Declared:
    """One usable definition.

    Attributes:
        name: Kind and name, `source/web`.
        value: What its kind is stored as.
        has_write_key: False for a source that leaves its key to `apply`.
    """

    name: str
    path: Path
    value: msgspec.Struct
    has_write_key: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a place, `path:line`."""

    place: str
    text: str


def read_definitions(folder: Path) -> tuple[list[Declared], list[Fault]]:
    """Read all definitions of a folder.

    Returns:
        Those that are usable, sorted by name, and all faults in the order of the files; write keys that two sources
        share, and sources that two plans are for, come last.

    Raises:
        UsageError: There is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: no such folder; definitions are {IDENTITY_FILE} and what lies in {', '.join(_KINDS)} below one"
        )
    declared, faults = [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        place = path.relative_to(folder)
        kind = place.parts[0]
        read: Callable[[Path], Declared] | None = None
        if str(place) == IDENTITY_FILE:
            read = _identity
        elif kind in _KINDS and path.suffix == _KINDS[kind][0]:
            read = _KINDS[kind][1]
        if read is None:
            endings = ", ".join(f"{name}/*{ending}" for name, (ending, _) in _KINDS.items())
            faults.append(Fault(str(path), f"not a definition: write {endings} or {IDENTITY_FILE}"))
            continue
        try:
            declared.append(read(path))
        except _FaultError as error:
            faults.append(error.fault)
    repeats = _repeated_write_keys(declared) | _repeated_plans(declared)
    faults += repeats.values()
    return sorted((each for each in declared if each.path not in repeats), key=lambda each: each.name), faults


def read_mapping(path: Path) -> RowMapping:
    """Read one mapping.

    Raises:
        UsageError: There is no such file, or it is faulty.
    """
    value = _read_one(path, _mapping)
    if not isinstance(value, RowMapping):
        raise UsageError(f"{path}: a mapping of JSON is for webhooks and devices; a file needs one of its columns")
    return value


def read_identity(path: Path) -> DeclaredRules:
    """Read identity rules, wherever the file lies.

    Raises:
        UsageError: There is no such file, or it is faulty.
    """
    value = _read_one(path, _identity)
    assert isinstance(value, DeclaredRules)  # noqa: S101 - what _identity makes
    return value


def _read_one(path: Path, read: Callable[[Path], Declared]) -> msgspec.Struct:
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        return read(path).value
    except _FaultError as error:
        raise UsageError(f"{error.fault.place}: {error.fault.text}") from error


class _FaultError(Exception):
    def __init__(self, place: str, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(place, text)


def _source(path: Path) -> Declared:
    document, root = _yaml(path)
    has_key = "write_key" in document
    body = {"name": path.stem, "write_key": PENDING_KEY, **document}
    source: Source = _parsed(path, root, lambda: parse_source(msgspec.json.encode(body)))
    _check_name(path, source.name)
    return Declared(f"source/{source.name}", path, source, has_write_key=has_key)


def _repeated_write_keys(declared: Iterable[Declared]) -> dict[Path, Fault]:
    """The faults of sources with the write key or an app id of an earlier one, by their files."""
    faults: dict[Path, Fault] = {}
    first: dict[str, Path] = {}
    for each in declared:
        if not isinstance(each.value, Source):
            continue
        named = [("write_key", each.value.write_key)] if each.has_write_key else []
        for field, key in (*named, *(("app_ids", app_id) for app_id in each.value.app_ids)):
            other = first.setdefault(key, each.path)
            if other != each.path:
                place = f"{each.path}:{_line(_yaml(each.path)[1], f'#/{field}')}"
                faults[each.path] = Fault(place, f"{other} has the same {_ONE_OF[field]}: give each source its own")
    return faults


_ONE_OF: Final = {"write_key": "write_key", "app_ids": "app id"}


def _repeated_plans(declared: Iterable[Declared]) -> dict[Path, Fault]:
    """The faults of plans for a source that has an earlier one, by their files."""
    faults: dict[Path, Fault] = {}
    first: dict[str, Path] = {}
    for each in declared:
        for index, source in enumerate(each.value.sources if isinstance(each.value, TrackingPlan) else ()):
            other = first.setdefault(source, each.path)
            if other != each.path:
                place = f"{each.path}:{_line(_yaml(each.path)[1], f'#/sources/{index}')}"
                faults[each.path] = Fault(place, f'{other} is for source "{source}" too: put its events into one plan')
    return faults


def _plan(path: Path) -> Declared:
    document, root = _yaml(path)
    body = _json(path, {"name": path.stem, **document})
    plan: TrackingPlan = _parsed(path, root, lambda: parse_plan(body))
    _check_name(path, plan.name)
    _parsed(path, root, lambda: compile_plan(plan, "", compile_schema))
    return Declared(f"plan/{plan.name}", path, plan)


def _json(path: Path, document: dict[str, Any]) -> bytes:
    """A document as JSON, which has less than YAML: NaN is no number, and every name is a text."""
    odd = next(_odd_names(document), None)
    if odd is not None:
        raise _FaultError(f"{path}:1", f"YAML reads a name here as {odd}: put it in quotes")
    try:
        return json.dumps(document, default=str, allow_nan=False).encode()
    except ValueError as error:
        raise _FaultError(f"{path}:1", "NaN and Infinity are no numbers of JSON") from error


def _odd_names(value: object) -> Iterator[object]:
    """Names that are none in JSON: `on` and `yes` are true, `404` is a number."""
    if isinstance(value, dict):
        yield from (name for name in value if not isinstance(name, str))
        value = list(value.values())
    if isinstance(value, list):
        for element in value:
            yield from _odd_names(element)


def _destination(path: Path) -> Declared:
    document, root = _yaml(path)
    body = msgspec.json.encode({"name": path.stem, **document})
    destination: Destination = _parsed(path, root, lambda: parse_destination(body))
    _check_name(path, destination.name)
    return Declared(f"destination/{destination.name}", path, destination)


def _mapping(path: Path) -> Declared:
    document, root = _yaml(path)
    parse = parse_payload_mapping if document.get("format") == PAYLOAD_FORMAT else parse_mapping
    return Declared(f"mapping/{path.stem}", path, _parsed(path, root, lambda: parse(document)))


def _audience(path: Path) -> Declared:
    try:
        return Declared(f"audience/{path.stem}", path, compile_audience(path.stem, path.read_text(encoding="utf-8")))
    except Rejected as error:
        place = error.pointer.removeprefix(path.stem)
        raise _FaultError(f"{path}{place}", error.detail) from error
    except UnicodeDecodeError as error:
        raise _FaultError(str(path), "not a text in UTF-8") from error


def _identity(path: Path) -> Declared:
    document, root = _yaml(path)
    try:
        body = msgspec.json.encode(document)
    except (TypeError, ValueError) as error:  # a date, a set, a number that JSON has not
        raise _FaultError(f"{path}:1", f"write texts, numbers, lists and objects: {error}") from error
    _parsed(path, root, lambda: parse_rules(body))
    return Declared(DEFINITION_NAME, path, msgspec.json.decode(body, type=DeclaredRules))


_KINDS: Final[dict[str, tuple[str, Callable[[Path], Declared]]]] = {
    "sources": (".yaml", _source),
    "plans": (".yaml", _plan),
    "audiences": (".sql", _audience),
    "destinations": (".yaml", _destination),
    "mappings": (".yaml", _mapping),
}


def _check_name(path: Path, name: str) -> None:
    if name != path.stem:
        raise _FaultError(f"{path}:1", f'the name "{name}" differs from the file\'s: leave it out or rename the file')


def _yaml(path: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    """A file's document, and the tree of its nodes that knows their lines."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _FaultError(f"{path}:{mark.line + 1 if mark else 1}", f"no YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _FaultError(f"{path}:1", "no YAML in UTF-8") from error
    if not isinstance(document or {}, dict):
        raise _FaultError(f"{path}:1", "write `name: value` lines")
    return document or {}, root


def _parsed(path: Path, root: yaml.Node | None, parse: Callable[[], Any]) -> Any:  # noqa: ANN401 - each kind's own
    try:
        return parse()
    except Rejected as error:
        raise _FaultError(f"{path}:{_line(root, error.pointer)}", error.detail) from error


def _line(root: yaml.Node | None, pointer: str) -> int:
    """The line of what a JSON pointer names, or of the nearest that contains it."""
    node, line = root, 1
    for step in _steps(pointer):
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _steps(pointer: str) -> Iterator[str]:
    steps = pointer.removeprefix("#").strip("/").split("/") if pointer.startswith("#/") else []
    yield from (step.replace("~1", "/").replace("~0", "~") for step in steps)
