"""A simulated day from the clients' calls to profiles, audiences, a webhook and SQL, under the roles of the stacks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import awswrangler
import boto3
import httpx
import msgspec
import pytest

from cli.apply import apply_declared, write_keys
from cli.costs import Meter
from cli.definitions import read_definitions
from cli.demo.day_sender import send_day
from cli.demo.findings import Findings, compare, look_around
from cli.profile import fetch_profile
from cli.query import run_query
from cli.simulator import Day, simulate
from cli.up import DEFINITIONS, Running, running
from cli.webhooks import WebhookReceiver, secret_for
from onefold.domain.destination import Destination

SEED, PERSONS = 11, 60
DRAIN_S = 90


@dataclass(frozen=True)
class River:
    """A running instance through which a day has gone."""

    instance: Running
    day: Day
    receiver: WebhookReceiver
    keys: dict[str, str]
    meter: Meter

    def look(self) -> Findings:
        return look_around(self.instance.deployment, self.day.truth, self.receiver.received)


@pytest.fixture(scope="module")
def river() -> Iterator[River]:
    day = simulate(SEED, PERSONS)
    with running(recorded=False) as instance:
        declared, faults = read_definitions(DEFINITIONS)
        assert not faults
        destination = next(each for each in declared if isinstance(each.value, Destination))
        receiver = WebhookReceiver(secret_for(instance.deployment, destination.value))  # type: ignore[arg-type]
        turned = replace(destination, value=msgspec.structs.replace(destination.value, url=receiver.url))
        apply_declared(instance.deployment, [turned if each is destination else each for each in declared])
        keys = write_keys(instance.deployment)
        meter = Meter()
        instance.runtime.on_call(meter)
        send_day(day.calls, instance.instance.collector, keys)
        assert instance.runtime.drain(DRAIN_S), instance.runtime.lag()
        yield River(instance, day, receiver, keys, meter)
        receiver.close()


def test_everything_is_found_as_planned(river: River) -> None:
    checks = list(compare(river.look(), river.day.truth))

    assert len(checks) >= 15
    assert [check for check in checks if not check.holds] == []


def test_no_function_asked_for_more_than_its_role_allows(river: River) -> None:
    assert river.instance.runtime.denied == []


def test_an_event_does_not_come_to_cost_more(river: River) -> None:
    """What `benchmarks/river_cost.py` shows in detail; half as much again, since batches form as time has it."""
    used, events = river.meter.usage(), river.day.truth.events

    assert 0.5 < used["dynamodb_write_units"] / events < 2.0
    assert 0.5 < used["dynamodb_read_units"] / events < 5.0
    assert used["kinesis_gb_in"] * 1e9 / events < 1_000


def test_audiences_were_entered_and_left(river: River) -> None:
    kinds = {each["type"] for each in river.receiver.received.deliveries.values()}

    always = {"Audience Entered", "Profile Merged", "Profile Split"}
    assert kinds - always <= {"Audience Exited"}, "who enters and leaves between two evaluations was never in"
    assert always <= kinds
    assert river.receiver.received.forged == 0


def test_a_profiles_collections_agree_with_the_whole(river: River) -> None:
    expected = max(river.day.truth.profiles, key=lambda profile: len(profile.audiences) * 1000 + profile.events)
    deployment, identifier = river.instance.deployment, expected.identifiers[0]

    whole = fetch_profile(deployment, identifier)

    assert fetch_profile(deployment, identifier, "traits")["traits"] == whole["traits"]
    assert fetch_profile(deployment, identifier, "identifiers")["identifiers"] == whole["identifiers"]
    assert fetch_profile(deployment, identifier, "audiences")["audiences"] == whole["audiences"]
    assert whole["audiences"]
    assert _count_timeline(deployment.description.api_url, deployment.token, identifier) == expected.events


def _count_timeline(api: str, token: str, identifier: str) -> int:
    """Turn the pages of a profile's events."""
    seen: set[str] = set()
    parameters: dict[str, Any] = {"limit": 7}
    while True:
        answer = httpx.get(
            f"{api}/v1/profiles/{identifier}/events", params=parameters, headers={"Authorization": f"Bearer {token}"}
        ).json()
        seen.update(event["message_id"] for event in answer["events"])
        if not answer["cursor"]["has_more"]:
            return len(seen)
        parameters["next"] = answer["cursor"]["next"]


def test_the_profile_api_wants_a_token(river: River) -> None:
    url = f"{river.instance.instance.api}/v1/profiles/user_id:u-000000"

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer not.a.token"}).status_code == 401
    other = river.instance.runtime.token(["onefold/something.else"])
    assert httpx.get(url, headers={"Authorization": f"Bearer {other}"}).status_code == 403


def test_a_message_that_is_no_event_is_kept_in_quarantine_with_its_reason(river: River) -> None:
    message = {"type": "track", "messageId": "nameless", "userId": "u-000000", "properties": {"a": 1}}

    answer = httpx.post(
        f"{river.instance.instance.collector}/v1/batch", json={"batch": [message]}, auth=(river.keys["server"], "")
    )
    assert river.instance.runtime.drain(DRAIN_S)

    assert (answer.status_code, answer.json()["quarantined"]) == (200, 1)
    kept = run_query(
        river.instance.deployment, "SELECT source, reason, from_utf8(from_base64(body)) AS body FROM quarantine"
    )
    assert [row[:2] for row in kept.rows] == [("server", "event_name_missing")]
    assert msgspec.json.decode(kept.rows[0][2] or "")["messageId"] == "nameless"


def test_the_same_day_sent_again_changes_nothing(river: River) -> None:
    before = river.look()
    transitions = len(river.receiver.received.deliveries)

    send_day(river.day.calls, river.instance.instance.collector, river.keys)
    assert river.instance.runtime.drain(DRAIN_S)

    after = river.look()
    assert after.profiles == before.profiles
    assert after.sales.rows == before.sales.rows
    assert after.collected.rows == before.collected.rows
    assert len(river.receiver.received.deliveries) == transitions
    raw = run_query(river.instance.deployment, "SELECT count(*) FROM raw_events")
    assert int(raw.rows[0][0] or 0) > river.day.truth.events * 1.9


@pytest.mark.filterwarnings("ignore:The copy keyword is deprecated")  # awswrangler with pandas 3
def test_awswrangler_reads_the_history_unchanged(river: River) -> None:
    about = river.instance.deployment.description
    session = boto3.Session(region_name=about.region)

    frame = awswrangler.athena.read_sql_query(
        "SELECT sum(cast(json_extract_scalar(properties, '$.total') AS decimal(18, 2))) AS gross, count(*) AS orders "
        "FROM events WHERE name = 'Order Completed'",
        database=about.glue_database,
        workgroup=about.workgroup,
        ctas_approach=False,
        boto3_session=session,
    )

    gross = sum((profile.gross for profile in river.day.truth.profiles), Decimal(0))
    orders = sum(profile.orders for profile in river.day.truth.profiles)
    assert (frame["gross"][0], frame["orders"][0]) == (gross, orders)


def test_who_buys_what_lay_in_the_cart_leaves_its_audience(river: River) -> None:
    """Each step is worked through before the next; stands last, for these events are none of the day's."""
    told = river.receiver.received.deliveries

    def say(event: str, **properties: object) -> None:
        consent = {"consent": {"categoryPreferences": {"marketing": True}}}
        message = {"userId": "late-buyer", "event": event, "properties": properties, "context": consent}
        answer = httpx.post(
            f"{river.instance.instance.collector}/v1/track", json=message, auth=(river.keys["server"], "")
        )
        assert answer.status_code == 200, answer.text
        assert river.instance.runtime.drain(DRAIN_S), river.instance.runtime.lag()

    def moves() -> list[str]:
        return [
            each["type"]
            for each in told.values()
            if each["data"].get("audience") == "cart_abandoners"
            and each["data"]["identifiers"].get("user_id") == ["late-buyer"]
        ]

    say("Product Added", product_id="p1")
    assert moves() == ["Audience Entered"]
    say("Order Completed", order_id="late-1", total=5, currency="EUR")
    assert sorted(moves()) == ["Audience Entered", "Audience Exited"]
