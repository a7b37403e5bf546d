"""docs/faults.md has every fault, and names the files whose tests show how it is survived."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = [f"F{number:02}" for number in range(1, 40)]


@cache
def table() -> dict[str, list[str]]:
    """Row → its cells: the fault, what happens, the files."""
    lines = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| F\d", line)]
    assert len({row[0] for row in rows}) == len(rows), "a row is there twice"
    return {row[0]: row[1:] for row in rows}


@cache
def files_by_row() -> dict[str, set[str]]:
    """Row → the files that have a test which bears its number."""
    found: dict[str, set[str]] = {row: set() for row in ROWS}
    for path in ROOT.glob("tests/**/test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match = re.match(r"test_(f\d\d)_", node.name) if isinstance(node, ast.FunctionDef) else None
            if match:
                found.setdefault(match[1].upper(), set()).add(path.relative_to(ROOT).as_posix())
    return found


def test_every_fault_has_its_row() -> None:
    assert [row for row in table() if row in ROWS] == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_the_files_whose_tests_bear_its_number_and_no_others(row: str) -> None:
    fault, happens, shown_by = table()[row]
    named = re.findall(r"`([^`]+)`", shown_by)

    assert fault
    assert happens
    assert named, f"{row} names no file"
    assert set(named) == files_by_row()[row], f"docs/faults.md, {row}: name the files with tests test_{row.lower()}_…"


def test_rows_beyond_these_follow_the_same_rule() -> None:
    """Tests with other numbers need a row too."""
    assert files_by_row().keys() <= table().keys()
