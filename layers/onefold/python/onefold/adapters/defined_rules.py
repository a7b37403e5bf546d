"""The identity rules that the definitions declare."""

from collections.abc import Callable, Iterable

from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid, Unavailable
from onefold.domain.identity_rules import DEFINITION_KIND, IdentityRules, rules_of


def defined_rules(definitions: DynamoDbDefinitions, *, now: Callable[[], float]) -> Callable[[], IdentityRules]:
    """How to get the rules in force, at most a minute old.

    It raises Unavailable where they have never been read, or this version of the code cannot read them: with other
    rules in their place, profiles would be merged or parted that should not be.
    """
    return CachedDefinitions(lambda: definitions.load_current(DEFINITION_KIND), _build, now=now).get


def _build(definitions: Iterable[Definition]) -> IdentityRules:
    try:
        return rules_of(definitions)
    except DefinitionInvalid as error:
        raise Unavailable("The identity rules cannot be read; apply them again with this version") from error
