"""Consents: the newest decision about each purpose, when and through what it was made, and its proof."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from onefold.domain.event import Event
from onefold.domain.json_text import DECODING_ERRORS

CONSENTS_MAX: Final = 100
PURPOSE_LENGTH_MAX: Final = 200
PROOF_LENGTH_MAX: Final = 500  # characters of JSON; of what is longer the beginning is kept, as `cut`
# What states the decision itself; whatever else stands beside it is its proof.
_DECISIONS: Final = frozenset(["categoryPreferences", "allowedConsentIds", "deniedConsentIds"])


class Consent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A decision with its provenance. Times are epoch ms; `proof` is JSON text, or empty."""

    at: int
    received_at: int
    source: str
    message_id: str
    given: bool
    proof: str = ""


class _Context(msgspec.Struct, rename="camel"):
    consent: Any = None
    consent_management: Any = None


_contexts = msgspec.json.Decoder(_Context)


def outranks(word: Event | Consent, known: Event | Consent) -> bool:
    """Whether a word is the later one; of the same instants, that of the greater source and message."""
    if word.at != known.at:
        return word.at > known.at
    return (word.received_at, word.source, word.message_id) > (known.received_at, known.source, known.message_id)


def decided(event: Event, purpose: str) -> Consent:
    """What an event decides about a purpose that it names."""
    proof = _read_proof(event.context)
    return Consent(event.at, event.received_at, event.source, event.message_id, event.consent[purpose], proof)


def newer_consent(left: Consent, right: Consent) -> Consent:
    """The later of two; of two decisions of one message, which is its source's mistake, the withdrawal."""
    return max(left, right, key=_rank)


def _rank(consent: Consent) -> tuple[int, int, str, str, bool, str]:
    stamp = (consent.at, consent.received_at, consent.source, consent.message_id)
    return (*stamp, not consent.given, consent.proof)


def merge_consents(into: dict[str, Consent], more: Mapping[str, Consent]) -> None:
    for purpose, consent in more.items():
        known = into.get(purpose)
        into[purpose] = consent if known is None else newer_consent(known, consent)


def _read_proof(context: bytes) -> str:
    """What a context says beside its decisions, such as a policy's version, as JSON text; or nothing."""
    if b'"consent' not in context:
        return ""
    try:
        told = _contexts.decode(context)
        words: dict[str, Any] = {}
        for statement in (told.consent_management, told.consent):
            if isinstance(statement, dict):
                words |= {name: value for name, value in statement.items() if name not in _DECISIONS}
            elif isinstance(statement, str) and statement:
                words["text"] = statement
        proof = msgspec.json.encode(words, order="deterministic").decode() if words else ""
    except DECODING_ERRORS:
        return ""
    if len(proof) > PROOF_LENGTH_MAX:
        return msgspec.json.encode({"cut": proof[:PROOF_LENGTH_MAX]}).decode()
    return proof


def consents_document(consents: Mapping[str, Consent]) -> dict[str, dict[str, Any]]:
    """Purpose → decision, sorted by purpose."""
    return {purpose: _document(consents[purpose]) for purpose in sorted(consents)}


def _document(consent: Consent) -> dict[str, Any]:
    return {
        "given": consent.given,
        "at": consent.at,
        "source": consent.source,
        "message_id": consent.message_id,
        "proof": msgspec.json.decode(consent.proof) if consent.proof else None,
    }
