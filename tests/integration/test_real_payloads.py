"""Requests as SDKs and their documentation have them, one by one through the tracking API."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onefold.domain.source import Source
from onefold.edge.tracking_api import parse_tracking_request, respond
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import http_request

ROOT = Path(__file__).resolve().parents[2]
PAYLOADS = Path(os.environ.get("ONEFOLD_DATA", str(ROOT.parent / "shared" / "data"))) / "payloads"
SUITES = ("rudder-js-sanity-suite", "segment-spec-docs", "segment-direct-integration", "jitsu-datalayout")
KEY = "key-of-web"

# What the documentation's snippets leave out or garble, and RudderStack's groups without an id.
REFUSED_FOR = {"alias_incomplete", "group_id_missing", "properties_not_an_object", "traits_not_an_object"}


def payloads(suite: str) -> Iterator[dict[str, Any]]:
    path = PAYLOADS / f"{suite}.jsonl"
    if not path.exists():
        pytest.skip(f"there is no {path}; set ONEFOLD_DATA to the folder that holds payloads/")
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["endpoint"].startswith("/v1/"):
            yield row


@pytest.mark.parametrize("suite", SUITES)
def test_every_payload_is_stored_whole_or_refused_for_a_reason(suite: str) -> None:
    source = Source("web", KEY, kind="browser", phone_region="US")
    verdicts: Counter[str] = Counter()
    for row in payloads(suite):
        log = MemoryEventLog()
        collector = Collector(KnownSources(source), log, MemorySpool(), HASHER, lambda text, region: None)
        request = parse_tracking_request(http_request(row["endpoint"], row["body"], key=KEY))

        outcome = respond(request, lambda collector=collector: collector).outcome  # type: ignore[misc]

        assert outcome is not None
        events = [event for _, batch in log.batches for event in batch.events]
        sent = row["body"]["batch"] if row["endpoint"] == "/v1/batch" else [row["body"]]
        assert len(events) + len(outcome.refused) == len(sent)
        verdicts.update(refusal.reason for _, refusal in outcome.refused)
        verdicts["accepted"] += len(events)
        if row.get("has_identifier"):
            assert all(event.identifiers for event in events), row["id"]
        for message, event in zip(sent, events, strict=False) if not outcome.refused else ():
            assert json.loads(event.properties).items() >= (message.get("properties") or {}).items()

    assert set(verdicts) <= REFUSED_FOR | {"accepted"}
    assert verdicts["accepted"] >= 0.9 * verdicts.total()
