"""JSON from strangers: decoding that never surprises, and one written rule for each thing that would."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
import orjson

from onefold.domain.errors import BodyInvalid, EventInvalid

NESTING_MAX: Final = 32  # levels kept of an object; what lies deeper is kept as its JSON text
KEY_BYTES_MIN: Final = 5  # `"":0,` is the shortest member of an object
INTEGER_MAX: Final = 2**53  # beyond it a double, and with it JavaScript and most readers of JSON, loses digits

_encode = msgspec.json.Encoder().encode
_NUL: Final = b"\\u0000"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# A pair of surrogates is a character and stays; a lone one (group 1) is none. Other escapes are stepped over whole,
# so that an escaped backslash before a `u` is not mistaken.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# A string that never ends is one token up to the end: anything else would be quadratic in a hostile body.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_ARRAY: Final = re.compile(rb"\s*:\s*\[")
_BLANK: Final = b" \t\r\n"

DECODING_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def without_byte_order_mark(body: bytes) -> bytes:
    """Some editors and one old proxy put it in front of UTF-8."""
    return body.removeprefix(_BYTE_ORDER_MARK)


def has_nul(text: bytes) -> bool:
    """Whether a JSON text may hold NUL characters, which stand in it escaped. Most texts have no escapes at all."""
    return b"\\" in text and _NUL in text


def encode_object(value: dict[str, Any], violations: list[str], *, nul: bool) -> bytes:
    """Write an object as compact JSON by the rules of `mend`.

    Slugs of what had to be changed are added to `violations`. `nul` is what `has_nul` said of the text that the object
    comes from.
    """
    if not value:
        return b"{}"
    try:
        # orjson refuses integers beyond 2^53, and Decimals, by itself, which spares a search for them.
        text = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        text = b""
    if text and text.count(b"{") + text.count(b"[") <= NESTING_MAX and not (nul and has_nul(text)):
        return text
    found: set[str] = set()
    mended = mend(value, found)
    violations += sorted(found)
    return _encode(mended)


def mend(value: object, found: set[str], level: int = 1) -> object:
    """Change what later readers cannot take, and note its slug in `found`.

    NUL characters are removed (`nul_removed`): queues, Postgres and C refuse them. Integers beyond 2^53, and numbers
    with more digits than a double keeps, become text (`number_as_text`). What is nested deeper than 32 levels becomes
    its JSON text (`nesting_flattened`).
    """
    if isinstance(value, str):
        if "\0" not in value:
            return value
        found.add("nul_removed")
        return value.replace("\0", "")
    if isinstance(value, bool) or not isinstance(value, int | Decimal | dict | list):
        return value
    if isinstance(value, int | Decimal):
        if isinstance(value, int) and abs(value) <= INTEGER_MAX:
            return value
        found.add("number_as_text")
        return str(value)
    if level > NESTING_MAX:
        found.add("nesting_flattened")
        return _encode(value).decode()
    if isinstance(value, list):
        return [mend(element, found, level + 1) for element in value]
    return {mend(key, found): mend(element, found, level + 1) for key, element in value.items()}


def count_keys(text: bytes) -> int:
    """Names in a compact JSON text, at all levels. A text that has the mark of one in a value may count as more."""
    return text.count(b'":')


def replace_lone_surrogates(text: bytes) -> bytes:
    """Put the replacement character where half of an escaped pair stands alone, as a cut emoji leaves it."""
    return _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], text)


def decoding_refusal(error: Exception, subject: str) -> EventInvalid:
    """Name what kept a text from being decoded. msgspec's own words tell positions, never values."""
    if isinstance(error, RecursionError):
        return EventInvalid("nesting_too_deep", f"{subject} is nested too deeply to be read")
    if isinstance(error, UnicodeDecodeError):
        return EventInvalid("text_not_utf8", f"{subject} is not valid UTF-8")
    if isinstance(error, msgspec.ValidationError):
        if "out of range" in str(error):
            return EventInvalid("number_out_of_range", f"{subject} has a number that no double can hold")
        return EventInvalid("not_an_object", f"{subject} is not a JSON object")
    return EventInvalid("json_invalid", f"{subject} is not JSON (NaN and Infinity are not): {error}")


def split_batch(body: bytes, name: str = "batch") -> tuple[bytes, list[bytes]]:
    """Cut a batch that cannot be decoded whole into its envelope and its messages, to find those that can.

    Args:
        body: JSON, or nearly.
        name: What the envelope calls its array of messages.

    Returns:
        The envelope with an empty array, and the array's elements in their order, each as it was received.

    Raises:
        BodyInvalid: There is no such array in an object, or it does not end.

    Cost: linear in the size of the body.
    """
    start = _batch_start(body, name)
    elements: list[bytes] = []
    depth, begun, gap = 0, start, start
    for token in _TOKEN.finditer(body, start):
        mark = token[0]
        if mark in {b"{", b"["}:
            if depth == 0:
                begun = token.start()
                elements += _scalars(body[gap:begun])
            depth += 1
        elif mark in {b"}", b"]"}:
            depth -= 1
            if depth == 0:
                gap = token.end()
                elements.append(body[begun:gap])
            elif depth < 0:
                elements += _scalars(body[gap : token.start()])
                return body[:start] + body[token.start() :], elements
    raise BodyInvalid("json_invalid", f"The body is not JSON: its {name} does not end", pointer=f"#/{name}")


def _batch_start(body: bytes, name: str) -> int:
    key = f'"{name}"'.encode()
    for token, depth in _tokens_with_depth(body):
        if depth == 1 and token[0] == key:
            array = _ARRAY.match(body, token.end())
            if array:
                return array.end()
    raise batch_missing(name)


def batch_missing(name: str = "batch") -> BodyInvalid:
    """A body whose envelope has no array of messages."""
    return BodyInvalid("batch_missing", f"Send an object with an array `{name}`", pointer=f"#/{name}")


def _tokens_with_depth(body: bytes) -> Iterator[tuple[re.Match[bytes], int]]:
    depth = 0
    for token in _TOKEN.finditer(body):
        yield token, depth
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)


def _scalars(gap: bytes) -> list[bytes]:
    """What stands between the objects of a batch: texts, numbers and nulls, which are no messages, but are there."""
    return [part for part in (part.strip(_BLANK) for part in gap.split(b",")) if part]
