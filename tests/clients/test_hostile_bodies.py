"""What a stranger may send: each fault has a written rule, a bound in time and memory, and no exception."""

import gzip
import json
import time
import tracemalloc
import zlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.domain.event import Event, Refusal
from onefold.domain.json_numbers import exact_float
from onefold.domain.json_text import INTEGER_MAX, NESTING_MAX, encode_object
from onefold.domain.parcel import BODY_BYTES_MAX, EVENTS_MAX
from onefold.domain.source import CLIENT_EVENT_BYTES_MAX, Source
from onefold.edge.tracking_answers import refuse
from onefold.edge.tracking_api import respond
from onefold.edge.tracking_request import parse_tracking_request
from onefold.use_cases.collect import Collector
from tests.fakes.collecting import KnownSources, MemoryEventLog, MemorySpool
from tests.fakes.events import HASHER
from tests.fakes.requests import http_request

KEY = "key-of-web"
GOOD = b'{"type":"track","event":"Good","userId":"u-1","messageId":"good"}'
# The slowest of the bodies below takes a fifth of this where nothing else runs.
CPU_S_MAX = 5.0


class Api:
    """The tracking API over memory, which counts what each request costs."""

    def __init__(self, kind: Any = "server") -> None:
        self.log = MemoryEventLog()
        sources = KnownSources(Source("web", KEY, kind=kind))
        self.collector = Collector(sources, self.log, MemorySpool(), HASHER, lambda text, region: None)
        self.cpu_s, self.cpu_s_max = 0.0, CPU_S_MAX

    def post(self, body: bytes, path: str = "/v1/batch", **options: Any) -> tuple[int, dict[str, Any]]:
        event = http_request(path, body, key=KEY, **options)
        begun = time.process_time()
        try:
            answer = respond(parse_tracking_request(event), lambda: self.collector).answer
        except Exception as error:  # noqa: BLE001 - as the handler's outermost edge does
            answer = refuse(event, error)
        self.cpu_s = time.process_time() - begun
        assert self.cpu_s < self.cpu_s_max
        document: dict[str, Any] = json.loads(answer["body"])
        assert answer["statusCode"] not in {500, 503}, document
        assert document["success"] == (answer["statusCode"] == 200)
        return answer["statusCode"], document

    def batch(self, *messages: bytes) -> tuple[int, dict[str, Any]]:
        return self.post(b'{"batch":[' + b",".join(messages) + b"]}")

    @property
    def events(self) -> list[Event]:
        return [event for _, batch in self.log.batches for event in batch.events]

    @property
    def refusals(self) -> list[Refusal]:
        return [refusal for _, batch in self.log.batches for refusal in batch.refusals]


def track(properties: str, message_id: str = "odd") -> bytes:
    head = f'{{"type":"track","event":"Odd","userId":"u-1","messageId":"{message_id}","properties":'
    return head.encode() + properties.encode() + b"}"


def codes(document: dict[str, Any]) -> list[str]:
    return [each["code"] for each in document.get("events", ())]


@pytest.mark.parametrize("size", [33 * 1_024, 256 * 1_024, 3 * 1_024 * 1_024])
def test_f33_an_event_beyond_its_limit_is_kept_aside_and_the_rest_of_the_batch_accepted(size: int) -> None:
    api = Api("browser")
    large = track(json.dumps({"text": "x" * size}))
    assert size > CLIENT_EVENT_BYTES_MAX

    status, document = api.batch(large, GOOD)

    assert (status, document["accepted"], codes(document)) == (200, 1, ["event_too_large"])
    [refusal] = api.refusals
    assert large.startswith(refusal.body)
    assert len(refusal.body) == len(large) or f"Of its {len(large)} bytes" in refusal.detail


@pytest.mark.parametrize(
    "body",
    [
        b'{"batch":[' + b" " * BODY_BYTES_MAX + b"]}",
        b" " * 12_000_000,
        b'{"batch":[' + b",".join([GOOD] * (EVENTS_MAX + 1)) + b"]}",
    ],
    ids=["more than 4 MB", "12 MB", "too many events"],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_f33_a_body_beyond_its_limit_is_refused_as_a_whole_and_keeps_nothing(body: bytes, *, compressed: bool) -> None:
    api = Api()

    status, document = api.post(body, compressed=compressed)

    assert (status, document["code"] in {"body_too_large", "too_many_events"}) == (413, True)
    assert api.log.batches == []


def bomb(megabytes: int) -> bytes:
    """A batch that a hundredth of a percent of its size unfolds to."""
    return gzip.compress(b'{"batch":[' + b" " * (megabytes * 1_024 * 1_024) + b"]}", compresslevel=9)


def test_f34_a_gzip_bomb_costs_no_more_than_a_full_body() -> None:
    api = Api()
    small, large = bomb(8), bomb(200)
    assert len(large) < 250_000

    costs = []
    for body in (small, large):
        tracemalloc.start()
        status, _ = api.post(body)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (status, peak < 3 * BODY_BYTES_MAX) == (413, True)
        api.post(body)
        costs.append(api.cpu_s)

    assert max(costs) < 0.25, costs  # 15 ms where nothing else runs


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (gzip.compress(gzip.compress(b'{"batch":[]}')), "gzip", 400, "batch_missing"),
        (gzip.compress(bomb(200)), "gzip", 400, "batch_missing"),
        (gzip.compress(b'{"batch":[]}')[:-4], "gzip", 400, "body_unreadable"),
        (gzip.compress(b'{"batch":[]}')[:12], "gzip", 400, "body_unreadable"),
        (b"\x1f\x8b" + b"x" * 100, "gzip", 400, "body_unreadable"),
        (gzip.compress(b'{"batch":[]}') + b"rest", "gzip", 400, "body_unreadable"),
        (gzip.compress(b"") * 20, "gzip", 400, "body_unreadable"),
        (b"nonsense", "gzip", 400, "not_gzip"),
        (b"nonsense", "deflate", 400, "body_unreadable"),
        (b"\x28\xb5\x2f\xfdnonsense", "zstd", 400, "encoding_unknown"),
        (b"nonsense", "br", 400, "encoding_unknown"),
        (b"nonsense", "", 400, "batch_missing"),
        (b'{"batch":[,,]}', "", 400, "json_invalid"),
        (gzip.compress(b'{"batch":[]}'), "br", 200, ""),
        (zlib.compress(b'{"batch":[]}'), "deflate", 200, ""),
        (b'{"batch":[]}', "gzip", 200, ""),
        (b'{"batch":[]}', "br", 200, ""),
        (gzip.compress(b'{"batch"') + gzip.compress(b":[]}"), "gzip", 200, ""),
        (gzip.compress(b'{"batch":[]}') + bytes(512), "gzip", 200, ""),
    ],
)
def test_f34_compression_is_what_the_bytes_are_and_damage_is_named(
    body: bytes, encoding: str, status: int, code: str
) -> None:
    answered, document = Api().post(body, headers={"content-encoding": encoding} if encoding else {})

    assert (answered, document.get("code", "")) == (status, code)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"type":"track","event":"\xff\xfe","userId":"u"}', "text_not_utf8"),
        (b'{"type":"track","event":"\xed\xa0\x80","userId":"u"}', "text_not_utf8"),
        (b'{"type":"track","event":"\xc0\xaf","userId":"u"}', "text_not_utf8"),
        (b'{"type":"track","event":"a\x00b","userId":"u"}', "json_invalid"),
    ],
)
def test_f35_text_that_is_none_keeps_its_event_aside_with_its_bytes(bad: bytes, reason: str) -> None:
    api = Api()

    status, document = api.batch(bad, GOOD)

    assert (status, document["accepted"], codes(document)) == (200, 1, [reason])
    assert [refusal.body for refusal in api.refusals] == [bad]


def test_f35_a_byte_order_mark_is_taken_off_and_lone_surrogates_and_nul_are_mended_and_said() -> None:
    api = Api()
    mended = track(r'{"half":"\ud83d!","whole":"\ud83d\ude00","nul\u0000":"a\u0000b","\\u0000":"\\u0000"}')

    status, document = api.post(b"\xef\xbb\xbf" + b'{"batch":[' + mended + b"]}")

    assert (status, document["accepted"]) == (200, 1)
    [event] = api.events
    assert json.loads(event.properties) == {"half": "\ufffd!", "whole": "😀", "nul": "ab", "\\u0000": "\\u0000"}
    assert {"surrogate_replaced", "nul_removed"} <= set(event.violations)


def nested(levels: int, left: str = '{"k":', right: str = "}") -> str:
    return left * levels + "1" + right * levels


@pytest.mark.parametrize(
    ("properties", "reasons"),
    [
        (nested(1_000), {"", "nesting_too_deep"}),
        (nested(100_000), {"nesting_too_deep"}),
        (f'{{"list":{nested(100_000, "[", "]")}}}', {"nesting_too_deep"}),
        ("{" + ",".join(f'"k{number}":1' for number in range(100_000)) + "}", {"event_too_large", "too_many_keys"}),
        (f'{{"{"k" * 1_000_000}":1}}', {"event_too_large"}),
        ("{" * 50_000, {"json_invalid"}),
    ],
    ids=["depth 1,000", "depth 100,000", "lists 100,000 deep", "100,000 keys", "a key of 1 MB", "unclosed"],
)
def test_f36_shapes_that_break_parsers_keep_their_own_event_aside_at_most(properties: str, reasons: set[str]) -> None:
    api = Api()
    unclosed = properties.endswith("{")

    status, document = api.batch(GOOD, track(properties))

    if unclosed:
        assert (status, document["code"]) == (400, "json_invalid")
        return
    found = codes(document) or [""]
    assert (status, document["accepted"] >= 1, set(found) <= reasons) == (200, True, True), found


def test_f36_levels_that_no_store_takes_are_kept_as_text() -> None:
    api = Api()

    status, document = api.batch(track(nested(400)))

    assert (status, document["accepted"]) == (200, 1)
    [event] = api.events
    value, level = json.loads(event.properties), 0
    while isinstance(value, dict):
        value, level = value["k"], level + 1
    assert level == NESTING_MAX
    assert value == nested(400 - NESTING_MAX)
    assert "nesting_flattened" in event.violations


def test_f36_of_a_key_that_stands_twice_the_last_counts_and_no_key_is_special() -> None:
    api = Api()

    api.batch(track('{"a":1,"a":2,"__proto__":{"admin":true},"constructor":"x","":0,"__class__":[]}'))

    [event] = api.events
    assert json.loads(event.properties) == {
        "a": 2, "__proto__": {"admin": True}, "constructor": "x", "": 0, "__class__": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "01", "+1", ".5", "0x1F", "1e", "1e-999999999999999999999"],
)
def test_f37_what_is_no_number_or_none_that_a_double_holds_keeps_its_event_aside(number: str) -> None:
    api = Api()

    status, document = api.batch(track(f'{{"n":{number}}}'), GOOD)

    assert (status, document["accepted"]) == (200, 1)
    assert codes(document) in (["json_invalid"], ["number_out_of_range"])


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("0", 0), ("-0", 0), ("-0.0", 0.0), ("1e5", 100_000.0), ("0.1", 0.1), ("19.990000000000000000", 19.99),
        ("0.10000000000000001", 0.1), ("9007199254740992", 2**53), ("-9007199254740992", -(2**53)),
        ("9007199254740993", "9007199254740993"), ("18446744073709551616", "18446744073709551616"),
        ("-18446744073709551617", "-18446744073709551617"), ("1" * 40, "1" * 40),
        ("9007199254740993.0", "9007199254740993.0"), ("3.14159265358979323846", "3.14159265358979323846"),
        ("12345678901234567890.12", "12345678901234567890.12"), ("1e-400", "1E-400"),
        ("0e999999999999999999999", 0.0), ("-0.0e-999999999999999999999", 0.0),
    ],
)  # fmt: skip
def test_f37_a_number_that_a_double_would_change_stays_exact_as_text_and_says_so(number: str, kept: object) -> None:
    api = Api()

    api.batch(track(f'{{"n":{number},"deep":[{{"n":{number}}}]}}'))

    [event] = api.events
    stored = json.loads(event.properties)
    assert (stored["n"], type(stored["n"])) == (kept, type(kept))
    assert stored["deep"] == [{"n": kept}]
    assert ("number_as_text" in event.violations) == isinstance(kept, str)


MANTISSA = r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?"
json_numbers = st.from_regex(MANTISSA + r"([eE][+\-]?[0-9]{1,3})?", fullmatch=True)
absurd_numbers = st.from_regex(MANTISSA + r"[eE][+\-]?[1-9][0-9]{19,22}", fullmatch=True)


@given(json_numbers)
@settings(max_examples=400, deadline=None)
def test_f37_no_number_is_changed_unless_it_is_what_its_double_prints(number: str) -> None:
    try:
        read = msgspec.json.Decoder(float_hook=exact_float).decode(number.encode())
    except msgspec.ValidationError:
        assert abs(Decimal(number)) > Decimal("1.797e308")
        return
    if isinstance(read, float):
        digits = max(1, len(Decimal(number).as_tuple().digits))
        assert Decimal(number) in {Decimal(read), Decimal(repr(read)), Decimal(f"{read:.{digits - 1}e}")}
    else:
        assert Decimal(read) == Decimal(number)


@given(absurd_numbers)
@settings(max_examples=200, deadline=None)
def test_f37_an_exponent_that_nothing_can_hold_is_refused_unless_it_is_noughts(number: str) -> None:
    is_nought = not number.lower().partition("e")[0].strip("-0.")
    if is_nought:
        assert exact_float(number) == 0
    else:
        with pytest.raises(ValueError, match="out of range"):
            exact_float(number)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
@settings(max_examples=200, deadline=None)
def test_f38_what_is_written_is_read_back_as_the_rules_say(value: dict[str, Any]) -> None:
    violations: list[str] = []

    read = json.loads(encode_object(value, violations, nul=True))

    assert read == by_the_rules(value)
    if read != value:
        assert set(violations) & {"nul_removed", "number_as_text"}


def by_the_rules(value: Any) -> Any:
    """The same in few words: no NUL, and numbers that a double cannot hold as their text."""
    if isinstance(value, dict):
        return {by_the_rules(key): by_the_rules(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [by_the_rules(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, Decimal) or (isinstance(value, int) and abs(value) > INTEGER_MAX):
        return str(value)
    return value


FULL = BODY_BYTES_MAX - 100
EXPENSIVE = {
    "brackets": b'{"batch":[' + b"[" * FULL,
    "objects": b'{"batch":[' + b"{}," * (200_000 - 10) + b"NaN]}",
    "quotes": b'{"batch":[' + b'"' * FULL + b"]}",
    "backslashes": b'{"batch":["' + b"\\" * FULL + b"]}",
    "numbers": b'{"batch":[' + b"1.5," * (FULL // 4) + b"1]}",
    "long numbers": b'{"batch":[{"type":"track","userId":"u","event":"E","properties":{"a":['
    + b"3.14159265358979323846," * (FULL // 24)
    + b"1]}}]}",
    "one number": b'{"batch":[{"type":"track","userId":"u","event":"E","properties":{"a":1.' + b"3" * FULL + b"}}]}",
    "one integer": b'{"batch":[{"type":"track","userId":' + b"3" * FULL + b',"event":"E"}]}',
    "surrogates": b'{"batch":[{"type":"track","userId":"u","event":"E","properties":{"a":"'
    + b"\\ud83d" * (FULL // 7)
    + b'"}}]}',
    "nul": b'{"batch":[{"type":"page","userId":"u","properties":{"a":"' + b"\\u0000" * (FULL // 7) + b'"}}]}',
    "batches": b'{"a":1,' + b'"batch":1,' * (FULL // 11) + b'"batch":[NaN]}',
    "commas": b'{"batch":[' + b"," * FULL + b"]}",
    "people": b'{"batch":['
    + b",".join(b'{"type":"page","userId":"u%d","name":"%s"}' % (n, b"y" * 400) for n in range(EVENTS_MAX))
    + b"]}",
    "snowplow": b'{"data":[' + b'{"e":"pv"},' * (EVENTS_MAX - 1) + b'{"e":"ue","ue_px":"' + b"e" * 3_000_000 + b'"}]}',
}


@pytest.mark.parametrize("name", EXPENSIVE)
def test_f34_f36_no_body_takes_more_than_seconds(name: str) -> None:
    path = "/com.snowplowanalytics.snowplow/tp2" if name == "snowplow" else "/v1/batch"

    Api("browser").post(EXPENSIVE[name], path)


@pytest.mark.parametrize("name", ["objects", "numbers", "people"])
def test_f34_f36_no_body_takes_a_functions_memory(name: str) -> None:
    api = Api("browser")
    api.cpu_s_max = 60.0  # counting bytes takes several times as long as using them

    tracemalloc.start()
    try:
        api.post(EXPENSIVE[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 512 * 1_024 * 1_024
