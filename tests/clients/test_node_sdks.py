"""Server SDKs for Node, and older ones for Python, unmodified, on a bad line: every event counts once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.faulty_proxy import EVERY_FAULT, Fault, FaultyProxy
from tests.clients.sdk_packages import FOLDER, REPOSITORY, node, python_folder
from tests.clients.world import CAMPAIGN, PAGE, TITLE, Story, World, check_story

SCRIPT = Path(__file__).with_name("node") / "servers.mjs"
SCRIPT_S = 120
ALL_KINDS = ["alias", "group", "identify", "page", "screen", "track", "track", "track"]
# These give a request up after four attempts, so that a plan of five faults would be one that no collector can mend.
THREE_FAULTS: tuple[Fault, ...] = ("500", "cut_after", "429")


def told(story: Story) -> str:
    names = ("user", "email", "device", "former", "traits", "order", "refund")
    document = {name: getattr(story, name) for name in names}
    return json.dumps(document | {"campaign": CAMPAIGN, "page": PAGE, "title": TITLE})


def run(command: list[str], more: dict[str, str]) -> dict[str, Any]:
    environment = os.environ | more
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=SCRIPT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


@pytest.mark.parametrize(
    ("sdk", "faults"),
    [
        ("segment-node", EVERY_FAULT),
        ("segment-node-old", THREE_FAULTS),
        ("analytics-node", THREE_FAULTS),
        ("rudder-node", THREE_FAULTS),
    ],
)
def test_a_server_sdk_for_node(world: World, sdk: str, faults: tuple[Fault, ...]) -> None:
    story = Story(sdk)
    with FaultyProxy(world.collector, faults) as proxy:
        command = [str(node()), str(SCRIPT), sdk, proxy.url, world.keys[sdk], told(story)]
        answer = run(command, {"CLIENTS_FOLDER": str(FOLDER)})
        assert not proxy.faults

    assert answer["problems"] == []
    world.settle()
    profile = check_story(world, story)
    assert story.former in {each["value"] for each in profile["identifiers"]}
    kinds = [row[1] for row in world.stored(sdk)]
    # The oldest SDKs know no screens.
    assert kinds in (ALL_KINDS, [kind for kind in ALL_KINDS if kind != "screen"])
    assert world.raw_count(sdk) > len(kinds)


def test_snowplows_tracker_for_node(world: World) -> None:
    story = Story("snowplow-node")
    with FaultyProxy(world.collector) as proxy:
        run([str(node()), str(SCRIPT), story.sdk, proxy.url, "", told(story)], {"CLIENTS_FOLDER": str(FOLDER)})

    world.settle()
    check_story(world, story, traits=False)
    assert [row[1:] for row in world.stored(story.sdk)] == [
        ("page", TITLE),
        ("track", "Order Completed"),
        ("track", "Order Refunded"),
    ]


@pytest.mark.parametrize(
    ("sdk", "module"), [("segment-python-old", "segment.analytics.client"), ("analytics-python", "analytics.client")]
)
def test_an_older_sdk_for_python(world: World, sdk: str, module: str) -> None:
    story = Story(sdk)
    script = str(Path(__file__).with_name("old_python_story.py"))
    with FaultyProxy(world.collector, EVERY_FAULT) as proxy:
        command = [sys.executable, "-W", "ignore", script, module, proxy.url, world.keys[sdk], told(story)]
        answer = run(command, {"PYTHONPATH": str(python_folder(sdk))})
        assert not proxy.faults

    assert answer["problems"] == []
    world.settle()
    check_story(world, story)
    assert [row[1] for row in world.stored(sdk)] == ALL_KINDS
