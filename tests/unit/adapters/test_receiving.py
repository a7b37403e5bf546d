"""Sources and mappings by their names, from definitions that are read again when a name is not known."""

import msgspec

from onefold.adapters.defined_mappings import DefinedMappings
from onefold.adapters.defined_sources import DefinedSources
from onefold.adapters.dynamodb_definitions import CachedDefinitions
from onefold.domain.source import Source, sources_by_write_key
from onefold.domain.webhook_mapping import parse_payload_mapping, payload_mappings
from tests.fakes.collecting import MemoryDefinitions

STRIPE = Source("stripe", "key-of-stripe", webhook="stripe")
MAPPING = parse_payload_mapping({"format": "json", "events": [{"event": "$.type"}]})


def test_a_name_that_was_declared_a_moment_ago_is_found() -> None:
    table, now = MemoryDefinitions(), [0.0]
    sources = DefinedSources(
        CachedDefinitions(lambda: table.load_current("source"), sources_by_write_key, now=lambda: now[0])
    )
    mappings = DefinedMappings(
        CachedDefinitions(lambda: table.load_current("mapping"), payload_mappings, now=lambda: now[0])
    )
    assert (sources.named("stripe"), mappings.find("loyalty")) == (None, None)
    table.put_current("source/stripe", msgspec.json.encode(STRIPE), after_version=0)
    table.put_current("mapping/loyalty", msgspec.json.encode(MAPPING), after_version=0)

    now[0] = 4.9  # a stranger's guesses do not become reads
    assert (sources.named("stripe"), mappings.find("loyalty")) == (None, None)
    now[0] = 5.0
    assert (sources.named("stripe"), mappings.find("loyalty")) == (STRIPE, MAPPING)
    assert sources.named("key-of-stripe") is None
