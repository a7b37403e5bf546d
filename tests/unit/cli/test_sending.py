"""The command `send`, from a file to a collector."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from cli import sending
from cli.problems import CommandError
from cli.sending import send_file
from tests.unit.cli.test_send import Collector

REFUSAL = {"status": "quarantined", "code": "type_missing", "message": "Send a [/] type"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    about = SimpleNamespace(description=SimpleNamespace(collector_url=collector.url))
    monkeypatch.setattr(sending, "find_deployment", lambda _: about)
    monkeypatch.setattr(sending, "write_key_of", lambda *_: "key")
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


def sent(path: Path) -> tuple[int, str]:
    console = Console(width=200)
    with console.capture() as capture:
        code = send_file(console, path, None, source="web", skip=0, connections=4, env="local", as_json=False)
    return code, capture.get()


def test_a_file_is_sent_and_summed_up_without_an_empty_line(collector: Collector, tmp_path: Path) -> None:
    path = tmp_path / "[b]events.csv"
    path.write_text("type,event,userId\n" + "track,Paid,u\n" * 3)

    code, text = sent(path)

    assert code == 0
    assert len(collector.taken) == 3
    assert text.startswith("[b]events.csv: 3 messages accepted, 0 refused")


def test_a_file_of_nothing_usable_stops_after_the_first_batch(
    collector: Collector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("receipt,userId,price\n" + "a,7,1\n" * 5_000)
    collector.answer = lambda _, batch: (200, {"events": [REFUSAL] * len(batch)})

    with pytest.raises(
        CommandError, match=r"all of the first 250 messages were refused \(type_missing.*--mapping"
    ) as e:
        sent(path)

    assert "--skip" not in str(e.value)
    assert collector.requests == 1
    warnings = capsys.readouterr().err
    assert warnings.count("receipt, price") == 1
    assert "userId" not in warnings


def test_some_refusals_are_summed_up(collector: Collector, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("type,event\n" + "track,Paid\n" * 600)
    collector.answer = lambda number, batch: (200, {"events": [REFUSAL] * (len(batch) if number > 1 else 1)})

    code, text = sent(path)

    assert code == 1
    assert "249 messages accepted, 351 refused" in text
    assert "351 type_missing: Send a [/] type" in text


def test_nothing_is_sent_of_a_ragged_file(collector: Collector, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("type,event\n" + "track,Paid\n" * 30_000 + "track,Paid,1\n")

    with pytest.raises(CommandError, match=r"events\.csv:30002: 3 values, the header has 2"):
        sent(path)

    assert collector.requests == 0
