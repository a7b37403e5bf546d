"""Signatures of webhooks: whether a body comes from whoever holds the secret, as each provider documents it."""

import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import msgspec

from onefold.domain.clock import parse_instant
from onefold.domain.errors import Unauthorized

Provider = Literal["stripe", "shopify", "zendesk", "sendgrid", "generic"]
TOLERANCE_S: Final = 300  # what Stripe's and Standard Webhooks' own libraries allow
SIGNATURES_MAX: Final = 10  # in one request: two while a secret is replaced
SECRET_CHARACTERS_MAX: Final = 1_500  # two of them fit one parameter of 4 KB
P256_KEY_START: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
P256_KEY_BYTES: Final = 91
STANDARD_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what such a secret begins with

_PEM_FRAME: Final = re.compile(r"-----[^-]*-----|\s")

# (public key as DER, signature as DER, what was signed) → whether the one made the other, by ECDSA with SHA-256.
EcdsaVerifier = Callable[[bytes, bytes, bytes], bool]
Headers = Mapping[str, str]  # names in lower case
Check = Callable[[str, bytes], bool]  # (secret, signature) → whether they fit


class HeaderSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A keyed hash in a header, for senders with a scheme of their own.

    Attributes:
        header: Where the signature stands, after `prefix`.
        key: What the secret is: text as it stands, or base64 or hex of the key's bytes.
        signed: What is hashed: `{body}`, and if the sender has them `{timestamp}` and `{id}`.
        timestamp_header: Unix seconds or ISO 8601; named in `signed` it closes the request to replays.
        id_header: The message's id, which repeats when the message does.
    """

    header: str
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    key: Literal["text", "base64", "hex"] = "text"
    signed: str = "{body}"
    timestamp_header: str = ""
    id_header: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request brings to prove its origin. `signed_at_ms` is None where the scheme signs no time."""

    signatures: Sequence[bytes]
    check: Check
    signed_at_ms: int | None = None


def verify_signature(proof: Proof, secrets: Sequence[str], *, now_ms: int, tolerance_s: int = TOLERANCE_S) -> None:
    """See that one of the secrets made one of the signatures, lately.

    Raises:
        Unauthorized: `signature_missing`, `signature_wrong`, or `signature_stale` for a request that is genuine but
            older or newer than `tolerance_s`.
    """
    if not proof.signatures:
        raise Unauthorized("signature_missing", "The request carries no signature that can be read")
    if not any(proof.check(secret, one) for secret in secrets for one in proof.signatures[:SIGNATURES_MAX]):
        raise Unauthorized("signature_wrong", "The signature does not fit the body and this source's secret")
    if proof.signed_at_ms is not None and abs(now_ms - proof.signed_at_ms) > tolerance_s * 1_000:
        raise Unauthorized("signature_stale", f"The request was signed more than {tolerance_s} s from now")


def read_proof(
    provider: Provider, own: HeaderSignature | None, headers: Headers, body: bytes, ecdsa: EcdsaVerifier
) -> Proof:
    """Find a request's signatures, as its provider writes them; `own` is a generic source's scheme, if it has one.

    Raises:
        Unauthorized: A part of the signature is missing or unreadable.
    """
    if provider == "generic" and own is not None:
        return _own(own, headers, body)
    if provider == "sendgrid":
        return _sendgrid(headers, body, ecdsa)
    return {"stripe": _stripe, "shopify": _shopify, "zendesk": _zendesk, "generic": _standard}[provider](headers, body)


def _stripe(headers: Headers, body: bytes) -> Proof:
    """`t=…,v1=…`: hex HMAC-SHA-256 of `t.body`; other versions are ignored, lest a weaker one be chosen.

    Source: docs.stripe.com/webhooks, "Verify webhook signatures manually".
    """
    parts = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")]
    at = next((value for name, _, value in parts if name == "t"), "")
    signatures = [_hex(value) for name, _, value in parts if name == "v1"]
    return Proof(_present(signatures), _hmac_check("sha256", at.encode() + b"." + body), _seconds(at))


def _shopify(headers: Headers, body: bytes) -> Proof:
    """Base64 HMAC-SHA-256 of the body; Shopify signs no time.

    Source: shopify.dev, "Deliver webhooks through HTTPS", Verify.
    """
    return Proof(_present([_base64(headers.get("x-shopify-hmac-sha256", ""))]), _hmac_check("sha256", body))


def _zendesk(headers: Headers, body: bytes) -> Proof:
    """Base64 HMAC-SHA-256 of timestamp and body, one after the other.

    Source: developer.zendesk.com/documentation/webhooks/verifying.
    """
    at = headers.get("x-zendesk-webhook-signature-timestamp", "")
    signatures = _present([_base64(headers.get("x-zendesk-webhook-signature", ""))])
    return Proof(signatures, _hmac_check("sha256", at.encode() + body), _instant(at))


def _sendgrid(headers: Headers, body: bytes, ecdsa: EcdsaVerifier) -> Proof:
    """Base64 ECDSA (P-256, SHA-256, DER) of timestamp and body, one after the other; the secret is the public key.

    Source: twilio.com/docs/sendgrid, "Event Webhook Security Features".
    """
    at = headers.get("x-twilio-email-event-webhook-timestamp", "")
    signatures = _present([_base64(headers.get("x-twilio-email-event-webhook-signature", ""))])
    signed = at.encode() + body
    return Proof(signatures, lambda secret, one: ecdsa(public_key_bytes(secret), one, signed), _seconds(at))


def _standard(headers: Headers, body: bytes) -> Proof:
    """`v1,…`: base64 HMAC-SHA-256 of `id.timestamp.body` under the secret's decoded bytes.

    Source: Standard Webhooks, specification v1.
    """
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    parts = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ")]
    signatures = _present([_base64(value) for version, _, value in parts if version == "v1"] if message_id else [])
    return Proof(signatures, _hmac_check("sha256", f"{message_id}.{at}.".encode() + body, standard_key), _seconds(at))


def _own(scheme: HeaderSignature, headers: Headers, body: bytes) -> Proof:
    given = headers.get(scheme.header.lower(), "")
    bare = given.removeprefix(scheme.prefix) if given.startswith(scheme.prefix) else ""
    at = headers.get(scheme.timestamp_header.lower(), "") if scheme.timestamp_header else ""
    message_id = headers.get(scheme.id_header.lower(), "") if scheme.id_header else ""
    values = {"body": body, "timestamp": at.encode(), "id": message_id.encode()}
    parts = re.split(r"\{(body|timestamp|id)\}", scheme.signed)
    signed = b"".join(values[part] if place % 2 else part.encode() for place, part in enumerate(parts))
    key = partial(_key_bytes, scheme.key)
    signatures = _present([_hex(bare) if scheme.encoding == "hex" else _base64(bare)])
    signs_time = "{timestamp}" in scheme.signed
    return Proof(signatures, _hmac_check(scheme.algorithm, signed, key), _instant(at) if signs_time else None)


def _hmac_check(algorithm: str, signed: bytes, key: Callable[[str], bytes] = str.encode) -> Check:
    def check(secret: str, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(key(secret), signed, algorithm), signature)

    return check


def standard_key(secret: str) -> bytes:
    """The key's bytes in a Standard Webhooks secret, with or without its prefix; empty for what is none."""
    return _base64(secret.removeprefix(STANDARD_SECRET_PREFIX)) or b""


def public_key_bytes(secret: str) -> bytes:
    """A public key's DER from its base64, bare as SendGrid shows it or as PEM; empty for what is none."""
    return _base64(_PEM_FRAME.sub("", secret)) or b""


def _key_bytes(kind: str, secret: str) -> bytes:
    if kind == "text":
        return secret.encode()
    return (_hex(secret) if kind == "hex" else _base64(secret)) or b""


def secret_fault(provider: Provider, own: HeaderSignature | None, secret: str) -> str | None:
    """Say what is wrong with a secret before it is stored, without showing it; None where nothing is."""
    if not secret or len(secret) > SECRET_CHARACTERS_MAX or not (secret.isprintable() or provider == "sendgrid"):
        return f"a secret is one line of 1 to {SECRET_CHARACTERS_MAX} characters"
    if provider == "sendgrid":
        key = public_key_bytes(secret)
        is_p256 = key.startswith(P256_KEY_START) and len(key) == P256_KEY_BYTES
        return None if is_p256 else "SendGrid's verification key is base64 that begins with MFkwEwYHKoZI"
    if provider == "generic":
        key = standard_key(secret) if own is None else _key_bytes(own.key, secret)
        form = "a Standard Webhooks secret: whsec_ and base64" if own is None else f"a key in {own.key}"
        return None if key else f"it is not {form}"
    return None


def _present(signatures: Sequence[bytes | None]) -> list[bytes]:
    return [signature for signature in signatures if signature]


def _hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _base64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None


def _seconds(text: str) -> int:
    """Unix seconds in milliseconds.

    Raises:
        Unauthorized: The text is no such number, so nothing can have been signed with it.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 12):  # noqa: PLR2004 - until the year 33658
        raise Unauthorized("signature_missing", "The request carries no signature that can be read")
    return int(text) * 1_000


def _instant(text: str) -> int:
    at = parse_instant(text)
    return _seconds(text) if at is None else at
