"""What decisions promise, held against the store in memory and against DynamoDB's interface in moto."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import msgspec
import pytest

from onefold.adapters.dynamodb_decisions import DynamoDbDecisions
from onefold.adapters.dynamodb_graph import DynamoDbGraph
from onefold.domain.decision import Decision, DecisionRecord
from onefold.domain.errors import Rejected, VersionConflict
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges, IdentityChange
from onefold.domain.identity_rules import DEFAULT_RULES
from onefold.use_cases.audit import DecisionLog
from onefold.use_cases.decide import DecisionStore
from onefold.use_cases.linking import Candidate, link, live_head, read_graph
from onefold.use_cases.rule import rehearse, rule
from tests.fakes.events import NOON_MS, event, key_of
from tests.fakes.stores import MemoryGraph
from tests.fakes.tables import aws
from tests.property.test_identity import key_of as fragment_of

RACERS = 6
Stores = tuple[DecisionStore, DecisionLog]


@pytest.fixture(params=["memory", "moto"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    if request.param == "memory":
        graph = MemoryGraph()
        yield graph, graph
        return
    with aws(monkeypatch) as client:
        log = DynamoDbDecisions(client, "decisions")
        yield DynamoDbGraph(client, "identities", "heads", log), log


def decision(decision_id: str = "d1", **fields: object) -> Decision:
    asked = Decision(decision_id, "split", NOON_MS, "tests", key_of("user_id:u1"), key_of("email:a@b.co"))
    return msgspec.structs.replace(asked, **fields)


def recorded(decision_id: str, at: int = NOON_MS) -> DecisionRecord:
    return DecisionRecord(decision(decision_id, at=at), ("p_1",), ("p_1", "p_2"), 1, 3)


def connect(graph: DecisionStore, *pairs: tuple[str, str]) -> None:
    for pair in pairs:
        each = event(*pair, received_at=NOON_MS)
        link(graph, [Candidate(fragment_of(each), each)])


def live_of(graph: DecisionStore, name: str) -> Head | None:
    heads, owners = read_graph(graph, [key_of(name)])
    return live_head(heads, owners[key_of(name)])


def test_a_decision_is_written_with_what_it_changes(stores: Stores) -> None:
    graph, log = stores
    changes = GraphChanges((Head("p_1", 5),), {"email:x": IdentityChange("p_1", None)})

    graph.commit(changes, recorded("d1"))

    assert graph.decision("d1") == log.find("d1") == recorded("d1")
    assert graph.owners(["email:x"]) == {"email:x": "p_1"}
    assert graph.decision("d2") is None


def test_what_comes_under_a_recorded_id_is_not_written(stores: Stores) -> None:
    graph, log = stores
    graph.commit(GraphChanges((), {}), recorded("d1"))

    with pytest.raises(VersionConflict):
        graph.commit(GraphChanges((Head("p_9", 5),), {}), recorded("d1", at=NOON_MS + 1))

    assert graph.heads(["p_9"]) == {}
    assert log.find("d1") == recorded("d1")
    assert len(log.newest(10, before="", now_ms=NOON_MS).records) == 1


def test_a_decision_whose_changes_lost_is_not_recorded(stores: Stores) -> None:
    graph, log = stores
    graph.commit(GraphChanges((Head("p_1", 5),), {}))

    with pytest.raises(VersionConflict):
        graph.commit(GraphChanges((Head("p_1", 6),), {}), recorded("d1"))

    assert log.find("d1") is None
    assert log.newest(10, before="", now_ms=NOON_MS).records == ()


def test_a_change_is_not_written_when_a_head_that_it_was_decided_on_has_changed(stores: Stores) -> None:
    graph, log = stores
    graph.commit(GraphChanges((Head("p_1", 5), Head("p_2", 6)), {}))
    change = GraphChanges((Head("p_3", 7),), {}, {"p_1": 1, "p_2": 1})
    graph.commit(GraphChanges((Head("p_2", 6, version=1),), {}))

    with pytest.raises(VersionConflict):
        graph.commit(change, recorded("d1"))

    assert graph.heads(["p_3"]) == {}
    assert log.find("d1") is None
    graph.commit(msgspec.structs.replace(change, checks={"p_1": 1, "p_2": 2}), recorded("d1"))
    assert set(graph.heads(["p_1", "p_2", "p_3"])) == {"p_1", "p_2", "p_3"}
    assert [head.version for head in graph.heads(["p_1", "p_2"]).values()] == [1, 2]


def test_decisions_are_listed_newest_first_over_the_months(stores: Stores) -> None:
    graph, log = stores
    times = [_ms(2025, 1, 1), _ms(2025, 1, 31), _ms(2025, 2, 1), _ms(2025, 11, 5), _ms(2025, 11, 5), _ms(2026, 11, 30)]
    for number, at in enumerate(times):
        graph.commit(GraphChanges((), {}), recorded(f"d{number}", at))

    pages: list[list[str]] = []
    before, now_ms = "", _ms(2026, 12, 1)
    while True:
        page = log.newest(2, before=before, now_ms=now_ms)
        pages.append([each.decision.decision_id for each in page.records])
        before = page.next_place
        if not before:
            break

    assert pages == [["d5", "d4"], ["d3", "d2"], ["d1", "d0"]]
    assert [each.decision.at for each in log.newest(9, before="", now_ms=now_ms).records] == sorted(times, reverse=True)


def test_a_page_that_ends_in_quiet_years_has_a_next_one(stores: Stores) -> None:
    graph, log = stores
    graph.commit(GraphChanges((), {}), recorded("d1", _ms(2025, 3, 1)))

    found: list[str] = []
    before, requests = "", 0
    while requests == 0 or before:
        page = log.newest(5, before=before, now_ms=_ms(2031, 1, 1))
        found += [each.decision.decision_id for each in page.records]
        before, requests = page.next_place, requests + 1

    assert found == ["d1"]
    assert requests < 6


def test_of_racers_with_one_id_one_carries_the_decision_out_and_all_get_its_record(stores: Stores) -> None:
    graph, log = stores
    connect(graph, ("user_id:u1", "email:a@b.co"), ("user_id:u1", "anonymous_id:x"))
    barrier = Barrier(RACERS)

    def race(racer: int) -> DecisionRecord:
        barrier.wait()
        return rule(graph, decision(at=NOON_MS + racer, by=f"racer {racer}"), DEFAULT_RULES)

    with ThreadPoolExecutor(RACERS) as pool:
        records = list(pool.map(race, range(RACERS)))

    assert all(record == records[0] for record in records)
    assert len(records[0].after) == 2
    assert len(log.newest(10, before="", now_ms=NOON_MS).records) == 1
    assert live_of(graph, "user_id:u1") != live_of(graph, "email:a@b.co")


def test_an_id_that_stands_for_another_decision_is_refused(stores: Stores) -> None:
    graph, _ = stores
    connect(graph, ("user_id:u1", "email:a@b.co"), ("user_id:u1", "anonymous_id:x"))
    rule(graph, decision(), DEFAULT_RULES)

    with pytest.raises(Rejected) as refused:
        rule(graph, decision(right=key_of("anonymous_id:x")), DEFAULT_RULES)

    assert refused.value.reason == "decision_id_taken"
    assert live_of(graph, "user_id:u1") == live_of(graph, "anonymous_id:x")


def test_a_rehearsal_tells_what_happens_and_writes_nothing(stores: Stores) -> None:
    graph, log = stores
    connect(graph, ("user_id:u1", "email:a@b.co"), ("email:a@b.co", "anonymous_id:x"))
    whole = live_of(graph, "user_id:u1")

    told = rehearse(graph, decision(), DEFAULT_RULES)

    assert live_of(graph, "user_id:u1") == whole
    assert log.find("d1") is None
    record = rule(graph, decision(), DEFAULT_RULES)
    assert (told["before"], told["after"], told["retracted"]) == (
        list(record.before),
        list(record.after),
        record.retracted,
    )
    after = {each["profile_id"]: each["identifiers"] for each in told["profiles_after"]}
    parts = [live_of(graph, name) for name in ("user_id:u1", "email:a@b.co")]
    assert set(after) == {part.profile_id for part in parts if part}
    assert sorted(map(str, after.values())) == ["{'anonymous_id': 1, 'email': 1}", "{'user_id': 1}"]


def _ms(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1_000)
