"""Thousands of random schedules of stitch, evaluate and activate: whatever happens, the same profiles.

The first schedules of `make faults`; what fails prints its seed, and `python -m tests.faults.simulate --seed SEED` runs
that one again, step by step.
"""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from onefold.domain import facts, normal_form, register
from onefold.domain.decision import DecisionRecord
from onefold.domain.fragment import StoredFragment
from onefold.domain.identity import GraphChanges
from onefold.domain.union import Union
from onefold.use_cases import linking
from tests.fakes.stores import MemoryFragments
from tests.faults import histories, stores
from tests.faults.river import FAULTS, River
from tests.faults.simulate import CHUNK, run, run_all

SCHEDULES = 2_500
SEEDS_UNTIL_FOUND_MAX = 1_000
Patch = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_every_schedule_ends_in_the_same_profiles(first: int) -> None:
    schedules, _, failures = run_all(range(first, first + CHUNK))

    assert not failures, "\n".join([f"{len(failures)} failed; python -m tests.faults.simulate --seed …", *failures[:5]])
    assert schedules > CHUNK


def test_the_schedules_know_every_fault_and_every_turn_that_a_graph_can_take() -> None:
    seen: Counter[str] = Counter()
    for seed in range(200):
        river = run(seed)
        heads = river.graph.stored_heads
        redirects = [head.merged_into for head in heads.values() if head.merged_into]
        seen += river.chance.struck
        seen["merged"] += len(redirects)
        seen["merged twice"] += sum(bool(heads[target].merged_into) for target in redirects)
        seen["shared device"] += sum(head.is_shared_device for head in heads.values())
        seen["alias"] += any(link.why == "alias" for head in heads.values() for link in head.links)
        seen.update(transition.kind for transition in river.published)
        seen["account"] += sum(head.kind == "account" for head in heads.values())
        seen["finding"] += len(river.findings)

    kinds = {"reshard", "put back", "merged", "merged twice", "shared device", "alias", *FAULTS}
    kinds |= {"account", "finding", "decided split", "decided detach", "decided retract", "decided link"}
    assert kinds | {"Audience Entered", "Audience Exited", "Profile Merged", "Profile Split"} <= seen.keys()


def steps_of(seed: int) -> str:
    trace: list[str] = []
    run(seed, trace=trace)
    return "\n".join(trace)


def test_a_seed_gives_the_same_steps_in_every_process() -> None:
    program = "from tests.faults.test_river import *; print(digest())"
    prints = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }

    assert prints == {digest()}


def digest() -> str:
    return hashlib.sha256("".join(map(steps_of, range(40))).encode()).hexdigest()


def _forget_the_cursor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StoredFragment, "has_folded", lambda _stored, _sequence: False)


def _write_fragments_unconditionally(patch: pytest.MonkeyPatch) -> None:
    write = MemoryFragments.write

    def overwrite(self: MemoryFragments, fragments: list[StoredFragment]) -> object:
        for each in fragments:
            self.items[each.key] = (each.version, b"")
        return write(self, fragments)

    patch.setattr(MemoryFragments, "write", overwrite)


def _let_the_last_arrival_win(patch: pytest.MonkeyPatch) -> None:
    for module in (facts, register):
        patch.setattr(module, "newer", lambda _left, right: right)


def _redirect_after_the_merge(patch: pytest.MonkeyPatch) -> None:
    commit = stores.Graph.commit

    def commit_in_two(self: stores.Graph, changes: GraphChanges, record: DecisionRecord | None = None) -> None:
        redirects = tuple(head for head in changes.heads if head.merged_into)
        others = tuple(head for head in changes.heads if not head.merged_into)
        commit(self, msgspec.structs.replace(changes, heads=others), record)
        if redirects:
            commit(self, GraphChanges(redirects, {}))

    patch.setattr(stores.Graph, "commit", commit_in_two)


def _link_blocked_values(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(normal_form, "is_blocked", lambda _text: False)
    histories.read.cache_clear()


def _forget_what_was_parted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Union, "_broken_decision", lambda _union, _owner: None)


def _never_look_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("tests.faults.river.to_evaluate", lambda _old, _new: None)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (_forget_the_cursor, "I1: folded"),
        (_write_fragments_unconditionally, "I1: folded"),
        (_let_the_last_arrival_win, "I2:"),
        (_redirect_after_the_merge, "an identifier has two owners"),
        (_link_blocked_values, "I3: a blocked value"),
        (_never_look_again, "I4: in"),
        (_forget_what_was_parted, "R14: a split was undone"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.strip("_"),
)
def test_a_planted_mistake_is_found(plant: Patch, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    histories.read.cache_clear()
    plant(monkeypatch)

    found = any(said in text for seed in range(SEEDS_UNTIL_FOUND_MAX) for text in run_all(range(seed, seed + 1))[2])

    histories.read.cache_clear()
    assert found


def test_a_river_that_is_left_in_the_middle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.river.STEPS_MAX", 10)

    with pytest.raises(AssertionError, match="does not empty"):
        run(0)


def test_the_river_leaves_the_modules_as_they_were() -> None:
    before = vars(linking).copy()

    assert isinstance(run(0), River)
    assert vars(linking) == before
