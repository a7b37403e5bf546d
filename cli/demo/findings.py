"""What is found in the system after a simulated day, and how it compares with the plan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from cli.deployment import Deployment
from cli.problems import CommandError
from cli.profile import fetch_profile
from cli.query import Answer, run_query
from cli.simulator import Expected, Truth
from cli.webhooks import Received, memberships

CURRENCY: Final = "EUR"
READERS: Final = 4
AUDIENCES: Final = ("cart_abandoners", "detractors", "loyal_customers")

COLLECTED_SQL: Final = "SELECT source, count(*) AS events FROM events GROUP BY source ORDER BY events DESC"
SALES_SQL: Final = """
SELECT
  json_extract_scalar(properties, '$.country') AS country,
  count_if(name = 'Order Completed') AS orders,
  sum(CASE WHEN name = 'Order Completed' THEN total ELSE 0 END) AS gross,
  sum(CASE WHEN name = 'Order Refunded' THEN total ELSE 0 END) AS refunded,
  sum(CASE WHEN name = 'Order Completed' THEN total ELSE -total END) AS net
FROM (
  SELECT name, properties, cast(json_extract_scalar(properties, '$.total') AS decimal(18, 2)) AS total
  FROM events
  WHERE kind = 'track' AND name IN ('Order Completed', 'Order Refunded')
) AS sales
GROUP BY 1
ORDER BY net DESC
""".strip()


@dataclass(frozen=True, slots=True)
class Findings:
    """What the system answers.

    Attributes:
        profiles: In the order of the truth's; None for one that was not found.
        live_heads: How many profiles there are in all.
    """

    collected: Answer
    sales: Answer
    profiles: Sequence[dict[str, Any] | None]
    live_heads: int
    received: Received


@dataclass(frozen=True, slots=True)
class Check:
    """One statement about the results."""

    text: str
    found: object
    planned: object

    @property
    def holds(self) -> bool:
        return self.found == self.planned


def look_around(deployment: Deployment, truth: Truth, received: Received) -> Findings:
    """Ask the profile API for every planned profile, and Athena for the tables."""

    def profile(expected: Expected) -> dict[str, Any] | None:
        try:
            return fetch_profile(deployment, expected.identifiers[0])
        except CommandError:
            return None

    with ThreadPoolExecutor(READERS) as pool:
        profiles = list(pool.map(profile, truth.profiles))
    return Findings(
        run_query(deployment, COLLECTED_SQL),
        run_query(deployment, SALES_SQL),
        profiles,
        _count_live_heads(deployment),
        received,
    )


def _count_live_heads(deployment: Deployment) -> int:
    """Count the heads that are no redirects; a scan, which only a demonstration may afford."""
    pages = (
        deployment.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=deployment.description.tables["heads"],
            ProjectionExpression="profile_id, merged_into",
        )
    )
    return sum(1 for page in pages for item in page["Items"] if not item.get("merged_into", {}).get("S"))


def compare(findings: Findings, truth: Truth) -> Iterator[Check]:
    """Hold what was found against the plan, fact by fact."""
    collected = {source: int(count or 0) for source, count in findings.collected.rows}
    yield Check(
        f"{truth.events:,} events in the history, none lost and none twice", sum(collected.values()), truth.events
    )
    yield Check("each source's events", collected, dict(truth.events_by_source))
    yield Check(
        f"{len(truth.profiles)} profiles from {truth.devices} devices", findings.live_heads, len(truth.profiles)
    )
    yield Check("every planned customer, visitor and tablet found", findings.profiles.count(None), 0)
    yield from _compare_profiles(findings, truth)
    yield Check("each country's orders and money, to the cent", _sales(findings.sales), planned_sales(truth))
    heard = memberships(findings.received)
    for audience in AUDIENCES:
        planned = {
            profile["profile_id"]
            for profile, expected in zip(findings.profiles, truth.profiles, strict=True)
            if profile and audience in expected.audiences
        }
        yield Check(f"{len(planned)} in {audience}, as the webhook was told", heard.get(audience, set()), planned)
    yield Check("no forged delivery", findings.received.forged, 0)


# What each profile must say: a word for it, where it stands in the profile, and in the plan.
_FACTS: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], object], Callable[[Expected], object]], ...]] = (
    ("identifiers", lambda p: {f"{e['type']}:{e['value']}" for e in p["identifiers"]}, lambda e: set(e.identifiers)),
    ("number of events", lambda p: sum(c["times"] for c in p["events"].values()), lambda e: e.events),
    ("number of orders and units", lambda p: (_sums(p)["orders"], _sums(p)["units"]), lambda e: (e.orders, e.units)),
    (
        "revenue and refunds, to the cent",
        lambda p: (Decimal(_sums(p)["gross"]), Decimal(_sums(p)["refunded"])),
        lambda e: (e.gross, e.refunded),
    ),
    ("opened mails", lambda p: (p["email"]["opened"] or {"times": 0})["times"], lambda e: e.email_opens),
    ("newest NPS answer", lambda p: (p["support"]["nps"] or {}).get("value"), lambda e: e.nps),
    ("audiences", lambda p: {each["audience"] for each in p["audiences"]}, lambda e: set(e.audiences)),
    ("shared tablet or not", lambda p: p["is_shared_device"], lambda e: e.label == "tablet"),
)
_NO_SUMS: Final = {"orders": 0, "units": 0, "gross": "0", "refunded": "0", "net": "0"}


def _sums(profile: Mapping[str, Any]) -> Mapping[str, Any]:
    sums: Mapping[str, Any] = profile["orders"].get(CURRENCY, _NO_SUMS)
    return sums


def _compare_profiles(findings: Findings, truth: Truth) -> Iterator[Check]:
    """One check for each kind of fact; where it fails, the first profile that differs is shown."""
    pairs = [(p, e) for p, e in zip(findings.profiles, truth.profiles, strict=True) if p is not None]
    for word, found, planned in _FACTS:
        wrong = [(found(p), planned(e)) for p, e in pairs if found(p) != planned(e)]
        text = f"each profile's {word}"
        yield Check(f"{text} ({len(wrong)} differ)", *wrong[0]) if wrong else Check(text, 0, 0)


Money = tuple[int, Decimal, Decimal, Decimal]


def planned_sales(truth: Truth) -> dict[str, Money]:
    return {
        country: (sales.orders, sales.gross, sales.refunded, sales.gross - sales.refunded)
        for country, sales in truth.sales_by_country.items()
    }


def _sales(answer: Answer) -> dict[str, Money]:
    return {
        str(country): (int(orders or 0), Decimal(gross or 0), Decimal(refunded or 0), Decimal(net or 0))
        for country, orders, gross, refunded, net in answer.rows
    }
