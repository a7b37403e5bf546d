"""What a request's outcome says of events that a plan or a want of consent keeps out."""

import json
from typing import Any

import msgspec

from onefold.adapters.json_schema import compile_schema
from onefold.domain.definition import Definition
from onefold.domain.message import Arrival
from onefold.domain.source import ConsentRules, Source
from onefold.domain.tracking_plan import CompiledPlan, plans_by_source
from onefold.use_cases.collect import Collector, CollectRequest, Outcome
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER

NOON = 1_794_484_800_000
KEY = "key-of-web"
GIVEN = {"consent": {"categoryPreferences": {"analytics": True}}}
DENIED = {"consent": {"categoryPreferences": {"analytics": False}}}
PLAN = {
    "name": "shop",
    "sources": ["web"],
    "mode": "quarantine",
    "unplanned": "quarantine",
    "events": {"Paid": {"properties": {"required": ["total"]}}},
}


class Plans:
    def __init__(self, plan: dict[str, Any], version: int) -> None:
        self.plans = plans_by_source([Definition("plan/shop", msgspec.json.encode(plan), version)], compile_schema)

    def of_source(self, source: str) -> CompiledPlan | None:
        return self.plans.get(source)


def collect(
    messages: list[dict[str, Any]], source: Source, plans: Plans | None = None
) -> tuple[Outcome, MemoryEventLog]:
    log = MemoryEventLog()
    collector = Collector(KnownSources(source), log, MemorySpool(), HASHER, lambda text, region: None, plans=plans)
    body = json.dumps({"batch": messages}).encode()
    return collector.collect(CollectRequest(body, None, (KEY,), Arrival(NOON))), log


def message(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Paid", "userId": "u1", "messageId": f"m{number}"} | fields


def test_what_the_plan_keeps_out_is_in_the_quarantine_with_its_bytes_and_the_plans_version() -> None:
    bad = message(2, properties={"sum": 5})
    messages = [message(1, properties={"total": 5}), bad, message(3, event="Other")]

    outcome, log = collect(messages, Source("web", KEY), Plans(PLAN, 7))

    assert outcome.accepted == 1
    assert [(index, refusal.reason, refusal.version) for index, refusal in outcome.refused] == [
        (1, "plan_violated", "plan/shop@7"),
        (2, "event_unplanned", "plan/shop@7"),
    ]
    stored = [refusal for _, batch in log.batches for refusal in batch.refusals]
    assert json.loads(stored[0].body) == bad
    assert "plan_required:/properties/total" in stored[0].detail


def test_a_plan_of_another_source_says_nothing() -> None:
    outcome, _ = collect([message(1)], Source("app", KEY), Plans(PLAN, 1))

    assert (outcome.accepted, outcome.refused) == (1, [])


def test_what_is_suppressed_is_counted_with_its_reason_and_stored_nowhere() -> None:
    source = Source("web", KEY, consent=ConsentRules(required=("analytics",), refused="suppress"))
    messages = [message(1, context=DENIED), message(2, context=GIVEN), message(3), message(4, event=5, context=DENIED)]

    outcome, log = collect(messages, source)

    assert outcome.accepted == 1
    assert [(index, error.reason) for index, error in outcome.suppressed] == [
        (0, "consent_refused"),
        (2, "consent_refused"),
        (3, "consent_refused"),
    ]
    assert [event.message_id for _, batch in log.batches for event in batch.events] == ["m2"]
    assert outcome.refused == []


def test_a_request_of_nothing_but_suppressed_events_stores_nothing() -> None:
    source = Source("web", KEY, consent=ConsentRules(required=("analytics",), refused="suppress"))

    outcome, log = collect([message(1), message(2)], source)

    assert (outcome.accepted, len(outcome.suppressed), log.batches) == (0, 2, [])


def test_what_is_no_json_is_kept_for_nobody_can_tell_what_it_says_of_consent() -> None:
    source = Source("web", KEY, consent=ConsentRules(required=("analytics",), refused="suppress"))
    log = MemoryEventLog()
    collector = Collector(KnownSources(source), log, MemorySpool(), HASHER, lambda text, region: None)

    outcome = collector.collect(CollectRequest(b'{"batch":[{"a":NaN}]}', None, (KEY,), Arrival(NOON)))

    assert [refusal.reason for _, refusal in outcome.refused] == ["json_invalid"]
