import hashlib
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.domain.errors import Rejected
from onefold.domain.quarantine import (
    ENVELOPE_BYTES_MAX,
    Entry,
    Envelope,
    entry_digest,
    merge_patch,
    pack_envelope,
    parse_entry_id,
    repaired,
    unpack_envelope,
)

# The table of RFC 7396, appendix A: original, patch, result.
RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


def entry(body: bytes, **fields: Any) -> Entry:
    return Entry("2026-11-12-" + "0" * 24, "m1", "web", "r", "d", "collect", "1", 0, 0, body=body, **fields)


@pytest.mark.parametrize(("original", "patch", "result"), RFC_7396)
def test_a_merge_patch_does_what_its_rfc_says(original: object, patch: object, result: object) -> None:
    assert merge_patch(original, patch) == result


def test_a_patched_message_keeps_its_numbers_its_text_and_its_id() -> None:
    body = '{"messageId":"other","total":12.50,"n":9007199254740993,"name":"größer"}'.encode()

    message = repaired(entry(body), {"event": "Paid", "name": None})

    assert message == {"messageId": "m1", "total": 12.5, "n": 9007199254740993, "event": "Paid"}


def test_half_a_surrogate_does_not_keep_a_message_from_being_repaired() -> None:
    assert repaired(entry(b'{"name":"\\ud83d"}'))["name"] == "\ufffd"


def test_the_routes_kind_is_the_type_where_the_message_says_none() -> None:
    routed = pack_envelope(Envelope("page"))

    assert repaired(entry(b"{}", envelope=routed))["type"] == "page"
    assert repaired(entry(b'{"type":"track"}', envelope=routed))["type"] == "track"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":NaN}', b"[" * 5_000])
def test_what_is_no_json_is_repaired_by_a_whole_message_only(body: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        repaired(entry(body), {"a": 1})
    assert refused.value.reason == "message_unreadable"
    assert repaired(entry(body), message={"a": 1}) == {"a": 1, "messageId": "m1"}


def test_what_is_no_object_stays_refused() -> None:
    for text, patch in ((b"[]", None), (b"{}", "shoe")):
        with pytest.raises(Rejected) as refused:
            repaired(entry(text), patch)
        assert refused.value.reason == "message_not_an_object"


@settings(deadline=None)
@given(st.sampled_from(["", "web", "till"]), st.text(max_size=20), st.binary(max_size=40))
def test_the_digest_is_the_one_that_sql_finds(source: str, message_id: str, body: bytes) -> None:
    try:
        text = (source + chr(10) + message_id + chr(10) + b64encode(body).decode()).encode()
    except UnicodeEncodeError:
        return
    assert entry_digest(source, message_id, body) == hashlib.sha256(text).hexdigest()[:24]


@settings(deadline=None)
@given(st.tuples(st.sampled_from(["a", "b"]), st.text("ab\n", max_size=3), st.binary(max_size=3)), st.data())
def test_entries_differ_where_source_id_or_bytes_differ(one: tuple[str, str, bytes], data: st.DataObject) -> None:
    other = data.draw(st.tuples(st.sampled_from(["a", "b"]), st.text("ab\n", max_size=3), st.binary(max_size=3)))

    assert (entry_digest(*one) == entry_digest(*other)) == (one == other)


def test_an_entrys_id_is_a_day_and_a_digest() -> None:
    digest = "0123456789abcdef01234567"
    assert parse_entry_id(f"2026-11-12-{digest}") == ("2026-11-12", digest)
    assert msgspec.structs.replace(entry(b""), entry_id=f"2026-11-12-{digest}").digest == digest
    for text in ("", digest, f"2026-11-12-{digest[1:]}", f"2026-11-12-{digest}'", f"2026-11-12-{digest.upper()}"):
        with pytest.raises(Rejected):
            parse_entry_id(text)


def test_an_envelope_is_kept_whole_or_not_at_all() -> None:
    small = Envelope("track", "2026-11-12T10:00:00Z", {"locale": "de"})
    large = Envelope(None, None, {"a": "x" * ENVELOPE_BYTES_MAX})

    assert unpack_envelope(pack_envelope(small)) == small
    assert (pack_envelope(Envelope()), pack_envelope(large)) == (b"", b"")
    assert unpack_envelope(b"") == Envelope()
