"""Facts: what events tell of a person. `fold` adds events, `join` puts parts together; neither knows a clock."""

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final, Literal

import msgspec

from onefold.domain.consent import (
    CONSENTS_MAX,
    PURPOSE_LENGTH_MAX,
    Consent,
    decided,
    merge_consents,
    newer_consent,
    outranks,
)
from onefold.domain.count import ALWAYS_COUNTED, OTHER, Count, merge_counts
from onefold.domain.device import DEVICES_MAX, Device, merge_devices, newest_description
from onefold.domain.event import KINDS, Event
from onefold.domain.identifier import Identifier
from onefold.domain.json_text import DECODING_ERRORS
from onefold.domain.order import EVENT_NAMES as ORDER_EVENTS
from onefold.domain.order import REFUNDS_PER_ORDER_MAX, Order, join_order, merge_orders, read_order, shed_refunds
from onefold.domain.register import Register, merge_registers, newer, observed
from onefold.domain.sales import CURRENCIES_MAX, Totals, merge_totals, totals_by_currency
from onefold.domain.session import (
    NO_SESSIONS,
    SESSIONS_MAX,
    Session,
    SettledSessions,
    add_times,
    join_sessions,
    settle_sessions,
)
from onefold.domain.support import CONTACT_EVENTS, Contacts, merge_contacts, read_answers, read_contact
from onefold.domain.touch import (
    CAMPAIGNS_MAX,
    Touches,
    join_touches,
    merge_touches,
    read_campaign,
    shed_campaigns,
    touch_at,
)
from onefold.domain.traits import TRAIT_BYTES_MAX, TRAIT_PATH_LENGTH_MAX, TRAITS_MAX, leaves, settle_traits

EVENT_NAMES_MAX: Final = 300
ORDERS_MAX: Final = 300
ACCOUNTS_MAX: Final = 100

# What found no room, or could not be used; each is counted under its name, and the lake has it whole.
Dropped = Literal[
    "traits", "trait_values", "trait_names", "unreadable_traits", "event_names", "orders", "refunds", "currencies",
    "campaigns", "campaign_texts", "support_lengths", "devices", "consents", "accounts", "lightened",
]  # fmt: skip


class Facts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The mergeable whole of what is known; the empty one is neutral to `join`.

    Attributes:
        traits: Path → newest value, in the normal form of `settle_traits`. None marks a removed trait.
        counts: `kind:name` → count; the name is given for track events only.
        sessions: Of events that name a device; oldest first. Beyond SESSIONS_MAX they are in `settled_sessions`.
        orders: Order id → what is known of it, at most ORDERS_MAX; older ones have left into `settled`.
        settled: Currency → sums over orders that left the ledger.
        campaigns: A campaign's JSON text → its touches.
        contacts: `chats`, `tickets`, `calls` → how many and how long.
        answers: `nps`, `csat` → newest answer.
        devices: Identifier key → device.
        consents: Purpose → newest decision.
        accounts: Identifier key → the account's id.
        dropped: What found no room within the bounds, kind → how often; the lake has it.
    """

    traits: dict[str, Register] = {}
    counts: dict[str, Count] = {}
    sessions: tuple[Session, ...] = ()
    settled_sessions: SettledSessions | None = None
    orders: dict[str, Order] = {}
    settled: dict[str, Totals] = {}
    campaigns: dict[str, Touches] = {}
    contacts: dict[str, Contacts] = {}
    answers: dict[str, Register] = {}
    devices: dict[str, Device] = {}
    consents: dict[str, Consent] = {}
    accounts: dict[str, str] = {}
    dropped: dict[str, int] = {}


NOTHING: Final = Facts()


def join(left: Facts, right: Facts) -> Facts:
    """Put the facts of two disjoint sets of events together; see `join_all`."""
    return join_all((left, right))


def join_all(parts: Iterable[Facts]) -> Facts:
    """Put the facts of disjoint sets of events together, in any order and portions.

    Registers, orders, touches, devices, consents and accounts may be told of twice; counters add up, which is right
    because an event is folded into one fragment, once. Nothing is dropped here: fragments are bounded, and so are they
    together.

    Cost: about linear in the parts' size, however many they are.
    """
    known = [part for part in parts if part is not NOTHING]
    if len(known) == 1:
        return known[0]
    whole = _Growth(NOTHING)
    for part in known:
        whole.merge(part)
    settle_traits(whole.traits)
    whole.sessions = join_sessions(session for part in known for session in part.sessions)
    return whole.facts()


def fold(facts: Facts, events: Iterable[Event]) -> Facts:
    """Add events, in any order; `fold(fold(f, a), b)` equals `fold(f, b + a)` while no bound is reached."""
    growth = _Growth(facts)
    for event in events:
        growth.add(event)
    growth.settle()
    return growth.facts()


_objects = msgspec.json.Decoder(dict[str, Any])
_KIND_NAMES: Final = {kind: f"{kind}:" for kind in KINDS}


class _Growth:
    """Facts under construction; what changes is copied once, however many events or parts go in."""

    __slots__ = (*Facts.__struct_fields__, "_deciding", "_describing", "_has_traits", "_seen")

    def __init__(self, facts: Facts) -> None:
        self.traits = facts.traits.copy()
        self.counts = facts.counts.copy()
        self.sessions, self.settled_sessions = facts.sessions, facts.settled_sessions
        self.orders = facts.orders.copy()
        self.settled = facts.settled.copy()
        self.campaigns = facts.campaigns.copy()
        self.contacts = facts.contacts.copy()
        self.answers = facts.answers.copy()
        self.devices = facts.devices.copy()
        self.consents = facts.consents.copy()
        self.accounts = facts.accounts.copy()
        self.dropped = facts.dropped.copy()
        # Of the events added; each is looked at once, when all are there.
        self._seen: dict[str, list[int]] = {}
        self._describing: dict[str, list[Event]] = {}
        self._deciding: dict[str, Event] = {}
        self._has_traits = False

    def facts(self) -> Facts:
        return Facts(
            self.traits,
            self.counts,
            self.sessions,
            self.settled_sessions,
            self.orders,
            self.settled,
            self.campaigns,
            self.contacts,
            self.answers,
            self.devices,
            self.consents,
            self.accounts,
            self.dropped,
        )

    def merge(self, part: Facts) -> None:
        """Add all but the sessions, and leave the traits unsettled: both are done once, at the end."""
        merge_registers(self.traits, part.traits)
        merge_counts(self.counts, part.counts)
        if part.settled_sessions:
            self.settled_sessions = part.settled_sessions.plus(self.settled_sessions or NO_SESSIONS)
        merge_orders(self.orders, part.orders)
        merge_totals(self.settled, part.settled)
        merge_touches(self.campaigns, part.campaigns)
        merge_contacts(self.contacts, part.contacts)
        merge_registers(self.answers, part.answers)
        merge_devices(self.devices, part.devices)
        merge_consents(self.consents, part.consents)
        self.accounts.update(part.accounts)
        for kind, times in part.dropped.items():
            self.dropped[kind] = self.dropped.get(kind, 0) + times

    def add(self, event: Event) -> None:
        kind, at, context = event.kind, event.at, event.context
        name = f"track:{event.name}" if kind == "track" else _KIND_NAMES[kind]
        known = self.counts.get(name)
        if known is None:
            self._count_new(name, at)
        else:
            self.counts[name] = Count(known.times + 1, min(known.first_at, at), max(known.last_at, at))
        for identifier in event.identifiers:  # strongest first
            if identifier.is_device:
                self._see(identifier.key, event)
                break
        if event.consent:
            self._hear(event)
        if b'"campaign"' in context:
            self._add_touch(event)
        if kind == "track":
            self._add_track(event)
        elif kind == "identify":
            self._add_traits(event)
        elif event.account is not None:
            self._add_account(event.account)

    def settle(self) -> None:
        """Do what is done once for all events, and keep the bounds."""
        if self._has_traits:
            settle_traits(self.traits)
        if self._seen:
            self._settle_devices()
        for purpose, event in self._deciding.items():
            self._decide(purpose, event)
        if len(self.orders) > ORDERS_MAX:
            self._settle_orders()
        if len(self.campaigns) > CAMPAIGNS_MAX:
            self._drop("campaigns", shed_campaigns(self.campaigns))

    def _drop(self, kind: Dropped, times: int = 1) -> None:
        if times:
            self.dropped[kind] = self.dropped.get(kind, 0) + times

    def _count_new(self, name: str, at: int) -> None:
        if len(self.counts) >= EVENT_NAMES_MAX and name not in ALWAYS_COUNTED:
            self._drop("event_names")
            name = OTHER
        count, known = Count(1, at, at), self.counts.get(name)
        self.counts[name] = count if known is None else known.plus(count)

    def _see(self, key: str, event: Event) -> None:
        times = self._seen.get(key)
        if times is None:
            self._seen[key] = [event.at]
        else:
            times.append(event.at)
        if b'"device"' in event.context or b'"os"' in event.context:
            self._describing.setdefault(key, []).append(event)

    def _settle_devices(self) -> None:
        seen = list(self._seen.values())
        self.sessions = add_times(self.sessions, seen[0] if len(seen) == 1 else list(chain(*seen)))
        if len(self.sessions) > SESSIONS_MAX:
            self.sessions, self.settled_sessions = settle_sessions(
                self.sessions, self.settled_sessions or NO_SESSIONS, kept_max=SESSIONS_MAX
            )
        for key, times in self._seen.items():
            first_at, last_at = (times[0], times[0]) if len(times) == 1 else (min(times), max(times))
            known, described = self.devices.get(key), self._describing.get(key)
            description = newest_description(described) if described else None
            if known is not None:
                self.devices[key] = known.seen(first_at, last_at, description)
            elif len(self.devices) < DEVICES_MAX:
                self.devices[key] = Device(first_at, last_at, description)
            else:
                self._drop("devices")

    def _hear(self, event: Event) -> None:
        """Remember the newest event about each purpose; only of that one the proof is read."""
        for purpose in event.consent:
            known = self._deciding.get(purpose)
            if known is None or event.at > known.at or outranks(event, known):
                self._deciding[purpose] = event
            elif not outranks(known, event):  # a source's mistake: two messages with one id
                self._decide(purpose, event)

    def _decide(self, purpose: str, event: Event) -> None:
        known = self.consents.get(purpose)
        if known is None and (len(self.consents) >= CONSENTS_MAX or len(purpose) > PURPOSE_LENGTH_MAX):
            self._drop("consents")
        elif known is None or outranks(event, known):
            self.consents[purpose] = decided(event, purpose)
        elif not outranks(known, event):
            self.consents[purpose] = newer_consent(known, decided(event, purpose))

    def _add_touch(self, event: Event) -> None:
        campaign, cut = read_campaign(event.context)
        self._drop("campaign_texts", cut)
        if campaign:
            known, touch = self.campaigns.get(campaign), touch_at(event.at)
            self.campaigns[campaign] = touch if known is None else join_touches(known, touch)

    def _add_account(self, account: Identifier) -> None:
        if len(self.accounts) >= ACCOUNTS_MAX and account.key not in self.accounts:
            self._drop("accounts")
        else:
            self.accounts[account.key] = account.value

    def _add_traits(self, event: Event) -> None:
        try:
            traits = _objects.decode(event.traits)
        except DECODING_ERRORS:
            self._drop("unreadable_traits")
            return
        self._has_traits = True
        is_large = len(event.traits) > TRAIT_BYTES_MAX
        for path, value in leaves(traits):
            if len(path) > TRAIT_PATH_LENGTH_MAX:
                self._drop("trait_names")
                continue
            known = self.traits.get(path)
            if known is not None and known.at > event.at:
                continue
            register = observed(event, value)
            if is_large and len(msgspec.json.encode(register.value)) > TRAIT_BYTES_MAX:
                self._drop("trait_values")
            elif known is not None:
                self.traits[path] = newer(known, register)
            elif self._has_room():
                self.traits[path] = register
            else:
                self._drop("traits")

    def _has_room(self) -> bool:
        if len(self.traits) >= TRAITS_MAX:
            settle_traits(self.traits)
        return len(self.traits) < TRAITS_MAX

    def _add_track(self, event: Event) -> None:
        if event.name in ORDER_EVENTS:
            self._add_order(event)
        elif event.name in CONTACT_EVENTS:
            kind, contact, is_implausible = read_contact(event)
            merge_contacts(self.contacts, {kind: contact})
            self._drop("support_lengths", int(is_implausible))
        if b'"nps"' in event.properties or b'"csat"' in event.properties:
            answers = read_answers(event.properties)
            merge_registers(self.answers, {name: observed(event, value) for name, value in answers.items()})

    def _add_order(self, event: Event) -> None:
        read = read_order(event)
        if read is None:
            self._drop("orders")
            return
        order_id, order = read
        known = self.orders.get(order_id)
        if known is not None:
            order = join_order(known, order)
            if len(order.refunds) > REFUNDS_PER_ORDER_MAX:
                self._drop("refunds", len(order.refunds) - REFUNDS_PER_ORDER_MAX)
                order = shed_refunds(order)
        self.orders[order_id] = order

    def _settle_orders(self) -> None:
        """The oldest orders leave the ledger for the sums."""
        oldest = sorted(self.orders, key=lambda order_id: (self.orders[order_id].at, order_id))
        leaving = [self.orders.pop(order_id) for order_id in oldest[: len(oldest) - ORDERS_MAX]]
        self.settled = totals_by_currency(leaving, self.settled)
        for currency in list(self.settled)[CURRENCIES_MAX:]:
            self._drop("currencies", max(1, self.settled.pop(currency).orders))
