"""The declared sources, found by their names."""

from collections.abc import Callable, Iterable

from onefold.domain.definition import Definition
from onefold.domain.source import Source, sources_by_write_key


class SourcesByName:
    """`NamedSources` over the definitions, and `Sources`; every question reads them, for few are asked."""

    def __init__(self, load: Callable[[], Iterable[Definition]]) -> None:
        """Take what loads the current definitions of sources."""
        self._load = load

    def named(self, name: str) -> Source | None:
        """The declared source of this name.

        Raises:
            Unavailable: The definitions cannot be read.
        """
        return next((source for source in sources_by_write_key(self._load()).values() if source.name == name), None)

    def find(self, write_key: str) -> Source | None:
        """The declared source with this write key; raises as `named` does."""
        return sources_by_write_key(self._load()).get(write_key)
