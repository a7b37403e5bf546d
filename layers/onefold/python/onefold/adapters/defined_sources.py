"""The sources that the definitions declare."""

from collections.abc import Mapping
from typing import Final

from onefold.adapters.dynamodb_definitions import CachedDefinitions
from onefold.domain.source import Source

# A key that nobody knows may have been declared a moment ago, but a stranger's guesses must not become reads.
UNKNOWN_KEY_MAX_AGE_S: Final = 5.0


class DefinedSources:
    """`Sources` from the cached definitions."""

    def __init__(self, sources: CachedDefinitions[Mapping[str, Source]]) -> None:
        self._sources = sources

    def find(self, write_key: str) -> Source | None:
        """The source with this write key.

        Raises:
            Unavailable: The definitions have never been read, and cannot be.
        """
        return self._sources.get().get(write_key) or self._sources.get(max_age_s=UNKNOWN_KEY_MAX_AGE_S).get(write_key)

    def named(self, name: str) -> Source | None:
        """The source of this name.

        Raises:
            Unavailable: The definitions have never been read, and cannot be.
        """
        return _named(self._sources.get(), name) or _named(self._sources.get(max_age_s=UNKNOWN_KEY_MAX_AGE_S), name)


def _named(sources: Mapping[str, Source], name: str) -> Source | None:
    return next((source for source in sources.values() if source.name == name), None)
