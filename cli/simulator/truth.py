"""The truth of a planned day, counted by plain loops over its diary; nothing here knows how onefold counts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from cli.simulator.day import Expected, Sales, Truth
from cli.simulator.people import Party
from cli.simulator.plan import Entry

LOYAL_FROM_ORDERS, LOYAL_FROM_EUR = 2, Decimal(100)
DETRACTOR_UP_TO = 6


def tell_truth(entries: Sequence[Entry], parties: Iterable[Party]) -> Truth:
    ordered = sorted(entries, key=lambda entry: entry.at)
    profiles = []
    for party in parties:
        own = [entry for entry in ordered if entry.owner is party]
        if own:
            profiles.append(_expected(party, own))
    devices = {entry.call.body["anonymousId"] for entry in ordered if "anonymousId" in entry.call.body}
    return Truth(
        profiles=tuple(profiles),
        devices=len(devices),
        shared_devices=sum(1 for profile in profiles if profile.label == "tablet"),
        events=len(ordered),
        repeats=sum(1 for entry in ordered if entry.is_repeated),
        events_by_source=Counter(entry.call.source for entry in ordered),
        events_by_name=Counter(str(entry.call.body.get("event") or entry.call.body["type"]) for entry in ordered),
        sales_by_country=_sales(ordered),
    )


def _expected(party: Party, own: Sequence[Entry]) -> Expected:
    completed, refunds = _named(own, "Order Completed"), _named(own, "Order Refunded")
    orders = [entry.call.body["properties"] for entry in completed]
    answers = [entry.call.body["properties"]["nps"] for entry in _named(own, "Survey Answered")]
    return Expected(
        label=party.label,
        identifiers=party.identifiers(),
        events=len(own),
        orders=len(orders),
        units=sum(product["quantity"] for order in orders for product in order["products"]),
        gross=_sum(completed),
        refunded=_sum(refunds),
        refunds=len(refunds),
        email_opens=len(_named(own, "Email Opened")),
        nps=answers[-1] if answers else None,
        audiences=frozenset(_audiences(own)),
    )


def _named(entries: Iterable[Entry], name: str) -> list[Entry]:
    return [entry for entry in entries if entry.call.body.get("event") == name]


def _audiences(own: Sequence[Entry]) -> Iterable[str]:
    """Who is in which of the example workspace's audiences at the end of the day."""
    if own[0].owner.label == "tablet":
        return  # what several persons did together makes nobody a member
    completed, refunds = _named(own, "Order Completed"), _named(own, "Order Refunded")
    answers = [entry.call.body["properties"]["nps"] for entry in _named(own, "Survey Answered")]
    if answers and answers[-1] <= DETRACTOR_UP_TO and completed:
        yield "detractors"
    if not _consents(own):
        return
    added = [entry.at for entry in _named(own, "Product Added")]
    if added and (not completed or completed[-1].at < added[-1]):
        yield "cart_abandoners"
    if len(completed) >= LOYAL_FROM_ORDERS and _sum(completed) - _sum(refunds) >= LOYAL_FROM_EUR:
        yield "loyal_customers"


def _sum(entries: Iterable[Entry]) -> Decimal:
    return sum((Decimal(str(entry.call.body["properties"]["total"])) for entry in entries), Decimal(0))


def _consents(own: Sequence[Entry]) -> bool:
    """The newest word on marketing; silence is no consent."""
    answers = [
        entry.call.body["context"]["consent"]["categoryPreferences"]["marketing"]
        for entry in own
        if "consent" in entry.call.body["context"]
    ]
    return bool(answers) and answers[-1]


def _sales(ordered: Sequence[Entry]) -> dict[str, Sales]:
    sales: dict[str, Sales] = {}
    for entry in ordered:
        if entry.call.body.get("event") not in ("Order Completed", "Order Refunded"):
            continue
        properties = entry.call.body["properties"]
        known = sales.get(properties["country"], Sales())
        total = Decimal(str(properties["total"]))
        if entry.call.body["event"] == "Order Refunded":
            known = Sales(known.orders, known.units, known.gross, known.refunded + total)
        else:
            units = sum(product["quantity"] for product in properties["products"])
            known = Sales(known.orders + 1, known.units + units, known.gross + total, known.refunded)
        sales[properties["country"]] = known
    return sales
