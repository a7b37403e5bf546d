"""The mappings of JSON that the definitions declare."""

from onefold.adapters.defined_sources import UNKNOWN_KEY_MAX_AGE_S
from onefold.adapters.dynamodb_definitions import CachedDefinitions
from onefold.domain.webhook_mapping import PayloadMapping


class DefinedMappings:
    """`Mappings` from the cached definitions."""

    def __init__(self, mappings: CachedDefinitions[dict[str, PayloadMapping]]) -> None:
        self._mappings = mappings

    def find(self, name: str) -> PayloadMapping | None:
        """The mapping of this name.

        Raises:
            Unavailable: The definitions have never been read, and cannot be.
        """
        return self._mappings.get().get(name) or self._mappings.get(max_age_s=UNKNOWN_KEY_MAX_AGE_S).get(name)
