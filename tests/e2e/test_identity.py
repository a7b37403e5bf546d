"""Decisions about identities from the API and the command line, under the roles of the stacks, down to memberships."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cli import identity as commands
from cli.apply import write_keys
from cli.deployment import record_instance
from cli.profile import fetch_profile
from cli.up import DEFINITIONS, Running, running

DRAIN_S = 60
AUDIENCE = "-- purpose: analytics\n(SELECT count(*) FROM events WHERE name = 'Order Completed') >= 2\n"


@dataclass(frozen=True)
class Shop:
    """A running instance with one audience: who has ordered twice."""

    instance: Running
    key: str

    def send(self, *messages: dict[str, Any]) -> None:
        answer = httpx.post(
            f"{self.instance.instance.collector}/v1/batch", json={"batch": list(messages)}, auth=(self.key, "")
        )
        assert answer.status_code == 200, answer.text
        self.settle()

    def settle(self) -> None:
        assert self.instance.runtime.drain(DRAIN_S), self.instance.runtime.lag()

    def api(self, method: str, path: str, **request: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.instance.instance.token}", **request.pop("headers", {})}
        url = f"{self.instance.instance.api}/v1/identity/{path}"
        answer = httpx.request(method, url, headers=headers, timeout=30, **request)
        return answer.status_code, answer.json()

    def profile(self, identifier: str) -> dict[str, Any]:
        return fetch_profile(self.instance.deployment, identifier)

    def command(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        outcome = CliRunner().invoke(commands.identity, [*arguments, "--json"])
        assert outcome.exit_code == code, (outcome.output, outcome.exception)
        document: dict[str, Any] = json.loads(outcome.stdout)
        return document


def order(number: int, **who: Any) -> dict[str, Any]:
    properties = {"order_id": f"o{number}", "total": 10.0 * number, "currency": "EUR"}
    return {"type": "track", "event": "Order Completed", "messageId": f"order-{number}", "properties": properties} | who


def shown(card: str, device: str, message_id: str) -> dict[str, Any]:
    external = [{"id": card, "type": "external_id", "collection": "users", "encoding": "none"}]
    named = {"type": "track", "event": "Card Shown", "messageId": message_id, "anonymousId": device}
    return named | {"context": {"externalIds": external}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("definitions")
    (folder / "audiences").mkdir()
    (folder / "audiences" / "ordered_twice.sql").write_text(AUDIENCE)
    (folder / "sources").mkdir()
    (folder / "sources" / "server.yaml").write_text((DEFINITIONS / "sources" / "server.yaml").read_text())
    from cli.apply import apply_definitions

    with running() as instance:
        record_instance(instance.instance)
        apply_definitions(instance.deployment, folder)
        yield Shop(instance, write_keys(instance.deployment)["server"])


@pytest.fixture(scope="module")
def couple(shop: Shop) -> tuple[str, str]:
    """Two customers, Ada and Ben, whom one till's card has brought together; each has bought once."""
    consent = {"context": {"consent": {"categoryPreferences": {"analytics": True}}}}
    shop.send(
        {"type": "identify", "messageId": "ada", "anonymousId": "ada-phone", **consent, "traits": {"name": "Ada"}}
    )
    shop.send(
        {"type": "identify", "messageId": "ben", "anonymousId": "ben-phone", **consent, "traits": {"name": "Ben"}}
    )
    shop.send(order(1, anonymousId="ada-phone"), order(2, anonymousId="ben-phone"))
    ids = tuple(shop.profile(f"anonymous_id:{name}-phone")["profile_id"] for name in ("ada", "ben"))
    for name in ("ada", "ben"):
        shop.send(shown("till-7", f"{name}-phone", f"card-{name}"))
    return ids[0], ids[1]


def test_a_split_gives_both_their_ids_their_facts_and_their_memberships_back(
    shop: Shop, couple: tuple[str, str]
) -> None:
    ada, ben = couple
    together = shop.profile("anonymous_id:ben-phone")
    assert together["profile_id"] == ada
    assert [each["audience"] for each in together["audiences"]] == ["ordered_twice"]
    sides = {"left": "anonymous_id:ada-phone", "right": "anonymous_id:ben-phone"}
    status, why = shop.api("GET", "explain", params=sides)
    assert (status, why["verdict"]) == (200, "together")
    assert [each["message_id"] for each in why["path"]] == ["card-ada", "card-ben"]

    status, rehearsed = shop.api("POST", "decisions", params={"dry_run": "true"}, json={"action": "split", **sides})
    assert (status, rehearsed["dry_run"]) == (200, True)
    assert [each["profile_id"] for each in rehearsed["profiles_after"]] == [ada, ben]
    assert shop.profile("anonymous_id:ben-phone")["profile_id"] == ada, "a dry run wrote"

    asked = {"action": "split", **sides, "reason": "two people at one till"}
    headers = {"Idempotency-Key": "till-7"}
    status, record = shop.api("POST", "decisions", json=asked, headers=headers)
    assert status == 200, record
    assert shop.api("POST", "decisions", json=asked, headers=headers) == (200, record)
    shop.settle()

    assert (record["before"], record["after"], record["retracted"]) == ([ada], [ada, ben], 1)
    mine, other = (shop.profile(f"profile_id:{each}") for each in (ada, ben))
    assert (mine["profile_id"], other["profile_id"]) == (ada, ben)
    assert (mine["traits"]["name"], other["traits"]["name"]) == ("Ada", "Ben")
    assert (mine["orders"]["EUR"]["net"], other["orders"]["EUR"]["net"]) == ("10.00", "20.00")
    assert mine["audiences"] == other["audiences"] == [], "who ordered once each is no more in the audience"
    status, why = shop.api("GET", "explain", params=sides)
    assert (why["verdict"], why["parted"][0]["decision_id"]) == ("parted", "till-7")
    assert why["path"][-1]["retracted"]["by"] == "till-7"


def test_the_graph_as_of_before_the_split_is_what_it_was(shop: Shop, couple: tuple[str, str]) -> None:
    _, record = shop.api("GET", "decisions/till-7")
    before = {"identifier": "anonymous_id:ben-phone", "as_of": str(record["at"] - 1)}

    _, today = shop.api("GET", "graph", params={"identifier": before["identifier"]})
    _, then = shop.api("GET", "graph", params=before | {"as_of": _iso(record["at"] - 1)})

    assert {each["value"] for each in today["identifiers"]} == {"ben-phone"}
    assert {each["value"] for each in then["identifiers"]} == {"ada-phone", "ben-phone", "till-7"}
    assert (then["profile_id"], then["profile_id_now"]) == couple


def test_the_same_card_does_not_bring_them_together_again_unless_somebody_allows_it(
    shop: Shop, couple: tuple[str, str]
) -> None:
    seen = (("till-7", "ben-phone", "again"), ("till-8", "ada-phone", "a8"), ("till-8", "ben-phone", "b8"))
    shop.send(*(shown(*each) for each in seen))
    assert shop.profile("anonymous_id:ben-phone")["profile_id"] == couple[1]
    why = shop.command("explain", "anonymous_id:ada-phone", "anonymous_id:ben-phone")
    assert (why["verdict"], why["obstacle"]) == ("parted", "parted")

    allowed = shop.command("allow", "anonymous_id:ada-phone", "anonymous_id:ben-phone")
    shop.send(shown("till-9", "ada-phone", "a9"), shown("till-9", "ben-phone", "b9"))

    assert allowed["by"].startswith("cli/")
    assert shop.profile("anonymous_id:ben-phone")["profile_id"] == couple[0]
    detached = shop.command("detach", "external_id:till-9", "--reason", "a till")
    shop.settle()
    assert len(detached["after"]) == 3
    assert shop.profile("anonymous_id:ben-phone")["profile_id"] == couple[1]


def test_links_from_a_file_join_within_the_rules_and_once(shop: Shop, couple: tuple[str, str], tmp_path: Path) -> None:
    shop.send(*({"type": "identify", "messageId": f"f{n}", "anonymousId": f"file-{n}"} for n in range(4)))
    file = tmp_path / "links.csv"
    file.write_text(
        "left,right,probability,reason\n"
        "anonymous_id:file-0,anonymous_id:file-1,0.995,same household\n"
        "anonymous_id:file-2,anonymous_id:file-3,0.4,a guess\n"
    )

    first = shop.command("link", "--file", str(file), code=1)
    shop.command("split", "anonymous_id:file-0", "anonymous_id:file-1")
    second = shop.command("link", "--file", str(file), code=1)

    assert (first["joined"], first["refused"], first["reasons"]) == (1, 1, {"probability_too_low": 1})
    assert (second["joined"], second["repeated"], second["refused"]) == (0, 1, 1)
    ids = {shop.profile(f"anonymous_id:file-{n}")["profile_id"] for n in range(4)}
    assert len(ids) == 4, "a file that is sent again does not undo a split"


def test_decisions_are_listed_newest_first_in_pages(shop: Shop, couple: tuple[str, str]) -> None:
    _, whole = shop.api("GET", "decisions", params={"limit": 200})
    shown: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        _, page = shop.api("GET", "decisions", params={"limit": 2, **after})
        shown += page["decisions"]
        if not page["cursor"]["has_more"]:
            break
        after = {"next": page["cursor"]["next"]}

    assert shown == whole["decisions"]
    assert [each["at"] for each in shown] == sorted((each["at"] for each in shown), reverse=True)
    assert "till-7" in {each["decision_id"] for each in shown}
    text = json.dumps(shown)
    assert "ada-phone" not in text, "an audit holds keys, and no values"
    assert shop.command("decisions", "--limit", "200")["decisions"] == shown
    assert shop.api("GET", "decisions/none")[0] == 404


def test_a_preview_tells_what_other_rules_would_change(shop: Shop, couple: tuple[str, str], tmp_path: Path) -> None:
    rules = {"types": {"external_id": {"blocked_patterns": ["till-\\d+"]}}}
    status, seen = shop.api("POST", "preview", json={"rules": rules, "days": 2})
    file = tmp_path / "identity.yaml"
    file.write_text("types:\n  external_id:\n    blocked_patterns: ['till-\\d+']\n")

    told = shop.command("preview", str(file), "--days", "2", "--show-values")

    assert status == 200, seen
    assert (seen["splits"]["groups"], seen["splits"]["profiles"], seen["merges"]["groups"]) == (1, 2, 0)
    assert seen["blocked"]["identifier_types"] == {"external_id": 3}
    assert seen["cut"] is None
    assert "till-7" not in json.dumps(seen), "the API names keys"
    assert {k: v for k, v in told.items() if k not in {"splits", "blocked"}} == {
        k: v for k, v in seen.items() if k not in {"splits", "blocked"}
    }
    assert told["blocked"]["examples"] == [f"external_id:till-{number}" for number in (7, 8, 9)]


def test_a_token_that_may_read_may_not_decide(shop: Shop) -> None:
    reader = shop.instance.runtime.token(["onefold/identity.read"])
    headers = {"Authorization": f"Bearer {reader}"}

    assert shop.api("GET", "decisions", headers=headers)[0] == 200
    assert shop.api("POST", "decisions", headers=headers, json={"action": "detach", "left": "user_id:u"})[0] == 403


def test_no_function_asked_for_more_than_its_role_allows(shop: Shop) -> None:
    assert shop.instance.runtime.denied == []


def _iso(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")
