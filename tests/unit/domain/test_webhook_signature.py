"""Signatures against vectors that others published, or that openssl made (`openssl dgst -sha256 -hmac …`)."""

import json

import pytest

from onefold.adapters.ecdsa_signature import verify_p256
from onefold.domain.errors import Unauthorized
from onefold.domain.webhook_signature import (
    HeaderSignature,
    Provider,
    public_key_bytes,
    read_proof,
    secret_fault,
    verify_signature,
)

BODY = b'{"id":"evt_1"}'
AT_MS = 1_614_265_330_000
STRIPE = "e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa"
STRIPE_SECRET = "whsec_test_secret"
ZENDESK_SECRET = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="  # of every webhook under test at Zendesk
ZENDESK_AT = "2021-03-25T05:09:27Z"
ZENDESK_MS = 1_616_648_967_000
# Of Standard Webhooks' own documentation.
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_BODY = b'{"test": 2432232314}'
# Of the tests of SendGrid's own library.
SENDGRID_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eN"
    "Ec6wEA3F+g=="
)
SENDGRID = {
    "x-twilio-email-event-webhook-signature": (
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    ),
    "x-twilio-email-event-webhook-timestamp": "1600112502",
}
SENDGRID_EVENT = {
    "email": "hello@world.com",
    "event": "dropped",
    "reason": "Bounced Address",
    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
    "timestamp": 1600112492,
}
SENDGRID_BODY = (json.dumps([SENDGRID_EVENT], sort_keys=True, separators=(",", ":")) + "\r\n").encode()

Vector = tuple[Provider, dict[str, str], bytes, str, int]
VECTORS: dict[str, Vector] = {
    "stripe": ("stripe", {"stripe-signature": f"t=1614265330,v1={STRIPE},v0=00"}, BODY, STRIPE_SECRET, AT_MS),
    "shopify": (
        "shopify",
        {"x-shopify-hmac-sha256": "+TTNLrIAr++NEmlyRgFUnRYTKAMRFpBc9+Qp7eD6x2I="},
        BODY,
        "hush",
        AT_MS,
    ),
    "zendesk": (
        "zendesk",
        {
            "x-zendesk-webhook-signature": "5pX/XeKR3x4Ea1AEXZS7keOSZLcX/vUtkrTgV3zoH8A=",
            "x-zendesk-webhook-signature-timestamp": ZENDESK_AT,
        },
        BODY,
        ZENDESK_SECRET,
        ZENDESK_MS,
    ),
    "sendgrid": ("sendgrid", SENDGRID, SENDGRID_BODY, SENDGRID_KEY, 1_600_112_502_000),
    "standard": ("generic", STANDARD, STANDARD_BODY, STANDARD_SECRET, AT_MS),
}
vectors = pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)


def reason(vector: Vector, *secrets: str, own: HeaderSignature | None = None) -> str:
    """Why a request is refused; empty where it is genuine."""
    provider, headers, body, secret, now_ms = vector
    try:
        verify_signature(read_proof(provider, own, headers, body, verify_p256), secrets or (secret,), now_ms=now_ms)
    except Unauthorized as error:
        return error.reason
    return ""


@vectors
def test_a_genuine_request_is_known_as_such(vector: Vector) -> None:
    assert reason(vector) == ""


@vectors
def test_another_body_secret_or_signature_is_refused(vector: Vector) -> None:
    provider, headers, body, _, now_ms = vector
    changed = (provider, headers, body.replace(b'"', b"'", 1), vector[3], now_ms)
    other = SENDGRID_KEY.replace("83T4O", "83T4P") if provider == "sendgrid" else "whsec_b3RoZXI="
    bare = (provider, dict.fromkeys(headers, "1614265330"), body, vector[3], now_ms)

    assert reason(changed) == "signature_wrong"
    assert reason(vector, other) == "signature_wrong"
    assert reason((provider, {}, body, vector[3], now_ms)) == "signature_missing"
    assert reason(bare) in {"signature_missing", "signature_wrong"}


@vectors
def test_either_of_two_secrets_is_good(vector: Vector) -> None:
    other = SENDGRID_KEY.replace("83T4O", "83T4P") if vector[0] == "sendgrid" else "whsec_b3RoZXI="

    assert reason(vector, other, vector[3]) == ""
    assert reason(vector, vector[3], other) == ""


@pytest.mark.parametrize("name", ["stripe", "zendesk", "sendgrid", "standard"])
@pytest.mark.parametrize(
    ("seconds", "expected"), [(300, ""), (-300, ""), (301, "signature_stale"), (-301, "signature_stale")]
)
def test_a_replay_after_five_minutes_is_refused(name: str, seconds: int, expected: str) -> None:
    provider, headers, body, secret, now_ms = VECTORS[name]

    assert reason((provider, headers, body, secret, now_ms + seconds * 1_000)) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"t=1614265330,v1={'0' * 64},v1={STRIPE}", ""),
        (f"t=1614265330, v1={STRIPE}", ""),
        (f"t=1614265330,v0={STRIPE}", "signature_missing"),
        (f"t=1614265331,v1={STRIPE}", "signature_wrong"),
        (f"t=,v1={STRIPE}", "signature_missing"),
        (f"t=²,v1={STRIPE}", "signature_missing"),
        (f"v1={STRIPE}", "signature_missing"),
        ("t=1614265330,v1=nothex", "signature_missing"),
        (f"t=1614265330,{','.join(f'v1={i:064x}' for i in range(10))},v1={STRIPE}", "signature_wrong"),
    ],
)
def test_stripes_header_is_read_to_the_letter(header: str, expected: str) -> None:
    assert reason(("stripe", {"stripe-signature": header}, BODY, STRIPE_SECRET, AT_MS)) == expected


def test_standard_webhooks_may_carry_several_signatures_of_several_versions() -> None:
    several = STANDARD | {"webhook-signature": f"v1a,AAAA v1,AAAA {STANDARD['webhook-signature']}"}
    nameless = {name: value for name, value in STANDARD.items() if name != "webhook-id"}

    assert reason(("generic", several, STANDARD_BODY, STANDARD_SECRET, AT_MS)) == ""
    assert reason(("generic", nameless, STANDARD_BODY, STANDARD_SECRET, AT_MS)) == "signature_missing"


def test_a_scheme_of_ones_own_is_declared() -> None:
    github = HeaderSignature(header="X-Hub-Signature", algorithm="sha1", prefix="sha1=")
    digest = {"x-hub-signature": "sha1=311813ad426471aeca0736e916f422e3c6e7d84c"}
    slack = HeaderSignature(
        header="X-Slack-Signature",
        prefix="v0=",
        signed="v0:{timestamp}:{body}",
        timestamp_header="X-Slack-Request-Timestamp",
    )
    dated = {
        "x-slack-signature": "v0=f6a78482b65962307b7737eb6cc46fb950f890ec069bf5f015d7925e1f86d569",
        "x-slack-request-timestamp": "1614265330",
    }

    assert reason(("generic", digest, BODY, "hush", AT_MS), own=github) == ""
    assert reason(("generic", {"x-hub-signature": digest["x-hub-signature"][5:]}, BODY, "hush", AT_MS), own=github)
    assert reason(("generic", dated, BODY, "hush", AT_MS), own=slack) == ""
    assert reason(("generic", dated, BODY, "hush", AT_MS + 301_000), own=slack) == "signature_stale"
    assert reason(("generic", {"x-slack-signature": "v0=00"}, BODY, "hush", AT_MS), own=slack) == "signature_missing"


def test_a_body_that_holds_a_placeholder_is_signed_as_it_is() -> None:
    """`{timestamp}` in the body must not be filled in: what is signed would be another text than what was sent."""
    own = HeaderSignature(header="x", signed="{timestamp}.{body}", timestamp_header="t")
    proof = read_proof("generic", own, {"x": "00", "t": "1614265330"}, b"{timestamp}{id}", verify_p256)
    import hashlib
    import hmac

    genuine = hmac.new(b"hush", b"1614265330.{timestamp}{id}", hashlib.sha256).digest()
    assert proof.check("hush", genuine)


@pytest.mark.parametrize(
    ("provider", "own", "secret", "is_good"),
    [
        ("stripe", None, "whsec_abc", True),
        ("stripe", None, "", False),
        ("stripe", None, "two\nlines", False),
        ("shopify", None, "x" * 1_501, False),
        ("sendgrid", None, SENDGRID_KEY, True),
        ("sendgrid", None, f"-----BEGIN PUBLIC KEY-----\n{SENDGRID_KEY}\n-----END PUBLIC KEY-----", True),
        ("sendgrid", None, SENDGRID_KEY[:-4], False),
        ("sendgrid", None, "SG.an-api-key", False),
        ("generic", None, STANDARD_SECRET, True),
        ("generic", None, "whsec_!", False),
        ("generic", HeaderSignature(header="x"), "any text", True),
        ("generic", HeaderSignature(header="x", key="hex"), "00ff", True),
        ("generic", HeaderSignature(header="x", key="hex"), "any text", False),
    ],
)
def test_a_secret_is_looked_at_before_it_is_stored(
    provider: Provider, own: HeaderSignature | None, secret: str, is_good: bool
) -> None:
    fault = secret_fault(provider, own, secret)

    assert (fault is None) == is_good
    assert not fault or not secret or secret not in fault


def test_a_key_of_another_curve_or_kind_verifies_nothing() -> None:
    assert not verify_p256(b"", b"", b"")
    assert not verify_p256(public_key_bytes("AAAA"), b"", b"")
    assert not verify_p256(public_key_bytes(SENDGRID_KEY), b"\x30\x06\x02\x01\x01\x02\x01\x01", BODY)
