"""The identity graph in memory: what a rebuild replays the history into."""

from collections.abc import Collection
from threading import Lock
from typing import Final

import msgspec

from onefold.domain.decision import DecisionRecord
from onefold.domain.errors import VersionConflict
from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges
from onefold.use_cases.audit import DecisionPage, place_of

TRANSACTION_ITEMS_MAX: Final = 100  # as DynamoDB has it


class MemoryGraph:
    """Keeps the promises of the graph in DynamoDB and of its record of decisions, for as long as the process lives."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.identities: dict[str, str] = {}
        self.stored_heads: dict[str, Head] = {}
        self.records: dict[str, DecisionRecord] = {}

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        with self._lock:
            return {key: self.identities[key] for key in keys if key in self.identities}

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        with self._lock:
            return {each: self.stored_heads[each] for each in profile_ids if each in self.stored_heads}

    def write(self, head: Head) -> None:
        self.commit(GraphChanges((head,), {}))

    def decision(self, decision_id: str) -> DecisionRecord | None:
        return self.records.get(decision_id)

    find = decision

    def newest(self, limit: int, *, before: str, now_ms: int) -> DecisionPage:  # noqa: ARG002 - the whole is at hand
        places = sorted(
            ((place_of(each), each) for each in self.records.values()), key=lambda pair: pair[0], reverse=True
        )
        found = [each for place, each in places if not before or place < before]
        return DecisionPage(tuple(found[:limit]), place_of(found[limit - 1]) if len(found) > limit else "")

    def commit(self, changes: GraphChanges, record: DecisionRecord | None = None) -> None:
        if len(changes) + (record is not None) > TRANSACTION_ITEMS_MAX:
            raise ValueError("Too many changes for one transaction")
        with self._lock:
            stale = [head.profile_id for head in changes.heads if self._version(head.profile_id) != head.version]
            stale += [each for each, version in changes.checks.items() if self._version(each) != version]
            lost = [key for key, change in changes.identities.items() if self.identities.get(key) != change.expected]
            lost += [key for key in changes.unowned if key in self.identities]
            if stale or lost or (record is not None and record.decision.decision_id in self.records):
                raise VersionConflict("Another writer changed a profile")
            for head in changes.heads:
                self.stored_heads[head.profile_id] = msgspec.structs.replace(head, version=head.version + 1)
            self.identities.update({key: change.profile_id for key, change in changes.identities.items()})
            if record is not None:
                self.records[record.decision.decision_id] = record

    def _version(self, profile_id: str) -> int:
        head = self.stored_heads.get(profile_id)
        return 0 if head is None else head.version

    def live_heads(self) -> list[Head]:
        return [head for head in self.stored_heads.values() if not head.merged_into]
