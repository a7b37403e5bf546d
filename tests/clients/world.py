"""The stacks running here with one source for each SDK, and the story that every SDK tells of its own person."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.apply import apply_definitions, write_keys
from cli.profile import fetch_profile
from cli.query import run_query
from cli.up import Running, running

DRAIN_S = 120

SOURCES = {
    "segment-python": "server",
    "segment-python-gzip": "server",
    "segment-python-old": "server",
    "analytics-python": "server",
    "rudder-python": "server",
    "snowplow-python": "server",
    "snowplow-python-get": "server",
    "segment-node": "server",
    "segment-node-old": "server",
    "analytics-node": "server",
    "rudder-node": "server",
    "snowplow-node": "server",
    "segment-browser": "browser",
    "segment-browser-old": "browser",
    "segment-batching": "browser",
    "segment-snippet": "browser",
    "rudder-browser": "browser",
    "rudder-browser-old": "browser",
    "rudder-batching": "browser",
    "rudder-beacon": "browser",
    "snowplow-browser": "browser",
    "snowplow-pixel": "browser",
}
PAGE = "https://shop.demo/hats?utm_source=newsletter&utm_medium=email&utm_campaign=spring"
CAMPAIGN = {"source": "newsletter", "medium": "email", "name": "spring"}
TITLE = "Hats"


@dataclass(frozen=True)
class Story:
    """What a person does: comes by a campaign's link, looks, says who she is, buys two, gives one back."""

    sdk: str

    @property
    def user(self) -> str:
        return f"{self.sdk}-kim"

    @property
    def email(self) -> str:
        return f"kim@{self.sdk}.posteo-demo.net"

    @property
    def device(self) -> str:
        return f"{self.sdk}-device"

    @property
    def former(self) -> str:
        return f"{self.sdk}-former"

    @property
    def traits(self) -> dict[str, Any]:
        return {"email": self.email, "firstName": "Kim", "plan": "gold"}

    @property
    def order(self) -> dict[str, Any]:
        products = [{"product_id": "hat-1", "name": "Hat", "price": 20.25, "quantity": 2}]
        return {"order_id": f"{self.sdk}-1", "total": 40.5, "currency": "EUR", "products": products}

    @property
    def refund(self) -> dict[str, Any]:
        return {"order_id": f"{self.sdk}-1", "total": 10.25, "currency": "EUR"}


@dataclass(frozen=True)
class World:
    """A running instance."""

    instance: Running
    keys: dict[str, str]

    @property
    def collector(self) -> str:
        return self.instance.instance.collector

    def settle(self) -> None:
        assert self.instance.runtime.drain(DRAIN_S), self.instance.runtime.lag()

    def profile(self, identifier: str) -> dict[str, Any]:
        return fetch_profile(self.instance.deployment, identifier)

    def stored(self, sdk: str) -> list[tuple[str | None, ...]]:
        """Message id, kind and name of what the lake has of a source, repeats left out; sorted by kind and name."""
        sql = f"SELECT message_id, kind, name FROM events WHERE source = '{sdk}' ORDER BY kind, name"  # noqa: S608
        return [tuple(row) for row in run_query(self.instance.deployment, sql).rows]

    def raw_count(self, sdk: str) -> int:
        sql = f"SELECT count(*) FROM raw_events WHERE source = '{sdk}'"  # noqa: S608
        return int(run_query(self.instance.deployment, sql).rows[0][0] or 0)


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Start the stacks, and apply a workspace of the sources alone."""
    (folder / "sources").mkdir(parents=True)
    for name, kind in SOURCES.items():
        text = f"kind: {kind}\nphone_region: DE\nbots: keep\n"
        if name.startswith("snowplow"):
            text += f"app_ids: [app-{name}]\n"
        (folder / "sources" / f"{name}.yaml").write_text(text)
    with running(recorded=False) as instance:
        apply_definitions(instance.deployment, folder)
        yield World(instance, write_keys(instance.deployment))


def check_story(world: World, story: Story, *, device: bool = True, traits: bool = True) -> dict[str, Any]:
    """See that everything that the story tells is in the person's profile, once."""
    profile = world.profile(f"user_id:{story.user}")

    found = {(each["type"], each["value"]) for each in profile["identifiers"]}
    expected = {("user_id", story.user), ("email", story.email)}
    assert expected <= found, found
    if device:
        assert ("anonymous_id", story.device) in found, found
    if traits:
        names = profile["traits"]
        assert {name: names.get(name) for name in story.traits} == story.traits
    assert profile["orders"] == {
        "EUR": {
            "orders": 1, "units": 2, "gross": "40.50", "refunded": "10.25", "refunded_units": 0, "net": "30.25",
            "cancelled": 0,
        }
    }  # fmt: skip
    for touch in ("first", "last"):
        campaign = profile["campaigns"][touch]
        assert campaign is not None
        assert {name: campaign.get(name) for name in CAMPAIGN} == CAMPAIGN
    times = {name: count["times"] for name, count in profile["events"].items()}
    assert times["track:Order Completed"] == times["track:Order Refunded"] == 1, times
    assert world.instance.runtime.denied == []
    return profile
