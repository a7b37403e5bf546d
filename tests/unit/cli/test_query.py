"""What is asked, and what becomes of the answer."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from cli import deployment, query
from cli.deployment import Deployment
from cli.main import app
from cli.problems import UsageError
from cli.query import Answer, query_text, rows_as_documents, run_query


class Athena:
    """Answers every query with the same page."""

    def __init__(self, columns: list[tuple[str, str]], rows: list[list[str | None]]) -> None:
        info = [{"Name": name, "Type": kind} for name, kind in columns]
        data = [{"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]} for row in rows]
        self.page = {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": info}, "Rows": data}}

    def start_query_execution(self, **_: Any) -> dict[str, str]:
        return {"QueryExecutionId": "1"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        return {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}}

    def get_paginator(self, _: str) -> "Athena":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.page]


def answered(athena: Athena) -> Answer:
    about = SimpleNamespace(glue_database="d", workgroup="w")
    return run_query(cast("Deployment", SimpleNamespace(client=lambda _: athena, description=about)), "DESCRIBE events")


def test_a_description_in_one_text_becomes_cells() -> None:
    columns = [("col_name", "string"), ("data_type", "string"), ("comment", "string")]

    answer = answered(Athena(columns, [["name                \tstring   \t"], ["kind\tstring"], [None]]))

    assert answer.rows == (("name", "string", ""), ("kind", "string", None), (None, None, None))
    assert len(rows_as_documents(answer)) == 3


def test_documents_have_the_types_of_their_columns() -> None:
    kinds = {"n": "bigint", "f": "double", "b": "boolean", "d": "decimal(10,2)", "t": "varchar", "x": "double"}
    rows: list[list[str | None]] = [list(kinds), ["7", "0.5", "true", "1.50", "7", "NaN"], [None] * 6]

    first, second = rows_as_documents(answered(Athena(list(kinds.items()), rows)))

    assert first == {"n": 7, "f": 0.5, "b": True, "d": "1.50", "t": "7", "x": "NaN"}
    assert set(second.values()) == {None}


def test_sql_comes_from_a_file_or_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sales.sql"
    file.write_text("-- sales\nSELECT 1")
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 2"))

    assert query_text("", file) == "-- sales\nSELECT 1"
    assert query_text("-") == "SELECT 2"
    with pytest.raises(UsageError, match="not both"):
        query_text("SELECT 1", file)


@pytest.mark.parametrize("sql", ["", " \n"])
def test_an_empty_query_is_refused(sql: str) -> None:
    with pytest.raises(UsageError, match="query is empty"):
        query_text(sql)


@pytest.mark.parametrize("sql", ["-- sales\nSELECT 1", "--sales of today\nSELECT 1", "--\nSELECT 1", "SELECT 1"])
def test_a_comment_first_is_no_option(sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(deployment, "find_deployment", lambda env: env)

    def run(env: str, text: str) -> Answer:
        asked.extend((env, text))
        return Answer(("n",), (("1",),), 0, 0.0, ("integer",))

    monkeypatch.setattr(query, "run_query", run)

    result = CliRunner().invoke(app, ["query", sql, "--env=dev", "--json"])

    assert (result.exit_code, result.output) == (0, '[{"n": 1}]\n')
    assert asked == ["dev", sql]
    assert CliRunner().invoke(app, ["query", "--env=dev", "--", sql]).exit_code == 0
    assert asked[2:] == ["dev", sql]
