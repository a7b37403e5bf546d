"""Facts: what events tell of a person. `fold` adds events, `join` puts two parts together; neither knows a clock."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from onefold.domain.event import Event
from onefold.domain.json_text import DECODING_ERRORS
from onefold.domain.order import EVENT_NAMES, Order, Totals, join_order, join_orders, order_totals, read_order
from onefold.domain.register import Register, join_registers, newer, observed

EVENT_NAMES_MAX: Final = 300
TRAITS_MAX: Final = 300
TRAIT_BYTES_MAX: Final = 2_000
ORDERS_MAX: Final = 300
SUPPORT_S_MAX: Final = 30 * 24 * 3_600  # of one conversation; a longer one is a mistake and counts as none
OTHER: Final = "other"


class Count(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How often a kind of event happened, and when first and last (epoch ms)."""

    times: int
    first_at: int
    last_at: int

    def plus(self, other: "Count") -> "Count":
        return Count(self.times + other.times, min(self.first_at, other.first_at), max(self.last_at, other.last_at))


class Facts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The mergeable whole of what is known; the empty one is neutral to `join`.

    Attributes:
        traits: Name → newest value. A register that holds None marks a removed trait.
        counts: `kind:name` → count; the name is given for track events only.
        orders: Order id → what is known of it, at most ORDERS_MAX; older ones have left into `settled`.
        settled: Currency → sums over orders that left the ledger.
        answers: `nps`, `csat` → newest answer.
        consents: Purpose → newest decision.
        campaigns: `first`, `last` → the campaign of that touch.
        support_ms: Time spent in support conversations; `support_contacts` of them.
        dropped: What found no room within the bounds; the lake has it.
    """

    traits: dict[str, Register] = {}
    counts: dict[str, Count] = {}
    orders: dict[str, Order] = {}
    settled: dict[str, Totals] = {}
    answers: dict[str, Register] = {}
    consents: dict[str, Register] = {}
    first_campaign: Register | None = None
    last_campaign: Register | None = None
    support_contacts: int = 0
    support_ms: int = 0
    dropped: int = 0


NOTHING: Final = Facts()


def join(left: Facts, right: Facts) -> Facts:
    """Put the facts of two disjoint sets of events together.

    Commutes and associates. Registers and orders are idempotent; counters add up, which is right because an event is
    folded into one fragment, once.
    """
    counts = dict(left.counts)
    for name, count in right.counts.items():
        known = counts.get(name)
        counts[name] = count if known is None else known.plus(count)
    settled = dict(left.settled)
    for currency, totals in right.settled.items():
        settled[currency] = settled.get(currency, Totals()).plus(totals)
    return Facts(
        join_registers(left.traits, right.traits),
        counts,
        join_orders(left.orders, right.orders),
        settled,
        join_registers(left.answers, right.answers),
        join_registers(left.consents, right.consents),
        _earlier(left.first_campaign, right.first_campaign),
        _later(left.last_campaign, right.last_campaign),
        left.support_contacts + right.support_contacts,
        left.support_ms + right.support_ms,
        left.dropped + right.dropped,
    )


def _later(left: Register | None, right: Register | None) -> Register | None:
    return right if left is None else left if right is None else newer(left, right)


def _earlier(left: Register | None, right: Register | None) -> Register | None:
    if left is None or right is None:
        return right if left is None else left
    return left if newer(left, right) is right else right


def fold(facts: Facts, events: Iterable[Event]) -> Facts:
    """Add events, in any order; `fold(fold(f, a), b)` equals `fold(f, b + a)` while no bound is reached."""
    growth = _Growth(facts)
    for event in events:
        growth.add(event)
    return growth.facts()


class _Campaign(msgspec.Struct):
    campaign: dict[str, object] | None = None


class _Support(msgspec.Struct):
    conversation_duration: float | None = None


class _Answers(msgspec.Struct):
    nps: int | float | None = None
    csat: int | float | None = None


_campaigns = msgspec.json.Decoder(_Campaign)
_support = msgspec.json.Decoder(_Support)
_answers = msgspec.json.Decoder(_Answers)
_objects = msgspec.json.Decoder(dict[str, object])


class _Growth:
    """One fold under way: copies what it changes once, however many events there are."""

    def __init__(self, facts: Facts) -> None:
        self._traits = dict(facts.traits)
        self._counts = dict(facts.counts)
        self._orders = dict(facts.orders)
        self._settled = dict(facts.settled)
        self._answers = dict(facts.answers)
        self._consents = dict(facts.consents)
        self._first, self._last = facts.first_campaign, facts.last_campaign
        self._support_contacts, self._support_ms = facts.support_contacts, facts.support_ms
        self._dropped = facts.dropped

    def facts(self) -> Facts:
        return Facts(
            self._traits,
            self._counts,
            self._orders,
            self._settled,
            self._answers,
            self._consents,
            self._first,
            self._last,
            self._support_contacts,
            self._support_ms,
            self._dropped,
        )

    def add(self, event: Event) -> None:
        self._count(event)
        if event.kind == "identify":
            self._add_traits(event)
        if event.consent:
            self._add_registers(self._consents, event, event.consent)
        if b'"campaign"' in event.context:
            self._add_campaign(event)
        if event.kind == "track":
            self._add_track(event)

    def _count(self, event: Event) -> None:
        name = f"track:{event.name}" if event.kind == "track" else f"{event.kind}:"
        known = self._counts.get(name)
        if known is None and len(self._counts) >= EVENT_NAMES_MAX:
            name = OTHER
            known = self._counts.get(name)
        at = event.at
        if known is None:
            self._counts[name] = Count(1, at, at)
        else:
            self._counts[name] = Count(known.times + 1, min(known.first_at, at), max(known.last_at, at))

    def _add_traits(self, event: Event) -> None:
        try:
            traits = _objects.decode(event.traits)
        except DECODING_ERRORS:
            self._dropped += 1
            return
        if len(event.traits) > TRAIT_BYTES_MAX:
            kept = {name: value for name, value in traits.items() if len(msgspec.json.encode(value)) <= TRAIT_BYTES_MAX}
            self._dropped += len(traits) - len(kept)
            traits = kept
        self._add_registers(self._traits, event, traits)

    def _add_registers(self, registers: dict[str, Register], event: Event, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            known = registers.get(name)
            if known is None:
                if len(registers) < TRAITS_MAX:
                    registers[name] = observed(event, value)
                else:
                    self._dropped += 1
            elif event.at >= known.at:
                registers[name] = newer(known, observed(event, value))

    def _add_campaign(self, event: Event) -> None:
        try:
            campaign = _campaigns.decode(event.context).campaign
        except DECODING_ERRORS:
            return
        named = {name: value for name, value in (campaign or {}).items() if isinstance(value, str) and value}
        if named:
            touch = observed(event, named)
            self._first, self._last = _earlier(self._first, touch), _later(self._last, touch)

    def _add_track(self, event: Event) -> None:
        if event.name in EVENT_NAMES:
            self._add_order(event)
        elif event.name == "Live Chat Conversation Ended":
            self._add_support(event)
        if b'"nps"' in event.properties or b'"csat"' in event.properties:
            self._add_answers(event)

    def _add_order(self, event: Event) -> None:
        read = read_order(event)
        if read is None:
            self._dropped += 1
            return
        order_id, order = read
        known = self._orders.get(order_id)
        self._orders[order_id] = order if known is None else join_order(known, order)
        if len(self._orders) > ORDERS_MAX:
            oldest = min(self._orders, key=lambda key: (self._orders[key].at, key))
            currency, totals = order_totals(self._orders.pop(oldest))
            self._settled[currency] = self._settled.get(currency, Totals()).plus(totals)

    def _add_support(self, event: Event) -> None:
        self._support_contacts += 1
        try:
            seconds = _support.decode(event.properties).conversation_duration
        except DECODING_ERRORS:
            seconds = None
        if seconds is not None and 0 <= seconds <= SUPPORT_S_MAX:
            self._support_ms += round(seconds * 1000)

    def _add_answers(self, event: Event) -> None:
        try:
            answers = _answers.decode(event.properties)
        except DECODING_ERRORS:
            return
        given = {"nps": answers.nps, "csat": answers.csat}
        self._add_registers(self._answers, event, {name: value for name, value in given.items() if value is not None})
