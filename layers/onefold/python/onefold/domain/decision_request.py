"""Requests for decisions: what somebody asks to be decided, checked, with identifiers turned into keys."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

import msgspec

from onefold.domain.decision import MESSAGES_MAX, REASON_CHARACTERS_MAX, Action, Decision
from onefold.domain.errors import BodyInvalid, IdentifierInvalid, Rejected
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import IdentityRules, parse_identifier

KEY_PREFIX: Final = "key:"
PAIRED: Final = frozenset(["split", "link", "allow"])
_ID: Final = re.compile(r"[A-Za-z0-9_.:\-]{1,100}")

KeyOf = Callable[[str], str]


class MessageName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The event that a link comes from."""

    source: str
    message_id: str


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for; the attributes are those of a Decision, identifiers as `type:value` or `key:type:…`."""

    action: Action
    left: str
    right: str = ""
    messages: tuple[MessageName, ...] = ()
    reason: str = ""
    why: Literal["decision", "probabilistic"] = "decision"
    probability: float = 1.0


_requests = msgspec.json.Decoder(DecisionRequest)


def parse_request(body: bytes) -> DecisionRequest:
    """Read a request's JSON.

    Raises:
        BodyInvalid: It is no JSON, or has a field too many or of the wrong type; without any value of it.
    """
    try:
        return _requests.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise body_invalid(error) from error


def body_invalid(error: Exception) -> BodyInvalid:
    """Say where JSON does not fit, without what stands there."""
    place = re.search(r"`\$\.?([^`]*)`", str(error))
    if not isinstance(error, msgspec.ValidationError):
        return BodyInvalid("body_unreadable", "Send a JSON document in UTF-8")
    # Only msgspec's own words: what it quotes beyond them are names and values of the sender's.
    words = str(error).partition(" - at ")[0]
    detail = words if words.startswith(("Expected ", "Object missing ")) else "A field or value is not a known one"
    pointer = re.sub(r"[.\[\]]+", "/", place.group(1)).strip("/") if place else ""
    return BodyInvalid("body_invalid", detail, pointer=f"#/{pointer}")


def build_decision(request: DecisionRequest, key_of: KeyOf, *, decision_id: str, at: int, by: str) -> Decision:
    """Turn a request into the decision that it asks for.

    Raises:
        IdentifierInvalid: One side is no identifier.
        Rejected: Something is missing, too long, or does not go with the action.
    """
    _check(request, decision_id)
    return Decision(
        decision_id,
        request.action,
        at,
        by,
        _key(key_of, request.left, "left"),
        _key(key_of, request.right, "right") if request.right else "",
        request.reason,
        tuple((each.source, each.message_id) for each in request.messages),
        request.why,
        request.probability,
    )


def _check(request: DecisionRequest, decision_id: str) -> None:
    paired, messages = request.action in PAIRED, len(request.messages)
    faults = (
        (
            not _ID.fullmatch(decision_id),
            "decision_id",
            "Write an id (Idempotency-Key) of 1 to 100 letters, digits and _ . : -",
        ),
        (paired and not request.right, "right", f"Name two identifiers to {request.action}"),
        (not paired and bool(request.right), "right", f"Leave right out: {request.action} is about one identifier"),
        (paired and request.left == request.right, "right", "Name two different identifiers"),
        (request.action == "retract" and not messages, "messages", "Name the messages to take back"),
        (request.action != "retract" and bool(messages), "messages", "Leave messages out: only retract takes them"),
        (messages > MESSAGES_MAX, "messages", f"Name at most {MESSAGES_MAX} messages at a time"),
        (
            len(request.reason) > REASON_CHARACTERS_MAX,
            "reason",
            f"Write a reason of at most {REASON_CHARACTERS_MAX} characters",
        ),
        (request.why != "decision" and request.action != "link", "why", "Leave why out: only link takes it"),
        (
            not (math.isfinite(request.probability) and 0 < request.probability <= 1),
            "probability",
            "Write a probability above 0 and at most 1",
        ),
        (
            request.probability != 1 and request.why != "probabilistic",
            "probability",
            "Write `why: probabilistic` beside a probability",
        ),
    )
    for is_broken, field, remedy in faults:
        if is_broken:
            raise Rejected("decision_invalid", remedy, pointer=f"#/{field}")


def identifier_keys(rules: IdentityRules, hasher: IdentifierHasher) -> KeyOf:
    """How identifiers that somebody names become keys: `type:value`, or `key:` and a key as records show it.

    A value that the deployment has blocked can still be named: it may be what has to be taken out of a profile.
    """
    open_types = {
        name: replace(kind, blocked=frozenset(), blocked_patterns=(), pattern=None)
        for name, kind in rules.types.items()
    }
    unblocked = replace(rules, types=open_types)

    def key_of(text: str) -> str:
        if text.startswith(KEY_PREFIX) and "key" not in rules.types:
            return text.removeprefix(KEY_PREFIX)
        try:
            return hasher.key(*parse_identifier(text, rules))
        except IdentifierInvalid:
            return hasher.key(*parse_identifier(text, unblocked))

    return key_of


def _key(key_of: KeyOf, text: str, field: str) -> str:
    try:
        return key_of(text)
    except IdentifierInvalid as error:
        raise IdentifierInvalid(error.reason, error.detail, pointer=f"#/{field}") from error
