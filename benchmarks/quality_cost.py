"""What quality at the door costs: CPU microseconds an event for plans, enrichment and consent, in batches of 20.

Enrichment is measured alone; plans and consent as the difference that they make to the whole way of a request. The
batches are those of collect_throughput, changed so that there is nothing, or something, to do.

Run: python -m benchmarks.quality_cost [--seconds S]
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import orjson

from benchmarks.collect_throughput import BATCHES, RECEIVED_AT, SEED, AcceptingStream, cpu_per_call, shop_event
from onefold.adapters.json_schema import compile_schema
from onefold.adapters.kinesis_event_log import KinesisEventLog
from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.user_agents import read_user_agent
from onefold.domain.definition import Definition
from onefold.domain.enrichment import Enricher
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.message import Arrival
from onefold.domain.source import ConsentRules, Source
from onefold.domain.tracking_plan import CompiledPlan, plans_by_source
from onefold.use_cases.collect import Collector, CollectRequest
from tests.fakes.collecting import KnownSources, MemorySpool

EVENTS = 20
KEY = "write-key-of-web"
Message = dict[str, Any]
WEB = Source("web", KEY, kind="browser", phone_region="DE")
PRICE = {"properties": {"price": {"type": "number", "minimum": 0}, "quantity": {"type": "integer"}}}
TC_STRING = "COwxsONOwxsONKpAAAENAdCAAMAAAAAAAAAAAAAAAAAA"


class OnePlan:
    """A plan that names the four events of the shop."""

    def __init__(self, schema: dict[str, Any]) -> None:
        names = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")
        events = {name: {"properties": schema} for name in names}
        body = msgspec.json.encode({"name": "shop", "sources": ["web"], "events": events})
        self._plans = plans_by_source([Definition("plan/shop", body, 1)], compile_schema)

    def of_source(self, source: str) -> CompiledPlan | None:
        return self._plans.get(source)


def bare(message: Message) -> Message:
    """Nothing to enrich: no address, no user agent, no page."""
    return message | {"context": {"locale": "de-DE", "library": message["context"]["library"]}}


def campaigns(message: Message) -> Message:
    """A landing: the campaign has to be read from the page's address."""
    page = message["context"]["page"] | {"referrer": "https://www.google.com/"}
    context = {name: value for name, value in message["context"].items() if name != "campaign"}
    return message | {"context": context | {"page": page}}


def stating(message: Message) -> Message:
    return message | {"context": message["context"] | {"consent": {"tcString": TC_STRING, "gcd": "11t1t1t1t5"}}}


def whole(message: Message) -> Message:
    return message


def bodies(change: Callable[[Message], Message]) -> list[bytes]:
    rng = random.Random(SEED)
    return [
        orjson.dumps({"batch": [change(shop_event(rng, batch, index)) for index in range(EVENTS)], "sentAt": None})
        for batch in range(BATCHES)
    ]


def enriching(contexts: list[list[dict[str, Any]]], source: Source) -> Callable[[int], object]:
    """Enrichment alone: one enricher a batch, as collect has it."""

    def run(index: int) -> None:
        enricher = Enricher(source, read_user_agent)
        for context in contexts[index]:
            enricher.enrich(dict(context), [])

    return run


def collecting(collector: Collector, requests: list[CollectRequest]) -> Callable[[int], object]:
    def run(index: int) -> None:
        assert collector.collect(requests[index]).accepted == EVENTS

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds for each number")
    seconds = parser.parse_args().seconds
    log = KinesisEventLog(AcceptingStream(), "events", sleep=lambda _: None, jitter=random.random)  # type: ignore[arg-type]
    hasher = IdentifierHasher(b"s" * 64)
    on = Collector(KnownSources(WEB), log, MemorySpool(), hasher, read_e164, read_user_agent=read_user_agent)
    rules = ConsentRules(purposes={"marketing": ("tcf.1", "tcf.2", "ad_user_data")}, required=("marketing",))
    asking = replace(on, sources=KnownSources(Source("web", KEY, kind="browser", consent=rules)))
    print("| what | the whole way, µs an event | of that | share |")
    print("| --- | ---: | ---: | ---: |")
    for name, change, source in (
        ("enrichment, nothing to enrich", bare, Source("web", KEY, phone_region="DE")),
        ("enrichment, a visitor's events", whole, WEB),
        ("enrichment, each event a landing", campaigns, WEB),
    ):
        requests = requests_of(change)
        contexts = [[event["context"] for event in orjson.loads(each.body)["batch"]] for each in requests]
        collector = replace(on, sources=KnownSources(source))
        both = [collecting(collector, requests), enriching(contexts, source)]
        print_row(name, *cpu_per_call(both, seconds))
    for name, change, collector in (
        ("plan that everything fits", whole, replace(on, plans=OnePlan(PRICE))),
        ("plan that nothing fits", whole, replace(on, plans=OnePlan({"required": ["colour"]}))),
        ("consent by TC string and gcd, required", stating, asking),
    ):
        requests = requests_of(change)
        without = collecting(on, requests_of(whole))
        more, less = cpu_per_call([collecting(collector, requests), without], seconds)
        print_row(name, more, more - less)


def requests_of(change: Callable[[Message], Message]) -> list[CollectRequest]:
    return [CollectRequest(body, None, (KEY,), Arrival(RECEIVED_AT, "203.0.113.7")) for body in bodies(change)]


def print_row(name: str, way: float, part: float) -> None:
    """Both in seconds a batch."""
    print(f"| {name} | {way / EVENTS * 1e6:.1f} | {part / EVENTS * 1e6:.2f} | {part / way:.0%} |", flush=True)


if __name__ == "__main__":
    main()
