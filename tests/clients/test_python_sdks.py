"""The Python SDKs of Segment, RudderStack and Snowplow, unmodified, on a bad line: every event counts once."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import rudderstack.analytics.client as rudder
import segment.analytics.client as segment
from snowplow_tracker import Emitter, PageView, SelfDescribing, SelfDescribingJson, StructuredEvent, Subject, Tracker

from tests.clients.faulty_proxy import EVERY_FAULT, FaultyProxy
from tests.clients.world import CAMPAIGN, PAGE, TITLE, Story, World, check_story

IGLU = "iglu:com.snowplowanalytics.snowplow"
SENT_S, QUIET_S = 60, 3

# SDKs log what the proxy does to them.
pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("segment", "rudderstack", "snowplow_tracker", "backoff")]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)


def tell(client: Any, story: Story) -> None:
    """The story through an interface that Segment's and RudderStack's clients share."""
    context = {"campaign": CAMPAIGN, "page": {"url": PAGE, "title": TITLE}}
    client.page(anonymous_id=story.device, name=TITLE, properties={"url": PAGE}, context=context)
    client.track(anonymous_id=story.device, event="Product Viewed", properties={"product_id": "hat-1"})
    client.identify(user_id=story.user, anonymous_id=story.device, traits=story.traits)
    client.track(user_id=story.user, event="Order Completed", properties=story.order)
    client.track(user_id=story.user, event="Order Refunded", properties=story.refund)
    client.screen(user_id=story.user, name="Basket")
    client.group(user_id=story.user, group_id="acme", traits={"seats": 5})
    client.alias(previous_id=story.former, user_id=story.user)


def check_all_kinds(world: World, story: Story) -> None:
    profile = check_story(world, story)
    assert story.former in {each["value"] for each in profile["identifiers"]}
    kinds = [row[1] for row in world.stored(story.sdk)]
    assert kinds == ["alias", "group", "identify", "page", "screen", "track", "track", "track"]
    assert world.raw_count(story.sdk) > len(kinds)  # what came twice is in the history twice, and counts once


@pytest.mark.parametrize("compressed", [False, True])
def test_segments_sdk(world: World, *, compressed: bool) -> None:
    story = Story("segment-python-gzip" if compressed else "segment-python")
    errors: list[Any] = []
    with FaultyProxy(world.collector, EVERY_FAULT) as proxy:
        client = segment.Client(
            world.keys[story.sdk],
            host=proxy.url,
            gzip=compressed,
            upload_size=2,
            on_error=lambda error, items: errors.append(error),
        )
        tell(client, story)
        client.shutdown()
        assert not proxy.faults

    assert errors == []
    world.settle()
    check_all_kinds(world, story)


def test_rudderstacks_sdk(world: World) -> None:
    story = Story("rudder-python")
    errors: list[Any] = []
    with FaultyProxy(world.collector, EVERY_FAULT) as proxy:
        client = rudder.Client(
            world.keys[story.sdk], host=proxy.url, upload_size=2, on_error=lambda error, items: errors.append(error)
        )
        tell(client, story)
        client.flush()
        client.join()
        assert not proxy.faults

    assert errors == []
    world.settle()
    check_all_kinds(world, story)


@pytest.mark.parametrize("method", ["post", "get"])
def test_snowplows_tracker(world: World, method: Any) -> None:
    story = Story("snowplow-python" if method == "post" else "snowplow-python-get")
    with FaultyProxy(world.collector, EVERY_FAULT if method == "post" else ()) as proxy:
        emitter = Emitter("127.0.0.1", "http", int(proxy.host.partition(":")[2]), method, 2, max_retry_delay_seconds=1)
        tell_snowplow(emitter, story)
        # A batch that is under way is in no list of the emitter's: only some quiet tells that all is sent.
        deadline, quiet_since, seen = time.monotonic() + SENT_S, time.monotonic(), -1
        while proxy.faults or time.monotonic() - quiet_since < QUIET_S:
            assert time.monotonic() < deadline
            if len(proxy.requests) != seen or emitter.event_store.size():
                seen, quiet_since = len(proxy.requests), time.monotonic()
            emitter.flush()
            time.sleep(0.2)
        assert not proxy.faults

    world.settle()
    check_story(world, story, traits=False)
    stored = [row[1:] for row in world.stored(story.sdk)]
    names = ("Order Completed", "Order Refunded", "link_click", "play")
    assert stored == [("page", TITLE), *(("track", name) for name in names)]


def tell_snowplow(emitter: Emitter, story: Story) -> None:
    subject = Subject()
    subject.set_domain_user_id(story.device)
    tracker = Tracker("t", emitter, subject=subject, app_id=f"app-{story.sdk}")
    tracker.track(PageView(PAGE, TITLE))
    tracker.track(StructuredEvent("video", "play", "intro", "hd", 12.5))
    tracker.track(SelfDescribing(SelfDescribingJson(f"{IGLU}/link_click/jsonschema/1-0-1", {"targetUrl": PAGE})))
    subject.set_user_id(story.user)
    order, refund = story.order, story.refund
    action = SelfDescribingJson(f"{IGLU}.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": "transaction"})
    transaction = {"transaction_id": order["order_id"], "revenue": order["total"], "currency": "EUR"}
    product = {"id": "hat-1", "category": "hats", "price": 20.25, "quantity": 2, "currency": "EUR"}
    user = {"id": story.user, "email": story.email}
    contexts = [
        SelfDescribingJson(f"{IGLU}.ecommerce/transaction/jsonschema/1-0-0", transaction),
        SelfDescribingJson(f"{IGLU}.ecommerce/product/jsonschema/1-0-0", product),
        SelfDescribingJson(f"{IGLU}.ecommerce/user/jsonschema/1-0-0", user),
    ]
    tracker.track(SelfDescribing(action, context=contexts))
    back = SelfDescribingJson(f"{IGLU}.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": "refund"})
    refunded = {"transaction_id": order["order_id"], "refund_amount": refund["total"], "currency": "EUR"}
    tracker.track(
        SelfDescribing(back, context=[SelfDescribingJson(f"{IGLU}.ecommerce/refund/jsonschema/1-0-0", refunded)])
    )
    tracker.flush()
