"""What identity resolution left out is told on the bus; what reached a profile's full size waits in quarantine."""

from typing import Any

import msgspec
import pytest

from onefold.adapters.eventbridge_bus import EventBridgeBus
from onefold.adapters.identity_findings import IdentityFindings
from onefold.adapters.s3_quarantine import S3Quarantine
from onefold.domain.errors import Unavailable
from onefold.domain.identity import LimitReached
from onefold.use_cases.stitch import stitch
from tests.fakes.events import NOON_MS, event, record
from tests.fakes.stores import MemoryFragments, MemoryGraph, MemoryTimeline


class Aws:
    """S3 and EventBridge as far as findings need them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.entries: list[dict[str, Any]] = []

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - S3's names
        self.objects[f"{Bucket}/{Key}"] = Body

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - EventBridge's
        self.entries += Entries
        return {"Entries": [{"EventId": "1"} for _ in Entries]}


def sink(aws: Aws) -> IdentityFindings:
    quarantine = S3Quarantine(lambda: aws, "lake")  # type: ignore[arg-type, return-value]
    return IdentityFindings(lambda: EventBridgeBus(aws, "bus"), quarantine)  # type: ignore[arg-type]


def test_every_finding_is_told_and_a_cap_is_quarantined_besides() -> None:
    aws = Aws()

    sink(aws).publish(
        [
            LimitReached("p_1", "email", "email", "web", "m1", NOON_MS),
            LimitReached("p_2", "device_id", "merges", "web", "m2", NOON_MS),
        ]
    )

    assert [entry["DetailType"] for entry in aws.entries] == ["Limit Reached", "Limit Reached"]
    assert msgspec.json.decode(aws.entries[0]["Detail"]) == {
        "profile_id": "p_1", "identifier_type": "email", "limit": "email", "source": "web", "message_id": "m1",
        "at": NOON_MS,
    }  # fmt: skip
    ((key, body),) = aws.objects.items()
    assert key.startswith("lake/quarantine/records/identity/dt=2025-06-15/p_2-merges-")
    assert msgspec.json.decode(body)["reason"] == "identity_cap_merges"


class Broken:
    def publish(self, findings: object) -> None:
        raise Unavailable("the bus is away")


def test_an_event_whose_finding_was_not_told_comes_again() -> None:
    """Nothing of it is folded before, or the finding would never be told."""
    fragments, graph, timeline = MemoryFragments(), MemoryGraph(), MemoryTimeline()
    crowd = [event("user_id:ann", f"email:e{number}@b.co") for number in range(3)]
    aws = Aws()

    report = stitch([record(1, *crowd)], fragments, graph, timeline, findings=Broken())
    assert set(report.failed) == {"1"}
    assert fragments.all() == {}
    report = stitch([record(1, *crowd)], fragments, graph, timeline, findings=sink(aws))

    assert report.failed == {}
    assert [msgspec.json.decode(entry["Detail"])["limit"] for entry in aws.entries] == ["email"]


@pytest.mark.parametrize(("limit", "is_cap"), [("merges", True), ("identifiers", True), ("email", False)])
def test_only_the_size_of_a_profile_is_a_cap(limit: str, is_cap: bool) -> None:
    assert LimitReached("p_1", "email", limit).is_cap is is_cap
