"""Rebuild: make fragments, identities and heads out of the history alone, by the same fold and the same rules."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final, Protocol

import msgspec

from onefold.domain.decision import Decision
from onefold.domain.errors import Rejected
from onefold.domain.event import Event, fingerprint
from onefold.domain.facts import NOTHING, fold
from onefold.domain.fragment import NEW_FRAGMENT, RECENT_MAX, Fragment, is_unlinked, settle
from onefold.domain.identity_rules import IdentityRules
from onefold.use_cases.audit import DecisionLog
from onefold.use_cases.decide import DecisionStore, decide
from onefold.use_cases.linking import Candidate, link

EVENTS_PER_FOLD: Final = (
    10_000  # bounds memory; begun at a fragment's first event, so that more history changes no step
)
DECISIONS_PER_PAGE: Final = 200
Progress = Callable[[str, int], None]  # what is being done, and of how many things it has been done since the last call
Step = Candidate | Decision


def silently(_what: str, _count: int) -> None:
    """Show no progress."""


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """What a record brought to a fragment.

    Attributes:
        sequence: Of the record.
        is_repeat: Whether the message, (source, message id), came with an earlier record or before it in this one.
    """

    event: Event
    sequence: str
    is_repeat: bool = False


class RebuiltFragment(msgspec.Struct, frozen=True):
    """A fragment as the history makes it.

    Attributes:
        cursor: Sequence number of the last record that brought it something.
        deliveries: How many events were brought to it, repeats included.
        arrived_at: When the last of them was received, epoch ms.
    """

    key: str
    fragment: Fragment
    cursor: str
    deliveries: int
    arrived_at: int

    @property
    def is_empty(self) -> bool:
        """Whether only repeats of other fragments' messages were brought to it."""
        return self.deliveries == self.fragment.repeats


class History(Protocol):
    """All that was archived."""

    @property
    def newest_at(self) -> int:
        """When the last archived event was received, epoch ms; 0 where there is none."""

    def fragments(self, bases: Collection[str] | None = None) -> Iterator[tuple[str, Iterator[Delivered]]]:
        """Fragment key → what was brought to it, in the order of arrival; to be read one after the other.

        Args:
            bases: Only fragments of these bases.
        """

    def candidates(self, rules: IdentityRules, naming: Collection[str] | None = None) -> Iterator[Candidate]:
        """What events may link, each event's parts once, in the order of arrival.

        Args:
            rules: Those in force; an implementation may leave out what shows its fragment nothing new under them.
            naming: Only events that name one of these identifiers.
        """

    def unknown_fragments(self, keys: Collection[str]) -> set[str]:
        """Those of these fragments to which nothing was brought."""

    def unknown_messages(self, messages: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these messages, (source, message id), that were never archived."""


def rebuild_fragment(key: str, delivered: Iterable[Delivered]) -> RebuiltFragment:
    """Fold what was brought to one fragment.

    Args:
        key: Its key.
        delivered: In the order of arrival.

    Returns:
        The fragment, with the ring of recent messages that it would have; of what it knows to be attached, nothing.
    """
    facts, cursor, arrived_at = NOTHING, "", 0
    deliveries = repeats = 0
    recent: deque[bytes] = deque(maxlen=RECENT_MAX)
    remaining = iter(delivered)
    while chunk := list(islice(remaining, EVENTS_PER_FOLD)):
        fresh = [each.event for each in chunk if not each.is_repeat]
        facts = fold(facts, fresh)
        recent.extend(map(fingerprint, fresh[-RECENT_MAX:]))
        cursor = chunk[-1].sequence
        arrived_at = max(arrived_at, *(each.event.received_at for each in chunk))
        deliveries += len(chunk)
        repeats += len(chunk) - len(fresh)
    fragment = msgspec.structs.replace(NEW_FRAGMENT, facts=facts, recent=b"".join(recent), repeats=repeats)
    return RebuiltFragment(key, fragment, cursor, deliveries, arrived_at)


def rebuild_fragments(
    history: History, progress: Progress = silently, bases: Collection[str] | None = None
) -> Iterator[RebuiltFragment]:
    """All fragments of the history, or those of some bases, in the order in which the history has them."""
    for key, delivered in history.fragments(bases):
        yield rebuild_fragment(key, delivered)
        progress("fragments rebuilt", 1)


def light(event: Event) -> Event:
    """An event without its payload, which linking does not look at."""
    return msgspec.structs.replace(event, traits=b"{}", properties=b"{}", context=b"{}")


def all_decisions(log: DecisionLog, *, now_ms: int) -> list[Decision]:
    """Every decision that was carried out, newest first.

    Raises:
        Unavailable: The store did not answer.
    """
    found: list[Decision] = []
    place = ""
    while True:
        page = log.newest(DECISIONS_PER_PAGE, before=place, now_ms=now_ms)
        found += [record.decision for record in page.records]
        if not page.next_place:
            return found
        place = page.next_place


def in_order_of_time(candidates: Iterable[Candidate], decisions: Iterable[Decision]) -> Iterator[Step]:
    """Candidates, which are in the order of arrival, with each decision at its time."""
    in_order = sorted(decisions, key=lambda each: (each.at, each.decision_id))
    timed: Iterator[tuple[int, Step]] = merge(
        ((each.event.received_at, each) for each in candidates),
        ((each.at, each) for each in in_order),
        key=itemgetter(0),
    )
    return (step for _, step in timed)


def replay(
    steps: Iterable[Step], store: DecisionStore, rules: IdentityRules, progress: Progress = silently
) -> Mapping[str, int]:
    """Link the history's events and carry out what was decided, from an empty graph.

    Args:
        steps: In the order in which they are to count. A decision that fits the graph no more, because the rules have
            changed, is passed over.
        store: Where the graph grows.
        rules: The identity rules in force; what they were at the time is not asked.
        progress: Told of each candidate.

    Returns:
        Counts: `candidates`, of which `linked` showed something new; `decisions`, and those `passed_over`.

    Cost: memory for what each fragment has settled; the store's besides.
    """
    counts: Counter[str] = Counter()
    settled: dict[str, Fragment] = {}
    for step in steps:
        if isinstance(step, Decision):
            try:
                decide(store, step, rules)
                counts["decisions"] += 1
            except Rejected:
                counts["passed_over"] += 1
            continue
        counts["candidates"] += 1
        key = str(step.fragment)
        fragment = settled.get(key, NEW_FRAGMENT)
        if is_unlinked(fragment, step.event, rules.version):
            (attachment,) = link(store, [step], rules)
            settled[key] = settle(fragment, attachment.attached, rules.version)
            counts["linked"] += 1
        progress("events linked", 1)
    return counts
