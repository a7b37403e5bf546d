"""The laws of previews: their counts are those of a plain comparison of partitions, found without our own graph."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import networkx as nx
from hypothesis import assume, given
from hypothesis import strategies as st

from onefold.domain.identity_rules import DEFAULT_RULES, IdentityRules, parse_rules
from onefold.domain.preview import Named, Sighting, compare
from onefold.use_cases.preview import Bounds, Snapshot, preview
from tests.fakes.events import HASHER, NOON_MS

# Never more values of a type than a profile may have: only blocking and types tell the rules apart.
NAMES: Sequence[Named] = [
    *(("anonymous_id", f"a{number}") for number in range(5)),
    *(("external_id", f"x{number}") for number in range(3)),
    *(("email", f"e{number}@b.co") for number in range(2)),
    ("user_id", "u0"),
]
DAY = NOON_MS // 86_400_000 * 86_400_000


class Lake:
    def __init__(self, sets: Iterable[Sequence[Named]]) -> None:
        self._sightings = tuple(
            Sighting(tuple(each), NOON_MS + number, NOON_MS + number) for number, each in enumerate(sets)
        )

    def read(self, since_ms: int, sightings_max: int) -> Snapshot:
        return Snapshot(self._sightings[:sightings_max], len(self._sightings) > sightings_max)


def compared(sets: Sequence[Sequence[Named]], old: IdentityRules, new: IdentityRules, **bounds: Any) -> dict[str, Any]:
    bound = Bounds(bounds.get("sightings_max", 1_000), bounds.get("is_late", lambda: False))
    return preview(Lake(sets), HASHER, (old, new), since_ms=NOON_MS, bounds=bound)


def rules(**types: Mapping[str, Any]) -> IdentityRules:
    return parse_rules(msgspec.json.encode({"types": types}))


def blocking(names: Iterable[Named]) -> IdentityRules:
    types: dict[str, dict[str, list[str]]] = {}
    for kind, value in names:
        types.setdefault(kind, {"blocked": []})["blocked"].append(value)
    return rules(**types)


def partition(sets: Iterable[Sequence[Named]], blocked: Iterable[Named]) -> list[set[Named]]:
    """What hangs together when nothing but blocked values is left out."""
    graph = nx.Graph()
    for each in sets:
        usable = [named for named in each if named not in set(blocked)]
        graph.add_nodes_from(usable)
        graph.add_edges_from((usable[0], other) for other in usable[1:])
    return list(nx.connected_components(graph))


seen_sets = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), max_size=12)
blocked_names = st.lists(st.sampled_from(NAMES), max_size=4, unique=True)


@given(seen_sets, blocked_names, blocked_names)
def test_counts_are_those_of_a_plain_comparison(
    sets: list[list[Named]], blocked_before: list[Named], blocked_after: list[Named]
) -> None:
    before, after = partition(sets, blocked_before), partition(sets, blocked_after)
    shared = nx.Graph()
    shared.add_nodes_from(("old", number) for number in range(len(before)))
    shared.add_nodes_from(("new", number) for number in range(len(after)))
    shared.add_edges_from(
        (("old", one), ("new", other)) for one, old in enumerate(before) for other, new in enumerate(after) if old & new
    )
    degree = dict(shared.degree())

    told = compared(sets, blocking(blocked_before), blocking(blocked_after))

    seen = {named for each in sets for named in each}
    assert told["profiles"] == {"before": len(before), "after": len(after)}
    merged = [node for node, count in degree.items() if node[0] == "new" and count > 1]
    assert told["merges"]["groups"] == len(merged)
    assert told["merges"]["profiles"] == len({old for node in merged for old in shared[node]})
    parted = [node for node, count in degree.items() if node[0] == "old" and count > 1]
    assert told["splits"]["groups"] == len(parted)
    assert told["splits"]["profiles"] == len({new for node in parted for new in shared[node]})
    assert told["vanished"] == sum(degree["old", number] == 0 for number in range(len(before)))
    assert told["appeared"] == sum(degree["new", number] == 0 for number in range(len(after)))
    assert told["blocked"]["identifiers"] == len((seen & set(blocked_after)) - set(blocked_before))
    assert told["unblocked"]["identifiers"] == len((seen & set(blocked_before)) - set(blocked_after))
    assert told["cut"] is None


labels = st.one_of(st.none(), st.sampled_from("pqrs"))


@given(st.lists(st.tuples(labels, labels), max_size=12))
def test_partitions_are_compared_as_sets(pairs: list[tuple[str | None, str | None]]) -> None:
    """The same comparison over any two partitions, such as limits make."""
    names = [("user_id", str(number)) for number in range(len(pairs))]
    old = {name: pair[0] for name, pair in zip(names, pairs, strict=True)}
    new = {name: pair[1] for name, pair in zip(names, pairs, strict=True)}

    told = compare(old, new)

    meetings = {pair for pair in pairs if None not in pair}
    assert told.before == len(set(old.values()) - {None})
    assert told.after == len(set(new.values()) - {None})
    assert {each.profile_id: set(each.others) for each in told.merges} == {
        there: olds for there in {b for _, b in meetings} if len(olds := {a for a, b in meetings if b == there}) > 1
    }
    assert {each.profile_id: set(each.others) for each in told.splits} == {
        here: news for here in {a for a, _ in meetings} if len(news := {b for a, b in meetings if a == here}) > 1
    }


@given(seen_sets)
def test_the_same_rules_change_nothing(sets: list[list[Named]]) -> None:
    told = compared(sets, DEFAULT_RULES, DEFAULT_RULES)

    assert told["profiles"]["before"] == told["profiles"]["after"]
    assert (told["merges"]["groups"], told["splits"]["groups"], told["vanished"], told["appeared"]) == (0, 0, 0, 0)


@given(seen_sets, st.integers(0, 5))
def test_a_cut_snapshot_says_so(sets: list[list[Named]], most: int) -> None:
    assume(len(sets) > most)

    told = compared(sets, DEFAULT_RULES, DEFAULT_RULES, sightings_max=most)

    assert (told["cut"], told["sightings"]) == ("size", most)


def test_time_that_is_up_cuts_both_replays_at_the_same_place() -> None:
    sets = [[("anonymous_id", f"a{number}")] for number in range(500)]

    told = compared(sets, DEFAULT_RULES, DEFAULT_RULES, is_late=lambda: True)

    assert told["cut"] == "time"
    assert told["profiles"] == {"before": told["sightings"], "after": told["sightings"]}
    assert 0 < told["sightings"] < 500


def test_a_limit_a_class_and_a_type_that_does_not_link_count() -> None:
    sets = [
        [("email", "a@b.co"), ("phone", "+4930111111")],
        [("email", "c@b.co"), ("phone", "+4930111111")],
        [("user_id", "u1"), ("device_id", "till")],
        [("user_id", "u2"), ("device_id", "till")],
    ]

    one_mail = compared(sets, DEFAULT_RULES, rules(email={"limit": 1}))
    no_phone = compared(sets, DEFAULT_RULES, rules(phone={"links": False, "priority": 900}))
    first = parse_rules(b'{"shared_devices": "first"}')
    kept = compared(sets, DEFAULT_RULES, first)

    assert (one_mail["profiles"], one_mail["splits"]["groups"]) == ({"before": 4, "after": 5}, 1)
    assert {"identifier_type": "phone", "limit": "email", "before": 0, "after": 1} in one_mail["limits"]
    assert (no_phone["splits"]["groups"], no_phone["splits"]["profiles"]) == (1, 2)
    assert kept["profiles"] == {"before": 4, "after": 3}, "the shared device has no profile of its own"


def test_examples_name_profiles_and_keys_and_values_only_when_asked() -> None:
    sets = [[("email", "a@b.co"), ("phone", "+4930111111")], [("email", "c@b.co"), ("phone", "+4930111111")]]
    new = rules(phone={"blocked": ["+4930111111"]})

    told = compared(sets, DEFAULT_RULES, new)
    bounds = Bounds(10, lambda: False)
    named = preview(Lake(sets), HASHER, (DEFAULT_RULES, new), since_ms=NOON_MS, bounds=bounds, label=":".join)

    (example,) = told["splits"]["examples"]
    assert example["identifier_types"] == {"email": 2, "phone": 1}
    assert HASHER.key("email", "a@b.co") in example["identifiers"]
    assert "a@b.co" not in str(told)
    assert "email:a@b.co" in named["splits"]["examples"][0]["identifiers"]
    assert told["since"] == DAY
