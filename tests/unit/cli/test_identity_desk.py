from pathlib import Path

import pytest

from cli.definitions import read_identity
from cli.identity_desk import check_pair, message_names, read_links
from cli.problems import UsageError
from onefold.domain.decision_request import DecisionRequest, MessageName

CSV = "left,right,probability,reason,id\nuser_id:u1,email:a@b.co,0.99,same card,n-1\nuser_id:u2,email:c@d.co,,,\n"
JSON = (
    '{"left": "user_id:u1", "right": "email:a@b.co", "probability": 0.99, "reason": "same card", "id": "n-1"}\n'
    '\n{"left": "user_id:u2", "right": "email:c@d.co"}\n'
)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "text", "second"), [("l.csv", CSV, 3), ("l.jsonl", JSON, 3)])
def test_pairs_are_read_with_their_places(tmp_path: Path, name: str, text: str, second: int) -> None:
    path = written(tmp_path, name, text)

    assert read_links(path, "by hand") == [
        (
            f"{path}:{1 if name.endswith('jsonl') else 2}",
            DecisionRequest(
                "link", "user_id:u1", "email:a@b.co", reason="same card", why="probabilistic", probability=0.99
            ),
            "n-1",
        ),
        (f"{path}:{second}", DecisionRequest("link", "user_id:u2", "email:c@d.co", reason="by hand"), ""),
    ]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("l.csv", "left,right\nuser_id:u1,\n", ":2: name left and right"),
        ("l.csv", "left,right,probability\na:b,c:d,often\n", ":2: write probability"),
        ("l.csv", "left,right,score\na:b,c:d,1\n", ":2: leave out score"),
        ("l.jsonl", '{"left": "a:b", "right": "c:d", "probability": []}\n', ":1: write probability"),
        ("l.jsonl", '{"left": "a:b"\n', ":1: no JSON object"),
        ("l.txt", "", "write links as .csv or .jsonl"),
    ],
)
def test_an_unusable_row_stops_the_whole_file_with_its_place(tmp_path: Path, name: str, text: str, place: str) -> None:
    path = written(tmp_path, name, text)

    with pytest.raises(UsageError) as refused:
        read_links(path, "")

    assert place in str(refused.value)


def test_a_pair_or_a_file_is_given(tmp_path: Path) -> None:
    check_pair("a:b", "c:d", None, has_own_options=True)
    check_pair("", "", tmp_path, has_own_options=False)

    for left, right, file, own in (("a:b", "", None, False), ("a:b", "c:d", tmp_path, False), ("", "", tmp_path, True)):
        with pytest.raises(UsageError):
            check_pair(left, right, file, has_own_options=own)


def test_messages_are_named_by_source_and_id() -> None:
    assert message_names(["web/m/1"]) == (MessageName("web", "m/1"),)

    with pytest.raises(UsageError):
        message_names(["m1"])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("types:\n  email:\n    limit: 0\n", ":3: Write limit as a number"),
        ("types: [\n", ": no YAML"),
        ("tipes: {}\n", ":1: "),
    ],
)
def test_unusable_rules_are_refused_with_their_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_identity(written(tmp_path, "identity.yaml", text))

    assert place in str(refused.value)
