from typing import Any

import pytest

from onefold.domain.errors import MappingInvalid
from onefold.domain.json_path import parse_path, select

DOCUMENT: dict[str, Any] = {"a": {"b": [{"c": 1}, {"c": 2}]}, "first name": "Eva", "größe": None, "list": [[7]], "": 5}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0].c", 1),
        ("$.a.b[-1].c", 2),
        ("$['first name']", "Eva"),
        ('$["a"].b', DOCUMENT["a"]["b"]),
        ("$.größe", None),
        ("$['']", 5),
        ("$.list[0][0]", 7),
        ("$.a.b[2].c", None),
        ("$.a.b[-3]", None),
        ("$.a.missing.c", None),
        ("$.list.c", None),
        ("$.a[0]", None),
    ],
)
def test_a_path_names_one_value_or_none(path: str, value: object) -> None:
    assert select(path, DOCUMENT) == value


@pytest.mark.parametrize(
    "path", ["", "a.b", "$.", "$a", "$.a.", "$..c", "$.a[*]", "$[?@.c]", "$[01]", "$.a-b", "$['a", "$.a b"]
)
def test_what_may_name_many_or_nothing_is_refused(path: str) -> None:
    with pytest.raises(MappingInvalid):
        parse_path(path)
