"""What Athena may answer to the question for a snapshot."""

from typing import Any

import pytest

from onefold.adapters.athena_snapshot import AthenaSnapshot
from onefold.domain.errors import Rejected, Unavailable
from onefold.domain.preview import Sighting
from onefold.use_cases.preview import Snapshot

DAY_MS = 86_400_000


class Athena:
    """One query's life: its states one after another, then its pages."""

    def __init__(self, *states: str, reason: str = "", pages: list[list[tuple[str, str, str]]] | None = None) -> None:
        self.states, self.reason, self.pages = list(states), reason, pages or []
        self.asked: dict[str, Any] = {}
        self.stopped: list[str] = []

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        self.asked = request
        return {"QueryExecutionId": "q-1"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"QueryExecution": {"Status": {"State": state, "StateChangeReason": self.reason}}}

    def stop_query_execution(self, **request: Any) -> None:
        self.stopped.append(request["QueryExecutionId"])

    def get_paginator(self, _: str) -> "Athena":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        first, *others = self.pages
        pages = [[("together", "at_ms", "received_at_ms"), *first], *others]
        return [
            {"ResultSet": {"Rows": [{"Data": [{"VarCharValue": cell} for cell in row]} for row in page]}}
            for page in pages
        ]


def snapshot(athena: Athena, wait_s: float = 5.0) -> AthenaSnapshot:
    client: Any = athena
    return AthenaSnapshot(client, workgroup="w", database="d", wait_s=wait_s)


def test_rows_of_all_pages_become_sightings_whichever_form_rows_have_in_json() -> None:
    athena = Athena(
        "QUEUED",
        "SUCCEEDED",
        pages=[
            [('[{"type":"user_id","value":"u=1, x","key":"k"}]', "5", "7")],
            [('[["email","a@b.co","k"],["anonymous_id","}","k"]]', "6", "8")],
        ],
    )

    read = snapshot(athena).read(3 * DAY_MS + 5, 2)

    assert read == Snapshot(
        (Sighting((("user_id", "u=1, x"),), 5, 7), Sighting((("email", "a@b.co"), ("anonymous_id", "}")), 6, 8))
    )
    assert (athena.asked["WorkGroup"], athena.asked["QueryExecutionContext"]) == ("w", {"Database": "d"})
    assert "dt >= '1970-01-04'" in athena.asked["QueryString"]
    assert "LIMIT 3" in athena.asked["QueryString"]


def test_one_row_too_many_is_cut_off_and_told() -> None:
    athena = Athena("SUCCEEDED", pages=[[(f'[["user_id","u{number}","k"]]', "1", "1") for number in range(3)]])

    read = snapshot(athena).read(0, 2)

    assert (len(read.sightings), read.is_cut) == (2, True)


def test_a_query_that_takes_too_long_is_stopped() -> None:
    athena = Athena("RUNNING")

    with pytest.raises(Rejected) as refused:
        snapshot(athena, wait_s=0.01).read(0, 2)

    assert refused.value.reason == "snapshot_too_large"
    assert athena.stopped == ["q-1"]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [("CANCELLED", "Bytes scanned limit was exceeded", Rejected), ("FAILED", "INTERNAL_ERROR", Unavailable)],
)
def test_a_query_that_fails_is_the_askers_fault_only_where_it_was_too_large(
    state: str, reason: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        snapshot(Athena(state, reason=reason)).read(0, 2)
