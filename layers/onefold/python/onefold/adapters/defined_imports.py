"""What the definitions say of imports: mappings and sources by their names."""

import msgspec

from onefold.adapters.dynamodb_definitions import DynamoDbDefinitions
from onefold.domain.errors import DefinitionInvalid, MappingInvalid
from onefold.domain.mapping import DEFINITION_KIND, RowMapping, parse_mapping
from onefold.domain.source import DEFINITION_KIND as SOURCE_KIND
from onefold.domain.source import Source, parse_source


class DefinedImports:
    """Reads the table anew for each question: a mapping may have been applied a moment before its file was dropped."""

    def __init__(self, definitions: DynamoDbDefinitions) -> None:
        self._definitions = definitions

    def find_mapping(self, name: str) -> tuple[RowMapping, int] | None:
        """A mapping and its version; None where there is none that this version of onefold can read.

        Raises:
            Unavailable: The table does not answer.
        """
        for definition in self._definitions.load_current(DEFINITION_KIND):
            if definition.name == f"{DEFINITION_KIND}/{name}":
                try:
                    return parse_mapping(msgspec.json.decode(definition.body)), definition.version
                except (MappingInvalid, msgspec.DecodeError):
                    return None
        return None

    def find_source(self, name: str) -> Source | None:
        """A source that is enabled; None where there is none.

        Raises:
            Unavailable: The table does not answer.
        """
        for definition in self._definitions.load_current(SOURCE_KIND):
            if definition.name == f"{SOURCE_KIND}/{name}":
                try:
                    source = parse_source(definition.body)
                except DefinitionInvalid:
                    return None
                return source if source.enabled else None
        return None
