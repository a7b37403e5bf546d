"""Browser SDKs in headless Chromium, unmodified, across origins and on a bad line: every event counts once."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.clients.faulty_proxy import EVERY_FAULT, Fault, FaultyProxy
from tests.clients.sdk_packages import FOLDER, node
from tests.clients.test_node_sdks import run, told
from tests.clients.world import Story, World, check_story

SCRIPT = Path(__file__).with_name("node") / "browser.mjs"
SENT = {"page": 1, "identify": 1, "Product Viewed": 1, "Order Completed": 1, "Order Refunded": 1, "Left": 1}
SENT_BY_SNOWPLOW = {"page": 1, "play": 1, "Order Completed": 1, "Order Refunded": 1, "Left": 1}
# Resent after `identify`, an anonymous event has become the person's: another fragment's, which does not know it yet.
RENAMING = {"segment-browser", "segment-browser-old", "segment-snippet"}
CUTS: tuple[Fault, ...] = ("cut_after", "cut")


@pytest.mark.parametrize(
    ("sdk", "faults"),
    [
        ("segment-browser", EVERY_FAULT),
        ("segment-snippet", EVERY_FAULT),
        ("segment-batching", ("500", "cut_after")),
        # It sends nothing again that was answered, whatever the answer.
        ("segment-browser-old", CUTS),
        ("rudder-browser", ("500", "cut_after", "429")),
        ("rudder-batching", ("500", "cut_after")),
        ("rudder-browser-old", ("500", "cut_after")),
        ("rudder-beacon", ()),
        ("snowplow-browser", ("500", "cut_after", "429")),
        ("snowplow-pixel", ()),
    ],
)
def test_a_browsers_sdk(world: World, sdk: str, faults: tuple[Fault, ...]) -> None:
    story = Story(sdk)
    with FaultyProxy(world.collector, faults) as proxy:
        command = [str(node()), str(SCRIPT), sdk, proxy.url, world.keys[sdk], told(story)]
        answer = run(command, {"CLIENTS_FOLDER": str(FOLDER)})
        assert not proxy.faults, proxy.requests

    assert answer == {"problems": [], "foreign": []}
    world.settle()
    is_snowplow = sdk.startswith("snowplow")
    stored = Counter(name if kind == "track" else kind for _, kind, name in world.stored(sdk))
    assert stored == (SENT_BY_SNOWPLOW if is_snowplow else SENT)
    profile = check_story(world, story, device=False, traits=not is_snowplow)
    devices = [each["value"] for each in profile["identifiers"] if each["type"] == "anonymous_id"]
    assert len(devices) == 1
    times = sum(count["times"] for count in profile["events"].values())
    assert stored.total() <= times <= stored.total() + (len(faults) if sdk in RENAMING else 0)


def test_the_browser_is_the_one_that_comes_with_the_packages() -> None:
    script = "const c = require('@sparticuz/chromium').default; c.executablePath().then((path) => console.log(path))"
    path = subprocess.run(
        [str(node()), "-e", script],
        cwd=FOLDER,
        env=os.environ | {"NODE_PATH": str(FOLDER / "node_modules")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    assert Path(path).is_file()
