"""Requests as SDKs and their documentation have them, one by one through the tracking API."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.domain.source import Source
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import http_request

ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = Path(os.environ.get("ONEFOLD_DATA", str(ROOT.parent / "shared" / "data"))) / "payloads"
SUITES = {
    "rudder-js-sanity-suite": 46,
    "segment-spec-docs": 244,
    "segment-direct-integration": 98,
    "jitsu-datalayout": 4,
}
KEY = "key-of-web"

# What the documentation's snippets leave out or garble, and RudderStack's groups without an id.
REFUSED_FOR = {"alias_incomplete", "group_id_missing", "properties_not_an_object", "traits_not_an_object"}


def payloads(suite: str) -> Iterator[dict[str, Any]]:
    path = PAYLOADS / f"{suite}.jsonl"
    if not path.exists():
        pytest.skip(f"there is no {path}; set ONEFOLD_DATA to the folder that holds payloads/")
    for line in path.read_text().splitlines():
        yield json.loads(line)


def request_of(row: dict[str, Any]) -> dict[str, Any]:
    method, _, path = row["endpoint"].rpartition(" ")
    body = row["body"] if not method else None
    return http_request(path, body, method=method or "POST", key=KEY)


@pytest.mark.parametrize("suite", SUITES)
def test_every_payload_gets_a_verdict_and_is_stored_whole_or_kept_aside_for_a_reason(suite: str) -> None:
    source = Source("web", KEY, kind="browser", phone_region="US")
    verdicts: Counter[str] = Counter()
    for row in payloads(suite):
        log = MemoryEventLog()
        collector = Collector(KnownSources(source), log, MemorySpool(), HASHER, lambda text, region: None)

        reply = respond(parse_tracking_request(request_of(row)), lambda collector=collector: collector)  # type: ignore[misc]

        document = json.loads(reply.answer["body"])
        assert reply.answer["statusCode"] == 200, row["id"]
        if row["endpoint"].startswith("GET "):
            assert document["source"]["writeKey"] == KEY
            verdicts["shown"] += 1
            continue
        events = [event for _, batch in log.batches for event in batch.events]
        sent = row["body"]["batch"] if row["endpoint"] == "/v1/batch" else [row["body"]]
        told = [each.get("code", each["status"]) for each in document.get("events", ())]
        assert len(events) + len(told) == len(sent), row["id"]
        verdicts.update(told)
        verdicts["accepted"] += len(events)
        if row.get("has_identifier"):
            assert all(event.identifiers for event in events), row["id"]
        for message, event in zip(sent, events, strict=False) if not told else ():
            assert json.loads(event.properties).items() >= (message.get("properties") or {}).items()

    assert set(verdicts) <= REFUSED_FOR | {"accepted", "shown"}
    assert verdicts["accepted"] + verdicts["shown"] >= 0.9 * verdicts.total()
    assert verdicts.total() >= SUITES[suite]
