"""No function that is fed in batches can give an answer that Lambda would take for success although it failed."""

import ast
from pathlib import Path
from typing import Any

import pytest

from infra.local.event_records import failed_identifiers
from onefold.domain.errors import Unavailable
from onefold.edge.batches import StreamRecord, batch_response
from onefold.edge.observability import Observability

ROOT = Path(__file__).resolve().parents[3]
READERS = {"stream_records", "table_changes", "queue_messages"}
ANSWERS = {"batch_response", "receive_messages"}


def handlers() -> dict[str, ast.FunctionDef]:
    """Name → function, of those that read batches or answer for those that do."""
    found = {}
    for path in sorted([*ROOT.glob("functions/*/handler.py"), *ROOT.glob("layers/onefold/python/onefold/edge/*.py")]):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            called = {
                each.func.id
                for each in ast.walk(node)
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
            }
            if called & READERS or node.name in ANSWERS - {"batch_response"}:
                found[path.parent.name if path.name == "handler.py" else node.name] = node
    return found


HANDLERS = handlers()


def test_the_functions_that_read_batches_are_found() -> None:
    batches = {"stitch", "archive", "evaluate", "activate", "deliver", "drain", "import_files", "receive"}
    assert HANDLERS.keys() >= {*batches, "receive_messages"}


@pytest.mark.parametrize("verb", HANDLERS)
def test_f14_every_way_out_of_a_handler_is_a_checked_answer_or_an_error(verb: str) -> None:
    """Null, or an answer without its list, would mean success: each return, also the last line, is `batch_response`."""
    handle = HANDLERS[verb]
    returned = [node.value for node in ast.walk(handle) if isinstance(node, ast.Return)]

    assert isinstance(handle.body[-1], ast.Return)
    assert all(
        isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ANSWERS
        for value in returned
    )


@pytest.mark.parametrize("wrong", [None, {}, {"batchItemFailures": None}, {"failures": ["1"]}])
def test_f14_what_lambda_takes_for_success_is_what_ours_never_is_on_failure(wrong: Any) -> None:
    """The answers of which Lambda forgets the failures, beside the one that is given."""
    known = {"1": 0, "2": 1}
    delivered = [StreamRecord(sequence, "shard", "key", 0, b"") for sequence in known]

    assert failed_identifiers(wrong, known) == []
    assert failed_identifiers(batch_response(["2"], delivered=delivered), known) == [1]


def test_f14_an_error_leaves_the_handler_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler raises is logged and raised again: a failed invocation, and no answer."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "stitch")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Onefold")
    monkeypatch.setenv("ENVIRONMENT", "dev")
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    observe = Observability("stitch")

    @observe.invocation
    def handle(_event: Any, _context: Any) -> Any:
        raise Unavailable("throttled")

    with pytest.raises(Unavailable):
        handle({"Records": []}, None)
