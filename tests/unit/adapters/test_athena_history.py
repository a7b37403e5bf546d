"""What Athena may answer instead of rows, and what the questions say; the end-to-end tests ask real ones."""

from typing import Any

import pytest
import sqlglot
from botocore.exceptions import ClientError
from sqlglot import exp

from onefold.adapters import athena_history
from onefold.adapters.athena_history import AthenaHistory
from onefold.domain.errors import Rejected, Unavailable
from onefold.use_cases.quarantine import Selection

SELECTION = Selection("2026-11-06", "2026-11-12")


class Athena:
    """Gives each query the states that it is made with, and notes the SQL."""

    def __init__(self, *states: str, error: str = "") -> None:
        self.states, self.error = list(states), error
        self.asked: list[str] = []
        self.stopped: list[str] = []

    def start_query_execution(self, QueryString: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - AWS's
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": ""}}, "StartQueryExecution")
        self.asked.append(QueryString)
        return {"QueryExecutionId": "q"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {"QueryExecution": {"Status": {"State": state, "StateChangeReason": "eva@shop-kunde.de"}}}

    def stop_query_execution(self, QueryExecutionId: str) -> None:  # noqa: N803
        self.stopped.append(QueryExecutionId)

    def get_paginator(self, _: str) -> "Athena":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"ResultSet": {"Rows": [{"Data": [{"VarCharValue": "digest"}]}]}}]


def history(athena: Athena) -> AthenaHistory:
    return AthenaHistory(athena, "onefold_dev", "onefold_dev")  # type: ignore[arg-type]


def test_an_answer_is_waited_for() -> None:
    assert history(Athena("QUEUED", "RUNNING", "SUCCEEDED")).find(SELECTION) == []


def test_a_question_that_reads_too_much_is_the_callers_fault() -> None:
    with pytest.raises(Rejected, match="fewer days"):
        history(Athena("CANCELLED")).find(SELECTION)


def test_a_failed_question_tells_nothing_of_what_was_asked() -> None:
    with pytest.raises(Unavailable) as failed:
        history(Athena("FAILED")).find(SELECTION)

    assert "eva" not in str(failed.value)


def test_a_question_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(athena_history, "WAIT_S", 0.05)
    athena = Athena("RUNNING")

    with pytest.raises(Unavailable):
        history(athena).find(SELECTION)

    assert athena.stopped == ["q"]


def test_a_throttled_athena_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        history(Athena(error="TooManyRequestsException")).find(SELECTION)


@pytest.mark.parametrize("hostile", ["'", "' OR 1=1 --", "\\' OR '1'='1", "''; SELECT 1"])
def test_what_is_asked_for_stays_a_text(hostile: str) -> None:
    athena = Athena("SUCCEEDED")
    asked = history(athena)
    asked.arrivals(hostile, hostile, 7)
    asked.find(Selection("2026-11-06", "2026-11-12", hostile, hostile, hostile, hostile, 5, (7, hostile)))

    for sql in athena.asked:
        [statement] = sqlglot.parse(sql, dialect="athena")
        assert statement is not None
        texts = {each.this for each in statement.find_all(exp.Literal) if each.is_string}
        assert hostile in texts


def test_every_question_is_bounded_in_days() -> None:
    athena = Athena("SUCCEEDED")
    asked = history(athena)
    asked.arrivals("m", "", 7)
    asked.refused("m", "", 7)
    asked.load([f"2026-11-12-{'0' * 24}"])
    assert asked.load([]) == {}

    assert len(athena.asked) == 3
    for sql in athena.asked:
        conditions = sqlglot.parse_one(sql, dialect="athena").find_all(exp.Where)
        assert any(column.name == "dt" for where in conditions for column in where.find_all(exp.Column))
