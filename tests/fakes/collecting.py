"""What collect stands on, in memory: the event log, the spool, the definitions and the sources."""

from collections.abc import Mapping, Sequence

from onefold.domain.definition import Definition
from onefold.domain.errors import StreamUnavailable, Unavailable, VersionConflict
from onefold.domain.source import Source
from onefold.use_cases.collect import KeyedBatch


class MemoryEventLog:
    """An event log that takes everything until it is broken, or nothing of the keys in `refused_keys`."""

    def __init__(self) -> None:
        self.batches: list[KeyedBatch] = []
        self.broken = False
        self.refused_keys: set[str] = set()

    def append(self, batches: Sequence[KeyedBatch]) -> list[KeyedBatch]:
        left = [batch for batch in batches if self.broken or batch[0] in self.refused_keys]
        self.batches += [batch for batch in batches if batch not in left]
        return left


class MemorySpool:
    """A spool whose objects are named by what they hold."""

    def __init__(self) -> None:
        self.objects: dict[str, list[KeyedBatch]] = {}
        self.broken = False

    def append(self, batches: Sequence[KeyedBatch], *, received_at: int) -> None:
        if self.broken:
            raise StreamUnavailable("the spool is broken")
        self.objects[f"spool/{received_at}-{hash(repr(batches))}"] = list(batches)

    def load(self, key: str) -> list[KeyedBatch] | None:
        if self.broken:
            raise Unavailable("the spool is broken")
        return self.objects.get(key)

    def delete(self, key: str) -> None:
        if self.broken:
            raise Unavailable("the spool is broken")
        self.objects.pop(key, None)


class MemoryDefinitions:
    """The definitions table."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Definition]] = {}
        self.broken = False

    def load_current(self, kind: str = "") -> tuple[Definition, ...]:
        if self.broken:
            raise Unavailable("the definitions are broken")
        current = [versions[-1] for _, versions in sorted(self.versions.items())]
        return tuple(definition for definition in current if kind in {"", definition.kind})

    def load_history(self, name: str) -> tuple[Definition, ...]:
        if self.broken:
            raise Unavailable("the definitions are broken")
        return tuple(self.versions.get(name, ()))

    def put_current(self, name: str, body: bytes, *, after_version: int) -> Definition:
        if self.broken:
            raise Unavailable("the definitions are broken")
        versions = self.versions.setdefault(name, [])
        if len(versions) != after_version:
            raise VersionConflict("somebody was faster")
        versions.append(Definition(name, body, after_version + 1))
        return versions[-1]


class KnownSources:
    """Sources by their write keys; None stands for definitions that cannot be read."""

    def __init__(self, *sources: Source) -> None:
        self.by_key: Mapping[str, Source] | None = {key: source for source in sources for key in source.keys}

    def find(self, write_key: str) -> Source | None:
        if self.by_key is None:
            raise Unavailable("the definitions have never been read")
        return self.by_key.get(write_key)
