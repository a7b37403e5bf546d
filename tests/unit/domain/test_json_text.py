import json
from typing import Any

import pytest

from onefold.domain.errors import BodyInvalid
from onefold.domain.json_text import (
    NESTING_MAX,
    encode_object,
    has_nul,
    mend,
    replace_lone_surrogates,
    split_batch,
    without_byte_order_mark,
)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"down": value}
    return value


@pytest.mark.parametrize(
    ("value", "expected", "found"),
    [
        ({"a": "x\0y"}, {"a": "xy"}, {"nul_removed"}),
        ({"a\0": 1}, {"a": 1}, {"nul_removed"}),
        ({"a": 2**53}, {"a": 2**53}, set()),
        ({"a": 2**53 + 1}, {"a": "9007199254740993"}, {"number_as_text"}),
        ({"a": [-(2**64)]}, {"a": ["-18446744073709551616"]}, {"number_as_text"}),
        ({"a": True, "b": None, "c": 1.5}, {"a": True, "b": None, "c": 1.5}, set()),
        ({"a": "1" * 40}, {"a": "1" * 40}, set()),
        (nested(NESTING_MAX), nested(NESTING_MAX), set()),
    ],
)
def test_each_thing_is_mended_by_its_rule(value: Any, expected: Any, found: set[str]) -> None:
    noted: set[str] = set()

    assert mend(value, noted) == expected
    assert noted == found


def test_what_is_nested_too_deeply_is_kept_as_its_text() -> None:
    violations: list[str] = []

    text = encode_object(nested(NESTING_MAX + 3), violations, nul=False)

    value = json.loads(text)
    for _ in range(NESTING_MAX - 1):
        value = value["down"]
    assert json.loads(value["down"]) == nested(3)
    assert violations == ["nesting_flattened"]


@pytest.mark.parametrize("levels", [33, 200, 300, 900])
def test_no_depth_that_a_decoder_lets_through_breaks_the_encoder(levels: int) -> None:
    assert json.loads(encode_object(nested(levels), [], nul=False))


def test_an_object_is_written_compactly_and_a_number_keeps_its_digits() -> None:
    violations: list[str] = []
    value = {"price": 0.1 + 0.2, "n": 2**60, "t": "Würfel"}

    text = encode_object(value, violations, nul=False)

    assert text == '{"price":0.30000000000000004,"n":"1152921504606846976","t":"Würfel"}'.encode()
    assert violations == ["number_as_text"]


def test_a_nul_is_removed_where_the_body_may_hold_one() -> None:
    violations: list[str] = []
    body = rb'{"a":"x\u0000y"}'

    assert encode_object(json.loads(body), violations, nul=has_nul(body)) == b'{"a":"xy"}'
    assert violations == ["nul_removed"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00 x"', rb'"\ufffd x"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\n\u00e4"', rb'"\n\u00e4"'),
    ],
)
def test_only_lone_surrogates_are_replaced(text: bytes, expected: bytes) -> None:
    assert replace_lone_surrogates(text) == expected


def test_a_byte_order_mark_is_taken_away_once() -> None:
    assert without_byte_order_mark(b"\xef\xbb\xbf{}") == b"{}"


@pytest.mark.parametrize(
    ("body", "rest", "elements"),
    [
        (b'{"batch":[]}', b'{"batch":[]}', []),
        (b'{"a":{"batch":[1]},"batch" : [ {"b":"]}"} , {"c":[1,{}]} ],"z":1}', None, [b'{"b":"]}"}', b'{"c":[1,{}]}']),
        (b'{"batch":[{"a":NaN},{"b":1}]}', b'{"batch":[]}', [b'{"a":NaN}', b'{"b":1}']),
        (rb'{"batch":[{"a":"\"batch\":["}]}', b'{"batch":[]}', [rb'{"a":"\"batch\":["}']),
        (b'{"batch":[null,{"a":1},"x",7,[1]]}', b'{"batch":[]}', [b"null", b'{"a":1}', b'"x"', b"7", b"[1]"]),
        (b'{"k":"batch","batch":[{}]}', b'{"k":"batch","batch":[]}', [b"{}"]),
    ],
)
def test_a_batch_is_cut_into_its_messages(body: bytes, rest: bytes | None, elements: list[bytes]) -> None:
    envelope, cut = split_batch(body)

    assert cut == elements
    if rest is not None:
        assert envelope == rest


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"{}",
        b"[]",
        b'["batch"]',
        b'{"batch":{}}',
        b'{"batch":[{}',
        b'{"batch":["',
        b'{"batch":[',
        b'{"batch',
    ],
)
def test_a_body_without_a_whole_batch_is_refused(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        split_batch(body)
