"""The tracking plans that the definitions declare."""

from collections.abc import Callable, Mapping

from onefold.adapters.dynamodb_definitions import CachedDefinitions, DynamoDbDefinitions
from onefold.adapters.json_schema import compile_schema
from onefold.domain.tracking_plan import DEFINITION_KIND, CompiledPlan, plans_by_source


class DefinedPlans:
    """`Plans` from the cached definitions."""

    def __init__(self, definitions: DynamoDbDefinitions, *, now: Callable[[], float]) -> None:
        """Take the definitions table, and a clock in seconds that never runs back."""
        self._plans: CachedDefinitions[Mapping[str, CompiledPlan]] = CachedDefinitions(
            lambda: definitions.load_current(DEFINITION_KIND),
            lambda found: plans_by_source(found, compile_schema),
            now=now,
        )

    def of_source(self, source: str) -> CompiledPlan | None:
        """The plan for a source's events, if there is one.

        Raises:
            Unavailable: The definitions have never been read, and cannot be.
        """
        return self._plans.get().get(source)
