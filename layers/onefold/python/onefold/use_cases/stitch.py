"""Stitch: fold a batch of the stream into fragments, each read once and written once, linking what is new."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from onefold.domain.errors import Unavailable
from onefold.domain.event import Event, EventBatch, FragmentKey, parts
from onefold.domain.fragment import StoredFragment, fold_events, is_unlinked, settle
from onefold.domain.identity import Attachment, LimitReached
from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules
from onefold.use_cases.linking import Candidate, GraphStore, link


class FragmentStore(Protocol):
    def load(self, keys: Collection[str]) -> dict[str, StoredFragment]:
        """Fragment key → fragment, for those that exist."""

    def write(self, fragments: Sequence[StoredFragment]) -> Mapping[str, Unavailable]:
        """Store each as `version + 1` if the stored version is still `version`.

        Returns:
            Fragment key → why it was not written. The others are.
        """


class TimelineBatch(msgspec.Struct, frozen=True, gc=False):
    """A fragment's events of one stream batch.

    Attributes:
        sequence: Of the last record. An invocation that outlives its retry may come last with fewer records: under the
            first one's number it would write over the retry's events. Under the last one's, what it leaves out was
            folded before it began, and is kept under an earlier number.
    """

    fragment_key: str
    sequence: str
    events: tuple[Event, ...]


class Timeline(Protocol):
    def append(self, batches: Sequence[TimelineBatch]) -> None:
        """Keep each batch under (fragment key, sequence); the same again changes nothing.

        Raises:
            Unavailable: Not all were kept.
        """


class Findings(Protocol):
    def publish(self, findings: Sequence[LimitReached]) -> None:
        """Tell of what identity resolution left out, at least once.

        Raises:
            Unavailable: Not all were taken.
        """


class StreamRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the stream. Sequence numbers are decimal texts that grow within a partition key."""

    sequence: str
    batch: EventBatch


class StitchReport(msgspec.Struct, frozen=True):
    """What became of a batch.

    Attributes:
        failed: Sequence numbers of records that must be delivered again, with the reason.
        counts: `events`, of which `skipped` (an earlier delivery folded them), `unresolved` (they name nobody) and
            `folded` (their fragment was written), and of those `repeats`; a group call is folded once for its person
            and once for its account. `fragments` that were written; profiles that were `created` and `merged`.
    """

    failed: Mapping[str, Unavailable]
    counts: Mapping[str, int]
    findings: Sequence[LimitReached]


NEW_STORED: Final = StoredFragment("")


class _Group:
    """What a batch brings to one fragment."""

    def __init__(self, key: FragmentKey) -> None:
        self.key = key
        self.stored = NEW_STORED
        self.sequences: list[str] = []  # of the records
        self.sizes: list[int] = []  # how many events each record has
        self.events: list[Event] = []

    def add(self, sequence: str, event: Event) -> None:
        if self.sequences and self.sequences[-1] == sequence:
            self.sizes[-1] += 1
        else:
            self.sequences.append(sequence)
            self.sizes.append(1)
        self.events.append(event)

    def skip_folded(self) -> int:
        """Drop the records that the stored state already holds; returns the number of events dropped."""
        folded = sum(map(self.stored.has_folded, self.sequences)) if self.stored.cursor else 0
        dropped = sum(self.sizes[:folded])
        self.sequences, self.sizes, self.events = self.sequences[folded:], self.sizes[folded:], self.events[dropped:]
        return dropped

    def candidates(self, rules_version: int) -> list[Candidate]:
        """The events that show something to link; of events that show the same, the first."""
        candidates: list[Candidate] = []
        shown: set[tuple[str, ...]] = set()
        for event in self.events:
            if is_unlinked(self.stored.fragment, event, rules_version):
                identifiers = tuple(identifier.key for identifier in (*event.identifiers, *event.previous))
                if identifiers not in shown:
                    shown.add(identifiers)
                    candidates.append(Candidate(self.key, event))
        return candidates


def stitch(
    records: Sequence[StreamRecord],
    fragments: FragmentStore,
    graph: GraphStore,
    timeline: Timeline,
    *,
    rules: IdentityRules = DEFAULT_RULES,
    findings: Findings | None = None,
) -> StitchReport:
    """Fold a batch of stream records; safe to repeat, to overlap with itself and to stop anywhere.

    Args:
        records: In stream order. Records of one partition key are never in two running batches, except for a zombie,
            whose writes fail their condition.
        fragments: Where the states are.
        graph: Where identities and heads are.
        timeline: Where recent events are kept for reading.
        rules: The identity rules in force.
        findings: Where to tell of limits reached, before what reached them is written.

    Raises:
        Unavailable: Nothing could be read; the whole batch must be delivered again.

    Cost: one batched read of fragments, one batched write of timeline items, one conditional write a fragment; linking
    only for fragments that show a new identifier.
    """
    counts: Counter[str] = Counter()
    groups = _group(records, counts)
    stored = fragments.load(list(groups)) if groups else {}
    for key, group in groups.items():
        group.stored = stored.get(key, NEW_STORED)
        counts["skipped"] += group.skip_folded()
    groups = {key: group for key, group in groups.items() if group.events}
    failed: dict[str, Unavailable] = {}
    attachments = _link_groups(groups, graph, rules, findings, failed=failed)
    _fold_groups(groups, attachments, fragments, timeline, rules_version=rules.version, failed=failed, counts=counts)
    everything = [attachment for each in attachments.values() for attachment in each]
    counts["created"] = sum(attachment.is_new for attachment in everything)
    counts["merged"] = sum(len(attachment.merged) for attachment in everything)
    return StitchReport(failed, counts, [finding for each in everything for finding in each.findings])


def _group(records: Sequence[StreamRecord], counts: Counter[str]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for record in records:
        for event in record.batch.events:
            counts["events"] += 1
            is_resolved = False
            for key, part in parts(event):
                is_resolved = True
                name = str(key)
                group = groups.get(name)
                if group is None:
                    group = groups[name] = _Group(key)
                group.add(record.sequence, part)
            counts["unresolved"] += not is_resolved
    return groups


def _link_groups(
    groups: dict[str, _Group],
    graph: GraphStore,
    rules: IdentityRules,
    findings: Findings | None,
    *,
    failed: dict[str, Unavailable],
) -> dict[str, list[Attachment]]:
    """Link what is new, all fragments together; where that fails, those fragments are taken out.

    All their records come again. The other fragments are folded, even those that share a record with them: that record
    fails, but the ones before it might not, and would be lost.
    """
    candidates = [candidate for group in groups.values() for candidate in group.candidates(rules.version)]
    attachments: dict[str, list[Attachment]] = {}
    if not candidates:
        return attachments
    try:
        linked = link(graph, candidates, rules)
        found = [finding for attachment in linked for finding in attachment.findings]
        if found and findings is not None:
            findings.publish(found)
    except Unavailable as error:
        for key in dict.fromkeys(str(candidate.fragment) for candidate in candidates):
            failed.update(dict.fromkeys(groups.pop(key).sequences, error))
        return attachments
    for candidate, attachment in zip(candidates, linked, strict=True):
        attachments.setdefault(str(candidate.fragment), []).append(attachment)
    return attachments


def _fold_groups(
    groups: Mapping[str, _Group],
    attachments: Mapping[str, Sequence[Attachment]],
    fragments: FragmentStore,
    timeline: Timeline,
    *,
    rules_version: int,
    failed: dict[str, Unavailable],
    counts: Counter[str],
) -> None:
    """Write the timeline first: a crash after it repeats an item harmlessly, a crash before it would lose one."""
    grown = []
    for key, group in groups.items():
        fragment = group.stored.fragment
        for attachment in attachments.get(key, ()):
            fragment = settle(fragment, attachment.attached, rules_version)
        folded = fold_events(fragment, group.events)
        grown.append(StoredFragment(key, folded, group.sequences[-1], group.stored.version))
    if not grown:
        return
    try:
        timeline.append([TimelineBatch(key, group.sequences[-1], tuple(group.events)) for key, group in groups.items()])
    except Unavailable as error:
        failed.update(dict.fromkeys((sequence for group in groups.values() for sequence in group.sequences), error))
        return
    refused = fragments.write(grown)
    for stored in grown:
        group = groups[stored.key]
        if stored.key in refused:
            failed.update(dict.fromkeys(group.sequences, refused[stored.key]))
        else:
            counts["fragments"] += 1
            counts["folded"] += len(group.events)
            counts["repeats"] += stored.fragment.repeats - group.stored.fragment.repeats
