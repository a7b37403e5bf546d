"""What became of each message, asked of a running deployment; and refused ones repaired and sent again, once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from cli.apply import apply_definitions, write_keys
from cli.inspecting import ask, list_entries, replay_entries
from cli.profile import fetch_profile
from cli.query import run_query
from cli.redrive import redrive_batches
from cli.up import Running, running
from infra.local import calls
from infra.local.functions import CURRENT_FUNCTION
from onefold.use_cases.redrive import Redriven

DRAIN_S = 90


@dataclass
class Deployed:
    """A running instance with the example definitions."""

    instance: Running
    keys: dict[str, str] = field(default_factory=dict)

    def send(self, *messages: dict[str, Any], source: str = "server", drain: bool = True) -> dict[str, Any]:
        url = f"{self.instance.instance.collector}/v1/batch"
        answer = httpx.post(url, json={"batch": list(messages)}, auth=(self.keys[source], ""), timeout=30)
        assert answer.status_code == 200, answer.text
        if drain:
            self.drain()
        document: dict[str, Any] = answer.json()
        return document

    def drain(self) -> None:
        assert self.instance.runtime.drain(DRAIN_S), self.instance.runtime.lag()

    def trace(self, message_id: str, **parameters: str) -> list[dict[str, Any]]:
        document = ask(self.instance.deployment, "/v1/trace", {"message_id": message_id, **parameters})
        found: list[dict[str, Any]] = document["found"]
        return found

    def listed(self, **filters: Any) -> list[dict[str, Any]]:
        return list(list_entries(self.instance.deployment, filters, 1_000))

    def replay(self, *entry_ids: str, force: bool = False, **repair: Any) -> list[dict[str, Any]]:
        return list(replay_entries(self.instance.deployment, entry_ids, repair, force=force))

    def times(self, identifier: str, event: str) -> int:
        profile = fetch_profile(self.instance.deployment, identifier)
        return int(profile["events"].get(event, {"times": 0})["times"])


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    definitions = tmp_path_factory.mktemp("definitions")
    (definitions / "sources").mkdir()
    for name in ("server", "till"):
        (definitions / "sources" / f"{name}.yaml").write_text("kind: server\n")
    with running(recorded=False) as instance:
        apply_definitions(instance.deployment, definitions)
        yield Deployed(instance, write_keys(instance.deployment))
        assert instance.runtime.denied == []


def track(message_id: str, user_id: str, event: str | None = "Shoe Looked At", **fields: Any) -> dict[str, Any]:
    named = {} if event is None else {"event": event}
    return {"type": "track", "messageId": message_id, "userId": user_id, **named, **fields}


def test_an_accepted_message_leads_to_its_profile_and_its_file(deployed: Deployed) -> None:
    deployed.send(track("t-accepted", "trace-1"))

    [found] = deployed.trace("t-accepted")

    profile = fetch_profile(deployed.instance.deployment, "user_id:trace-1")
    assert (found["source"], found["state"], found["profile_id"]) == ("server", "stitched", profile["profile_id"])
    [arrival] = found["arrivals"]
    assert (arrival["counted"], arrival["folded"]) == (True, "recent")
    [file] = arrival["files"]
    assert f"/raw/dt={arrival['dt']}/hour={arrival['hour']}/" in file
    rows = run_query(
        deployed.instance.deployment, "SELECT sequence, \"$path\" FROM raw_events WHERE message_id = 't-accepted'"
    )
    assert rows.rows == ((arrival["sequence"], file),)


def test_a_repeat_is_told_from_the_arrival_that_counted(deployed: Deployed) -> None:
    """F06: the client sends the same message in three requests."""
    for _ in range(3):
        deployed.send(track("t-repeated", "trace-2"))

    [found] = deployed.trace("t-repeated")

    assert found["state"] == "stitched"
    assert [arrival["counted"] for arrival in found["arrivals"]] == [True, False, False]
    sequences = [int(arrival["sequence"]) for arrival in found["arrivals"]]
    assert sequences == sorted(set(sequences))
    assert deployed.times("user_id:trace-2", "track:Shoe Looked At") == 1


def test_the_same_id_from_two_sources_is_two_messages(deployed: Deployed) -> None:
    """F09: two sources use one id."""
    deployed.send(track("t-both", "trace-3"))
    deployed.send(track("t-both", "trace-3"), source="till")

    assert [found["source"] for found in deployed.trace("t-both")] == ["server", "till"]
    [only] = deployed.trace("t-both", source="till")
    assert (only["source"], only["state"]) == ("till", "stitched")


def test_a_message_that_names_nobody_is_unresolved(deployed: Deployed) -> None:
    deployed.send({"type": "track", "messageId": "t-nobody", "event": "Shoe Looked At"})

    [found] = deployed.trace("t-nobody")

    assert (found["state"], found["profile_id"]) == ("unresolved", None)
    assert found["violations"] == ["identifier_missing"]


def test_an_unknown_message_is_not_found(deployed: Deployed) -> None:
    assert deployed.trace("t-never-sent") == []
    assert deployed.trace("t-'; DROP TABLE quarantine --") == []


def test_a_refused_message_is_listed_once_shown_whole_and_replayed_once(deployed: Deployed) -> None:
    """F06 for refused messages: the file is resent, so the quarantine holds the bytes twice."""
    nameless = track("t-refused", "trace-4", event=None, properties={"size": 44, "note": "größer"})
    deployed.send(nameless)
    deployed.send(nameless)

    [entry] = deployed.listed(message_id="t-refused")
    assert (entry["reason"], entry["copies"], entry["component"]) == ("event_name_missing", 2, "collect")
    [found] = deployed.trace("t-refused")
    assert (found["state"], found["quarantined"]) == ("quarantined", [entry])
    shown = ask(deployed.instance.deployment, f"/v1/quarantine/{entry['entry_id']}", {})
    assert httpx.Request("POST", "http://x", json={"batch": [nameless]}).content.find(shown["body"].encode()) > 0

    assert deployed.replay(entry["entry_id"])[0]["status"] == "refused"
    assert deployed.replay(entry["entry_id"])[0]["reason"] == "event_name_missing"
    [sent] = deployed.replay(entry["entry_id"], patch={"event": "Shoe Sold"})
    [again] = deployed.replay(entry["entry_id"], patch={"event": "Shoe Sold"})
    [forced] = deployed.replay(entry["entry_id"], patch={"event": "Shoe Sold"}, force=True)
    deployed.drain()

    assert (sent["status"], again["status"], forced["status"]) == ("replayed", "already_replayed", "replayed")
    assert deployed.times("user_id:trace-4", "track:Shoe Sold") == 1
    [traced] = deployed.trace("t-refused")
    assert (traced["state"], [each["counted"] for each in traced["arrivals"]]) == ("stitched", [True, False])
    assert traced["quarantined"][0]["replays"] == 2
    assert traced["at"] == entry["received_at"] < entry["last_received_at"]


def test_two_replays_at_once_send_one(deployed: Deployed) -> None:
    deployed.send(*(track(f"t-raced-{number}", "trace-5", event=None) for number in range(5)))
    ids = [entry["entry_id"] for entry in deployed.listed(reason="event_name_missing") if "t-raced" in str(entry)]
    assert len(ids) == 5

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: deployed.replay(*ids, patch={"event": "Shoe Raced"}), range(4)))
    deployed.drain()

    statuses = [each["status"] for run in runs for each in run]
    assert statuses.count("replayed") == 5
    assert set(statuses) <= {"replayed", "already_replayed", "in_progress"}
    raw = run_query(
        deployed.instance.deployment, "SELECT count(*) FROM raw_events WHERE name = 'Shoe Raced' AND dt > '2025-01-01'"
    )
    assert raw.rows == (("5",),)


def test_a_message_keeps_what_its_request_said_beside_it(deployed: Deployed) -> None:
    """The route says the type, the batch the context and the time of sending."""
    key, collector = deployed.keys["server"], deployed.instance.instance.collector
    single = {"messageId": "t-routed", "userId": "trace-6"}
    httpx.post(f"{collector}/v1/track", json=single, auth=(key, ""), timeout=30)
    batch = {"batch": [track("t-context", "trace-6", event=None)], "context": {"locale": "de-DE"}}
    httpx.post(f"{collector}/v1/batch", json=batch, auth=(key, ""), timeout=30)
    deployed.drain()
    ids = [entry["entry_id"] for name in ("t-routed", "t-context") for entry in deployed.listed(message_id=name)]

    replays = deployed.replay(*ids, patch={"event": "Shoe Kept"})
    deployed.drain()

    assert [each["status"] for each in replays] == ["replayed", "replayed"]
    rows = run_query(
        deployed.instance.deployment,
        "SELECT message_id, json_extract_scalar(context, '$.locale') FROM events WHERE name = 'Shoe Kept' ORDER BY 1",
    )
    assert rows.rows == (("t-context", "de-DE"), ("t-routed", None))


def test_what_is_no_json_needs_a_whole_message_in_its_place(deployed: Deployed) -> None:
    collector, key = deployed.instance.instance.collector, deployed.keys["server"]
    body = (
        b'{"batch":[{"type":"track","messageId":"t-nan","userId":"trace-7","event":"Paid","properties":{"total":NaN}}]}'
    )
    httpx.post(f"{collector}/v1/batch", content=body, auth=(key, ""), timeout=30)
    deployed.drain()
    [entry] = [each for each in deployed.listed(reason="json_invalid") if each["source"] == "server"]

    [refused] = deployed.replay(entry["entry_id"], patch={"properties": {"total": 1}})
    [sent] = deployed.replay(entry["entry_id"], message=track("ignored", "trace-7", "Paid", properties={"total": 1}))
    deployed.drain()

    assert (refused["status"], refused["reason"], sent["status"]) == ("refused", "message_unreadable", "replayed")
    [found] = deployed.trace(entry["message_id"])
    assert found["state"] == "stitched"
    assert deployed.trace("ignored") == []


def test_each_route_wants_its_own_scope(deployed: Deployed) -> None:
    api, token = deployed.instance.instance.api, deployed.instance.runtime.token
    scopes = {
        ("GET", "/v1/trace?message_id=x"): "onefold/events.read",
        ("GET", "/v1/quarantine"): "onefold/quarantine.read",
        ("GET", f"/v1/quarantine/2026-01-01-{'0' * 24}"): "onefold/quarantine.read",
        ("POST", "/v1/quarantine/replays"): "onefold/quarantine.replay",
    }

    for (method, path), wanted in scopes.items():
        for scope in {*scopes.values(), "onefold/profiles.read"}:
            headers = {"Authorization": f"Bearer {token([scope])}"}
            answer = httpx.request(method, api + path, headers=headers, timeout=30)
            assert (answer.status_code == 403) == (scope != wanted), (method, path, scope, answer.text)
        assert httpx.request(method, api + path, timeout=30).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/trace", None, 400, "message_id_invalid"),
        ("GET", "/v1/trace?message_id=x&days=0", None, 400, "days_invalid"),
        ("GET", "/v1/trace?message_id=x&shoe=44", None, 400, "parameter_unknown"),
        ("GET", "/v1/quarantine?limit=500", None, 400, "limit_invalid"),
        ("GET", "/v1/quarantine?since=yesterday", None, 400, "day_invalid"),
        ("GET", "/v1/quarantine?next=%25", None, 400, "cursor_invalid"),
        ("GET", "/v1/quarantine/shoe", None, 400, "entry_id_invalid"),
        ("GET", f"/v1/quarantine/2026-01-01-{'0' * 24}", None, 404, "entry_not_found"),
        ("POST", "/v1/quarantine/replays", "no json", 400, "body_unreadable"),
        ("POST", "/v1/quarantine/replays", '{"entries": []}', 400, "too_many_entries"),
        ("POST", "/v1/quarantine/replays", '{"entries": ["shoe"]}', 400, "entry_id_invalid"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(
    deployed: Deployed, *, method: str, path: str, body: str | None, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {deployed.instance.instance.token}", "Content-Type": "application/json"}

    answer = httpx.request(method, deployed.instance.instance.api + path, headers=headers, content=body, timeout=30)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_lists_come_in_pages_without_gaps(deployed: Deployed) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    deployed.send(*({"type": "shoe", "messageId": f"t-paged-{number}"} for number in range(7)))

    whole = [entry["entry_id"] for entry in deployed.listed(reason="kind_unknown", since=day)]
    pages: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = ask(deployed.instance.deployment, "/v1/quarantine", {"reason": "kind_unknown", "limit": 3, **after})
        pages += [entry["entry_id"] for entry in page["entries"]]
        if not page["cursor"]["has_more"]:
            break
        after = {"next": page["cursor"]["next"]}

    assert len(whole) == 7
    assert pages == whole


@contextmanager
def failing(deployed: Deployed, function: str, service: str, operation: str, key: str = "") -> Iterator[None]:
    """Let one call of a function, on an object whose key begins so, fail for good, as a defect would."""
    name = deployed.instance.deployment.description.functions[function]

    def refuse(called: str, asked: str, params: dict[str, Any]) -> None:
        is_meant = (called, asked) == (service, operation) and str(params.get("Key", "")).startswith(key)
        if CURRENT_FUNCTION.get() == name and is_meant:
            raise RuntimeError("broken")

    remove = calls.guard(refuse)
    try:
        yield
    finally:
        remove()


def redriven(deployed: Deployed, **options: Any) -> list[Redriven]:
    arguments = {"function": "", "look_only": False, "force": False, **options}
    return list(redrive_batches(deployed.instance.deployment, **arguments))


def test_f17_what_stitch_gave_up_comes_back_as_new_records_and_counts_once(deployed: Deployed) -> None:
    """F17: a record fails until its retries are used up, and Lambda sets it aside."""
    with failing(deployed, "stitch", "dynamodb", "BatchWriteItem"):
        deployed.send(track("t-given-up", "trace-8", "Shoe Lost"), {"type": "shoe", "messageId": "t-beside"})
    deployed.send(track("t-after", "trace-8", "Shoe Found"))  # the cursor passes the lost record
    assert deployed.times("user_id:trace-8", "track:Shoe Lost") == 0
    assert deployed.trace("t-given-up")[0]["state"] == "missing"

    [waiting] = redriven(deployed, look_only=True)
    [done] = redriven(deployed)
    [again] = redriven(deployed)
    [forced] = redriven(deployed, force=True)
    deployed.drain()

    assert (waiting.status, waiting.function, waiting.condition) == ("waiting", "stitch", "RetryAttemptsExhausted")
    assert (done.status, done.events, again.status, forced.status) == ("redriven", 1, "already_redriven", "redriven")
    assert deployed.times("user_id:trace-8", "track:Shoe Lost") == 1
    assert deployed.trace("t-given-up")[0]["state"] == "stitched"
    assert deployed.listed(message_id="t-beside")[0]["copies"] == 1


def test_what_archive_gave_up_goes_to_the_lake_alone(deployed: Deployed) -> None:
    with failing(deployed, "archive", "s3", "PutObject", "raw/"):
        deployed.send(track("t-unarchived", "trace-9", "Shoe Lost"))
    assert deployed.trace("t-unarchived") == []

    [done] = redriven(deployed, function="archive")

    assert (done.status, done.records, done.events) == ("redriven", 1, 1)
    deployed.drain()
    [found] = deployed.trace("t-unarchived")
    assert (found["state"], len(found["arrivals"])) == ("stitched", 1)
    assert deployed.times("user_id:trace-9", "track:Shoe Lost") == 1
