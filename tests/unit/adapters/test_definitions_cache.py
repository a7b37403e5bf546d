from collections.abc import Iterable

import msgspec
import pytest

from onefold.adapters.defined_sources import UNKNOWN_KEY_MAX_AGE_S, DefinedSources
from onefold.adapters.dynamodb_definitions import MAX_AGE_S, RETRY_S, CachedDefinitions
from onefold.domain.definition import Definition
from onefold.domain.errors import Unavailable
from onefold.domain.source import Source, sources_by_write_key
from tests.fakes.collecting import MemoryDefinitions


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class CountedDefinitions(MemoryDefinitions):
    reads = 0

    def load_current(self, kind: str = "") -> tuple[Definition, ...]:
        self.reads += 1
        return super().load_current(kind)


def declare(definitions: MemoryDefinitions, source: Source) -> None:
    name = f"source/{source.name}"
    version = len(definitions.load_history(name))
    definitions.put_current(name, msgspec.json.encode(source), after_version=version)


def names(definitions: Iterable[Definition]) -> list[str]:
    return [definition.name for definition in definitions]


def test_definitions_are_read_again_after_a_minute_and_not_before() -> None:
    clock, table = Clock(), CountedDefinitions()
    cached = CachedDefinitions(table.load_current, names, now=clock)
    assert cached.get() == []
    declare(table, Source("web", "key-of-web"))

    clock.now += MAX_AGE_S - 1
    assert cached.get() == []
    clock.now += 1
    assert cached.get() == ["source/web"]
    assert table.reads == 2


def test_old_definitions_are_served_while_the_table_is_down_and_it_is_not_hammered() -> None:
    clock, table = Clock(), CountedDefinitions()
    declare(table, Source("web", "key-of-web"))
    cached = CachedDefinitions(table.load_current, names, now=clock)
    cached.get()
    table.broken = True

    clock.now += MAX_AGE_S
    assert [cached.get() for _ in range(3)] == [["source/web"]] * 3
    assert table.reads == 2

    table.broken = False
    declare(table, Source("till", "key-of-till"))
    clock.now += RETRY_S
    assert cached.get() == ["source/till", "source/web"]


def test_definitions_that_were_never_read_are_unavailable_and_asked_for_each_time() -> None:
    clock, table = Clock(), CountedDefinitions()
    table.broken = True
    cached = CachedDefinitions(table.load_current, names, now=clock)

    for _ in range(2):
        with pytest.raises(Unavailable):
            cached.get()
    table.broken = False
    assert cached.get() == []


def test_a_key_declared_a_moment_ago_is_found_but_guesses_do_not_become_reads() -> None:
    clock, table = Clock(), CountedDefinitions()
    sources = DefinedSources(CachedDefinitions(table.load_current, sources_by_write_key, now=clock))
    assert sources.find("key-of-web") is None
    declare(table, Source("web", "key-of-web"))
    assert sources.find("key-of-web") is None
    reads = table.reads

    clock.now += UNKNOWN_KEY_MAX_AGE_S
    found = sources.find("key-of-web")

    assert found is not None
    assert found.name == "web"
    assert table.reads == reads + 1
    for guess in range(50):
        assert sources.find(f"guess-{guess}") is None
    assert table.reads == reads + 1
