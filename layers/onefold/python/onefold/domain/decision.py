"""Decisions: what a person rules about identities, and the record that is kept of it."""

from typing import Final, Literal

import msgspec

Action = Literal["split", "detach", "retract", "link", "allow"]
ACTIONS: Final = ("split", "detach", "retract", "link", "allow")
MESSAGES_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 500


class Decision(msgspec.Struct, frozen=True):
    """What somebody has decided. Identifiers are named by their keys, so that the record holds no person's data.

    Attributes:
        decision_id: Given by who asks; the same id is carried out once.
        action: `split` parts `left` and `right` for good. `detach` pulls `left` out of its profile. `retract` takes
            back what `messages` said of the profile of `left`. `link` joins `left` and `right`, beyond limits unless
            `why` is `probabilistic`. `allow` lets new evidence join a pair that was parted.
        at: Epoch ms.
        by: Who, as the API's token or the command line's user names them.
        reason: Why, in their words.
        messages: (source, message id) of the events.
        why: Of a link: `decision` or `probabilistic`. probability: Of the latter.
    """

    decision_id: str
    action: Action
    at: int
    by: str
    left: str
    right: str = ""
    reason: str = ""
    messages: tuple[tuple[str, str], ...] = ()
    why: Literal["decision", "probabilistic"] = "decision"
    probability: float = 1.0


class DecisionRecord(msgspec.Struct, frozen=True):
    """A decision that was carried out.

    Attributes:
        before, after: Ids of the live profiles that it touched, before and after.
        retracted: How many links it took back.
        rules_version: Of the identity rules in force.
    """

    decision: Decision
    before: tuple[str, ...]
    after: tuple[str, ...]
    retracted: int = 0
    rules_version: int = 0
