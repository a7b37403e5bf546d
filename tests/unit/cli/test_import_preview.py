"""`onefold import --preview`: what it prints is a mapping that it takes back."""

import gzip
from pathlib import Path

import pytest
import yaml

from cli.import_preview import preview_file
from cli.importing import check_file
from cli.problems import UsageError
from onefold.domain.errors import MappingInvalid

CUSTOMERS = "Kundennr;Vorname;E-Mail;Newsletter;Geändert\nK-17;Kim;kim@posteo-demo.net;ja;03.02.2024\n"


def test_a_proposal_is_a_mapping_with_its_first_messages_as_comments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Kunden 2024.csv"
    file.write_bytes(CUSTOMERS.encode("cp1252"))

    assert preview_file(file, None) == 0
    proposal = capsys.readouterr().out

    mapping = tmp_path / "kunden.yaml"
    mapping.write_text(proposal, encoding="utf-8")
    assert yaml.safe_load(proposal)["message_id"] == "kunden_2024/{Kundennr}/{@content}"
    assert "cp1252, separator ';'" in proposal
    assert '"userId":"K-17"' in proposal
    assert preview_file(file, mapping) == 0
    again = capsys.readouterr().out
    assert '"userId":"K-17"' in again
    assert "message_id" not in again


def test_what_would_be_refused_is_shown_with_its_line_and_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.csv.gz"
    file.write_bytes(gzip.compress(CUSTOMERS.encode() + b"K-18;only\n;;;;\n"))

    assert preview_file(file, None) == 1

    printed = capsys.readouterr().out
    assert "Of the first 3 rows: 1 messages, 2 rows refused" in printed
    assert "line 3: row_malformed" in printed
    assert "line 4: " in printed


def test_a_file_without_a_header_gets_numbered_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.csv"
    file.write_text("17,kim@posteo-demo.net,2024-01-01\n18,lee@posteo-demo.net,2024-01-02\n", encoding="utf-8")

    preview_file(file, None)

    document = yaml.safe_load(capsys.readouterr().out)
    assert document["file"] == {"header": False}
    assert document["identifiers"] == {"email": "column2"}


def test_a_mapping_for_other_columns_is_refused(tmp_path: Path) -> None:
    file, mapping = tmp_path / "a.csv", tmp_path / "m.yaml"
    file.write_text("x\n1\n", encoding="utf-8")
    mapping.write_text("{source: files, message_id: 'a/{y}', events: [{event: E}]}", encoding="utf-8")

    with pytest.raises(MappingInvalid, match="no column y; the file has x"):
        preview_file(file, mapping)


def test_a_mapping_without_a_source_is_refused(tmp_path: Path) -> None:
    file, mapping = tmp_path / "a.csv", tmp_path / "m.yaml"
    file.write_text("x\n1\n", encoding="utf-8")
    mapping.write_text("{message_id: 'a/{x}', events: [{event: E}]}", encoding="utf-8")

    with pytest.raises(UsageError, match="source"):
        preview_file(file, mapping)


@pytest.mark.parametrize(("name", "said"), [("none.csv", "no such file"), ("a.xlsx", "must end in"), (".", "folder")])
def test_what_cannot_be_imported_is_said_before_anything_is_sent(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")

    with pytest.raises(UsageError, match=said):
        check_file(tmp_path / name)
