"""Laws of the door: whatever is declared and whatever is sent, each message has one fate, and none is an exception."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.adapters.json_schema import compile_schema
from onefold.adapters.phone_numbers import read_e164
from onefold.adapters.user_agents import read_user_agent
from onefold.domain.definition import Definition
from onefold.domain.errors import Rejected
from onefold.domain.event import Event
from onefold.domain.message import Arrival
from onefold.domain.source import ConsentRules, InternalTraffic, Limits, Source
from onefold.domain.tracking_plan import CompiledPlan, plans_by_source
from onefold.use_cases.collect import Collector, CollectRequest, Outcome
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.property.test_collect import messages, values

NOON = 1_794_484_800_000
KEY = "key-of-web"
EMAIL, ADDRESS = "ada@lovelace.dev", "198.51.100.77"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
TC_STRING = "COwxsONOwxsONKpAAAENAdCAAMAAAAAAAAAAAAAAAAAA"

sources = st.builds(
    Source,
    name=st.just("web"),
    write_key=st.just(KEY),
    kind=st.sampled_from(["browser", "server", "mobile", "import"]),
    phone_region=st.just("DE"),
    ip=st.sampled_from(["truncate", "drop", "keep"]),
    bots=st.sampled_from(["set_aside", "keep"]),
    hosts=st.just(("shop.example",)),
    internal=st.just(InternalTraffic(networks=("10.0.0.0/8",), hosts=("staging.shop.example",))),
    consent=st.builds(
        ConsentRules,
        purposes=st.sampled_from(
            [{}, {"analytics": ("tcf.1", "C0002", "analytics_storage"), "b": ("sale_or_sharing",)}]
        ),
        required=st.sampled_from([(), ("analytics",), ("analytics", "b")]),
        missing=st.sampled_from(["denied", "given"]),
        refused=st.sampled_from(["reduce", "suppress"]),
    ),
    limits=st.builds(Limits, event_bytes=st.sampled_from([None, 1_024]), keys=st.sampled_from([2, 10_000])),
)
plans = st.fixed_dictionaries(
    {
        "name": st.just("plan"),
        "sources": st.just(["web"]),
        "mode": st.sampled_from(["observe", "quarantine", "strip"]),
        "unplanned": st.sampled_from(["allow", "violation", "quarantine"]),
        "events": st.just(
            {"Order Completed": {"properties": {"additionalProperties": {"type": ["string", "object"]}}}}
        ),
        "kinds": st.just({"identify": {"traits": {"properties": {"email": {"type": "string"}}, "required": ["x"]}}}),
        "context": st.just({"properties": {"device": {"type": "object"}}}),
    }
)
consents = st.fixed_dictionaries(
    {},
    optional={
        "categoryPreferences": st.dictionaries(st.sampled_from(["analytics", "C0002", "other"]), st.booleans())
        | values,
        "tcString": st.just(TC_STRING) | values,
        "gcs": st.sampled_from(["G111", "G100"]) | values,
        "gcd": st.just("11q1t1l1p5") | values,
        "gpc": st.booleans() | values,
    },
)
pages = st.fixed_dictionaries(
    {},
    optional={
        "url": st.sampled_from(["https://shop.example/?gclid=1&utm_source=a", "https://staging.shop.example/"])
        | values,
        "search": st.just("?utm_medium=email") | values,
        "referrer": st.sampled_from(["https://www.google.de/?q=tea", "https://t.co/"]) | values,
    },
)
enriching = st.fixed_dictionaries(
    {},
    optional={
        "ip": st.sampled_from([ADDRESS, "10.1.2.3", "::1"]) | values,
        "userAgent": st.sampled_from([GOOGLEBOT, "Browser/1.0"]) | values,
        "page": pages | values,
        "campaign": st.just({"medium": "cpc"}) | values,
        "consent": consents | values,
        "traffic": values,
        "traits": st.just({"email": EMAIL}),
    },
)
batches = st.lists(
    st.builds(
        lambda message, context: message | ({"context": context} if isinstance(message, dict) else {}),
        messages,
        enriching,
    )
    | messages,
    max_size=5,
)


class OnePlan:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._plans = plans_by_source([Definition("plan/plan", msgspec.json.encode(plan), 1)], compile_schema)
        assert self._plans

    def of_source(self, source: str) -> CompiledPlan | None:
        return self._plans.get(source)


def collect(source: Source, plan: dict[str, Any], batch: list[Any], *, gpc: bool) -> tuple[Outcome, list[Event]]:
    log = MemoryEventLog()
    collector = Collector(
        KnownSources(source),
        log,
        MemorySpool(),
        HASHER,
        read_e164,
        plans=OnePlan(plan),
        read_user_agent=read_user_agent,
        locate=lambda address: {"country": {"iso_code": "DE"}},
    )
    body = json.dumps({"batch": batch}).encode()
    outcome = collector.collect(CollectRequest(body, None, (KEY,), Arrival(NOON, ADDRESS, "Browser/1.0", gpc=gpc)))
    return outcome, [event for _, kept in log.batches for event in kept.events]


@given(sources, plans, batches, st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_message_has_one_fate_whatever_is_declared(
    source: Source, plan: dict[str, Any], batch: list[Any], gpc: bool
) -> None:
    outcome, events = collect(source, plan, batch, gpc=gpc)

    fates = [*outcome.repeated, *(index for index, _ in (*outcome.refused, *outcome.suppressed))]
    assert len(fates) == len(set(fates))
    assert outcome.accepted + len(fates) == len(batch)
    assert len(events) == outcome.accepted
    assert all(isinstance(error, Rejected) and error.reason for _, error in outcome.suppressed)
    for event in events:
        assert ADDRESS.encode() not in event.context or source.ip == "keep" or ADDRESS in json.dumps(batch)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event


@given(sources, plans, batches, st.booleans())
@settings(max_examples=60, deadline=None)
def test_without_its_consent_nothing_that_is_stored_names_a_person(
    source: Source, plan: dict[str, Any], batch: list[Any], gpc: bool
) -> None:
    outcome, events = collect(source, plan, batch, gpc=gpc)

    for event in events:
        given_ = all(
            event.consent.get(purpose, source.consent.missing == "given") for purpose in source.consent.required
        )
        assert ("consent_refused" in event.violations) == (not given_)
        if not given_:
            assert source.consent.refused == "reduce"
            assert (event.identifiers, event.previous, event.traits) == ((), (), b"{}")
            assert EMAIL.encode() not in event.context
            assert ADDRESS.encode() not in event.context
    if source.consent.refused == "reduce":
        assert all(error.reason != "consent_refused" for _, error in outcome.suppressed)


@given(sources, plans, batches)
@settings(max_examples=60, deadline=None)
def test_a_robot_founds_no_profile(source: Source, plan: dict[str, Any], batch: list[Any]) -> None:
    for message in batch:
        context = message.get("context")
        if isinstance(context, dict):
            context["userAgent"] = GOOGLEBOT

    _, events = collect(source, plan, batch, gpc=False)

    for event in events:
        traffic = json.loads(event.context).get("traffic")
        if isinstance(traffic, dict) and traffic.get("bot") == "Googlebot" and source.bots == "set_aside":
            assert (event.identifiers, event.previous) == ((), ())
