from typing import Any

import pytest

from infra.local.patterns import matches

EVENT = {
    "source": "onefold",
    "detail-type": "Audience Entered",
    "resources": ["arn:a", "arn:b"],
    "detail": {
        "audience": "cart_abandoners",
        "count": 7,
        "share": 0.5,
        "empty": "",
        "nothing": None,
        "yes": True,
        "ip": "10.1.2.3",
        "key": "spool/2026/a.json",
        "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}],
    },
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["onefold"]}, True),
        ({"source": ["other", "onefold"]}, True),
        ({"source": ["other"]}, False),
        ({"source": ["onefold"], "detail-type": ["Audience Exited"]}, False),
        ({"missing": ["x"]}, False),
        ({"resources": ["arn:b"]}, True),
        ({"detail": {"count": [7]}}, True),
        ({"detail": {"count": ["7"]}}, False),
        ({"detail": {"yes": [True]}}, True),
        ({"detail": {"yes": [1]}}, False),
        ({"detail": {"nothing": [None]}}, True),
        ({"detail": {"empty": [""]}}, True),
        ({"detail": {"audience": [{"prefix": "cart"}]}}, True),
        ({"detail": {"audience": [{"prefix": "art"}]}}, False),
        ({"detail": {"key": [{"suffix": ".json"}]}}, True),
        ({"detail": {"key": [{"suffix": ".png"}]}}, False),
        ({"detail": {"count": [{"numeric": [">", 0, "<=", 7]}]}}, True),
        ({"detail": {"count": [{"numeric": ["<", 7]}]}}, False),
        ({"detail": {"share": [{"numeric": ["=", 0.5]}]}}, True),
        ({"detail": {"audience": [{"numeric": [">", 0]}]}}, False),
        ({"detail": {"yes": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"audience": [{"anything-but": "x"}]}}, True),
        ({"detail": {"audience": [{"anything-but": ["x", "cart_abandoners"]}]}}, False),
        ({"detail": {"count": [{"anything-but": [7]}]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"detail": {"count": [{"exists": True}]}}, True),
        ({"detail": {"count": [{"exists": False}]}}, False),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"missing": {"deep": [{"exists": False}]}}}, True),
        ({"detail": {"missing": [{"exists": True}]}}, False),
        ({"detail": {"items": {"sku": ["b"]}}}, True),
        ({"detail": {"items": {"sku": ["c"]}}}, False),
        ({"detail": {"audience": ["x", {"prefix": "cart"}]}}, True),
    ],
)
def test_a_pattern_decides_as_eventbridge_does(pattern: dict[str, Any], *, expected: bool) -> None:
    assert matches(pattern, EVENT) is expected


def test_an_unknown_comparison_is_named() -> None:
    with pytest.raises(ValueError, match=r"does not know \{.wildcard"):
        matches({"source": [{"wildcard": "*"}]}, EVENT)
