"""Bodies that a coverage-guided fuzzer thinks of, through the tracking API; ends with a report, or at an escape.

Usage: python -m tests.clients.fuzz_bodies SECONDS
"""

import base64
import json
import sys
import time
from typing import Any

from tests.clients.sdk_packages import FOLDER, python_folder

sys.path.append(str(python_folder("fuzzer")))

import atheris  # it lies in a folder of its own

with atheris.instrument_imports(include=["onefold"]):
    from onefold.domain.event import Event
    from tests.clients.gateway import KEY, answer_event, memory_collector
from tests.fakes.requests import RECEIVED_AT

PATHS = ("/v1/batch", "/v1/track", "/v1/i", "/v1/merge", "/com.snowplowanalytics.snowplow/tp2", "/pixel/v1/track", "/i")
SEEDS = (
    b'\0{"batch":[{"type":"track","event":"E","userId":"u","properties":{"a":[1,2.5,null]}}],"sentAt":"2026-11-12"}',
    b'\1{"event":"E","anonymousId":"a","context":{"consent":{"categoryPreferences":{"m":true}}}}',
    b'\2{"userId":"u","traits":{"email":"a@b.de"},"context":{"externalIds":[{"type":"t","id":"1"}]}}',
    b'\3{"type":"merge","mergeProperties":[{"type":"email","value":"a@b.de"},{"type":"mobile","value":"+491701234567"}]}',
    b'\4{"schema":"x","data":[{"e":"ue","aid":"shop","ue_pr":"{\\"data\\":{\\"schema\\":\\"iglu:a/b/c/1\\"}}","dtm":"1"}]}',
    b"\5writeKey=key-of-web&properties.a.b=1&data=eyJ1c2VySWQiOiJ1In0",
    b"\6e=se&aid=shop&se_ca=a&se_ac=b&cx=eyJkYXRhIjpbXX0",
    b"\0\x1f\x8b\x08\0\0\0\0\0\0\3",
)
# A fuzzer does not find its way into these by chance.
WORDS = (
    '"batch":[',
    "\\ud83d",
    "\\u0000",
    "1e400",
    "123456789012345678901",
    "messageId",
    "ue_px",
    "aid",
    "mergeProperties",
)


def one(data: bytes) -> None:
    """One request: the first byte chooses its path, the rest is the body, or the query of a pixel."""
    path = PATHS[data[0] % len(PATHS)] if data else PATHS[0]
    is_pixel = path in {"/pixel/v1/track", "/i"}
    collector, log = memory_collector()
    event: dict[str, Any] = {
        "rawPath": path,
        "rawQueryString": data[1:].decode("latin-1") if is_pixel else "",
        "headers": {"x-write-key": KEY, "content-encoding": "gzip" if data[:1] > b"\x7f" else ""},
        "requestContext": {
            "http": {"method": "GET" if is_pixel else "POST", "sourceIp": "203.0.113.7"},
            "timeEpoch": RECEIVED_AT,
        },
        "body": base64.b64encode(data[1:]).decode(),
        "isBase64Encoded": True,
    }
    answer = answer_event(event, collector)
    if answer["statusCode"] == 200 and not is_pixel:
        counts = json.loads(answer["body"])
        stored = sum(len(batch.events) for _, batch in log.batches)
        kept = sum(len(batch.refusals) for _, batch in log.batches)
        assert (stored, kept) == (counts["accepted"], counts["quarantined"])
    for _, batch in log.batches:
        for each in batch.events:
            check(each)


def check(event: Event) -> None:
    for text in (event.properties, event.traits, event.context):
        assert isinstance(json.loads(text, parse_constant=_never), dict)
        assert b"\\u0000" not in text.replace(b"\\\\", b"")


def _never(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def escaped(word: str) -> str:
    return "".join(rf"\x{byte:02x}" for byte in word.encode())


def main(seconds: str) -> None:
    corpus = FOLDER / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = FOLDER / "words.txt"
    words.write_text("".join(f'"{escaped(word)}"\n' for word in WORDS))
    options = [f"-max_total_time={seconds}", f"-dict={words}", "-max_len=4096", "-rss_limit_mb=2048", "-timeout=10"]
    print(f"fuzzing for {seconds} s, begun {time.strftime('%H:%M:%S')}", flush=True)  # noqa: T201 - a program
    atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={FOLDER}/", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "120")
