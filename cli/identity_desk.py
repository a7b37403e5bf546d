"""What the identity commands do: the same use cases as the API's, on a deployment's tables."""

import csv
import getpass
import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cli.apply import definition_table
from cli.deployment import Deployment, find_deployment
from cli.problems import CommandError, UsageError
from onefold.adapters.athena_snapshot import AthenaSnapshot
from onefold.adapters.deployment_secret import load_deployment_secret
from onefold.adapters.dynamodb_decisions import DynamoDbDecisions
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.domain.clock import parse_instant
from onefold.domain.decision_request import DecisionRequest, KeyOf, MessageName, build_decision, identifier_keys
from onefold.domain.errors import IdentifierInvalid, ProfileNotFound, Rejected
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import DEFINITION_KIND, IdentityRules, rules_of
from onefold.domain.union import DAY_MS
from onefold.use_cases.audit import find_decision, list_decisions
from onefold.use_cases.explain import explain, graph_as_of
from onefold.use_cases.preview import Bounds, preview
from onefold.use_cases.rule import record_document, rehearse, rule
from onefold.use_cases.serve import Page

LINKS_MAX: Final = 100_000
REFUSALS_SHOWN_MAX: Final = 50
LAKE_WAIT_S: Final = 600.0
COLUMNS: Final = ("left", "right", "probability", "reason", "id")
ID_BYTES: Final = 16


@dataclass(frozen=True)
class Desk:
    """A deployment's identities, for one command."""

    deployment: Deployment
    graph_store: DynamoDbGraph
    log: DynamoDbDecisions
    hasher: IdentifierHasher
    rules: IdentityRules

    def explain(self, left: str, right: str) -> dict[str, Any]:
        try:
            return explain(self.graph_store, self.key(left), self.key(right), self.rules, now_ms=now_ms())
        except ProfileNotFound as error:
            side = "first" if error.pointer == "?left" else "second"
            raise CommandError(f"No profile has the {side} identifier; an event may need some seconds") from error

    def graph(self, identifier: str, as_of: str) -> dict[str, Any]:
        at = parse_instant(as_of) if as_of else now_ms()
        if at is None:
            raise UsageError("Write --as-of as 2026-01-31T12:00Z")
        try:
            return graph_as_of(self.graph_store, self.key(identifier), at)
        except ProfileNotFound as error:
            raise CommandError(error.detail) from error

    def decide(self, request: DecisionRequest, decision_id: str = "", *, dry_run: bool) -> dict[str, Any]:
        """Carry out a decision, or show what it would do."""
        decision = build_decision(
            request, self.key_of, decision_id=decision_id or str(uuid.uuid4()), at=now_ms(), by=caller()
        )
        if dry_run:
            return rehearse(self.graph_store, decision, self.rules)
        return record_document(rule(self.graph_store, decision, self.rules))

    def link_all(self, links: Iterable[tuple[str, DecisionRequest, str]], *, dry_run: bool) -> dict[str, Any]:
        """Join many pairs; what the rules refuse is counted by reason and listed by place, and stops nothing."""
        counts: Counter[str] = Counter()
        refusals: list[dict[str, str]] = []
        began_at = now_ms()
        for place, request, given_id in links:
            try:
                decision_id = given_id or self._evidence_id(request)
                document = self.decide(request, decision_id, dry_run=dry_run)
            except Rejected as error:
                counts["refused"] += 1
                refusals.append({"place": place, "reason": error.reason, "detail": error.detail})
            else:
                is_joined = len(document["before"]) > len(document["after"])
                counts["repeated" if document["at"] < began_at else "joined" if is_joined else "together"] += 1
        return {
            "dry_run": dry_run,
            "joined": counts["joined"],
            "together": counts["together"],
            "repeated": counts["repeated"],
            "refused": counts["refused"],
            "reasons": dict(Counter(each["reason"] for each in refusals)),
            "refusals": refusals[:REFUSALS_SHOWN_MAX],
        }

    def decision(self, decision_id: str) -> dict[str, Any]:
        return find_decision(self.log, decision_id)

    def decisions(self, limit: int, after: str) -> dict[str, Any]:
        return list_decisions(self.log, Page(limit, after), now_ms=now_ms())

    def preview(self, rules: IdentityRules, days: int, sightings_max: int, *, show_values: bool) -> dict[str, Any]:
        about = self.deployment.description
        reader = AthenaSnapshot(
            self.deployment.client("athena"),
            workgroup=about.workgroup,
            database=about.glue_database,
            wait_s=LAKE_WAIT_S,
        )
        return preview(
            reader,
            self.hasher,
            (self.rules, rules),
            since_ms=now_ms() - days * DAY_MS,
            bounds=Bounds(sightings_max, lambda: False),
            label=":".join if show_values else None,
        )

    def key(self, text: str) -> str:
        try:
            return self.key_of(text)
        except IdentifierInvalid as error:
            raise UsageError(f"{error.detail}") from error

    @property
    def key_of(self) -> KeyOf:
        return identifier_keys(self.rules, self.hasher)

    def _evidence_id(self, request: DecisionRequest) -> str:
        """An id that the same link of a file has again: what was sent twice, or split since, is not linked anew."""
        parts = (self.key_of(request.left), self.key_of(request.right), request.why, str(request.probability))
        return f"file-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[: 2 * ID_BYTES]}"


def open_desk(environment: str) -> Desk:
    """Find what `--env` names, with the rules that are in force there."""
    return desk_of(find_deployment(environment))


def desk_of(deployment: Deployment) -> Desk:
    about, dynamodb = deployment.description, deployment.client("dynamodb")
    if "decisions" not in about.tables:
        raise CommandError("This deployment records no decisions yet: deploy it anew")
    log = DynamoDbDecisions(dynamodb, about.tables["decisions"])
    graph = DynamoDbGraph(dynamodb, about.tables["identities"], about.tables["heads"], log)
    secret = load_deployment_secret(deployment.client("secretsmanager"), about.deployment_secret_arn)
    rules = rules_of(definition_table(deployment).load_current(DEFINITION_KIND))
    return Desk(deployment, graph, log, IdentifierHasher(secret), rules)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def caller() -> str:
    """Who decides, for the audit: the name of this machine's user."""
    return f"cli/{getpass.getuser()}"


def message_names(texts: Sequence[str]) -> tuple[MessageName, ...]:
    """Read `source/message_id`.

    Raises:
        UsageError: One has no source.
    """
    names = [MessageName(*text.split("/", 1)) for text in texts if "/" in text.strip("/")]
    if len(names) != len(texts):
        raise UsageError("Write --message as SOURCE/MESSAGE_ID, as `onefold identity explain` shows it")
    return tuple(names)


def link_request(left: str, right: str, probability: float | None, reason: str) -> DecisionRequest:
    if probability is None:
        return DecisionRequest("link", left, right, reason=reason)
    return DecisionRequest("link", left, right, reason=reason, why="probabilistic", probability=probability)


def check_pair(left: str, right: str, file: Path | None, *, has_own_options: bool) -> None:
    """A pair, or a file.

    Raises:
        UsageError: Neither, or both.
    """
    if file is not None and (left or right or has_own_options):
        raise UsageError("Give two identifiers or --file, whose rows say their own probability and id")
    if file is None and not (left and right):
        raise UsageError("Give two identifiers, or --file with many pairs")


def read_links(file: Path, reason: str) -> list[tuple[str, DecisionRequest, str]]:
    """Read the pairs of a file: place, request and id of each; all are looked at before the first is written.

    Raises:
        UsageError: The file is none of ours, or its rows are unusable; the first few with their lines.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    readers = {".csv": _csv_rows, ".jsonl": _json_rows}
    if file.suffix not in readers:
        raise UsageError(f"{file}: write links as .csv or .jsonl")
    links: list[tuple[str, DecisionRequest, str]] = []
    faults: list[str] = []
    for number, row in readers[file.suffix](file):
        place = f"{file}:{number}"
        try:
            links.append((place, _link(row, reason), str(row.get("id") or "")))
        except UsageError as error:
            faults.append(f"{place}: {error}")
        if len(links) > LINKS_MAX:
            raise UsageError(f"{file}: more than {LINKS_MAX:,} links; cut it into several files")
    if faults:
        raise UsageError("; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else ""))  # noqa: PLR2004
    return links


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            yield reader.line_num, row


def _json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield number, msgspec.json.decode(line, type=dict[str, Any])
                except msgspec.MsgspecError as error:
                    raise UsageError(f"{file}:{number}: no JSON object") from error


def _link(row: dict[str, Any], reason: str) -> DecisionRequest:
    unknown = sorted(str(name) for name in row.keys() - set(COLUMNS))
    if unknown:
        raise UsageError(f"leave out {', '.join(unknown)}; the columns are {', '.join(COLUMNS)}")
    if not row.get("left") or not row.get("right"):
        raise UsageError("name left and right as type:value")
    text = row.get("probability")
    try:
        probability = None if text is None or text == "" else float(text)
    except (TypeError, ValueError) as error:
        raise UsageError("write probability as a number above 0 and at most 1") from error
    return link_request(str(row["left"]), str(row["right"]), probability, str(row.get("reason") or reason))
