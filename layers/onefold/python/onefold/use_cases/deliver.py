"""Deliver: bring a transition to every destination that wants it."""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from onefold.domain.destination import Destination
from onefold.domain.errors import BodyInvalid, Rejected, Unavailable
from onefold.use_cases.activate import Transition


class Delivery(msgspec.Struct, frozen=True):
    """What a destination gets. `id` is the same for every repeat: receivers drop what they have seen."""

    id: str
    body: bytes


class Sender(Protocol):
    def send(self, destination: Destination, delivery: Delivery) -> None:
        """Send once.

        Raises:
            Rejected: The destination will never take it.
            Unavailable: It may take it later.
        """


class _Envelope(msgspec.Struct, frozen=True):
    detail: Transition


_envelopes = msgspec.json.Decoder(_Envelope)


def parse_message(body: str) -> Transition:
    """Read a transition out of a message as the bus puts it into a queue.

    Raises:
        BodyInvalid: It is none.
    """
    try:
        return _envelopes.decode(body).detail
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BodyInvalid("message_unreadable", "The message is no transition from the bus") from error


def deliver(transition: Transition, destinations: Iterable[Destination], sender: Sender) -> Mapping[str, int]:
    """Send a transition to each destination that wants it.

    What a destination refuses for good is not sent again. Nothing is lost by that: who is in an audience stays
    written in the profiles' heads.

    Returns:
        Counts: `delivered`, `refused`.

    Raises:
        Unavailable: Some destination could not be reached. The others have got it, and will get it again under the
            same id when the message comes again.
    """
    delivery = Delivery(transition.key, _body(transition))
    counts = {"delivered": 0, "refused": 0}
    unavailable: Unavailable | None = None
    for destination in destinations:
        if not destination.wants(transition.audience):
            continue
        try:
            sender.send(destination, delivery)
            counts["delivered"] += 1
        except Rejected:
            counts["refused"] += 1
        except Unavailable as error:
            unavailable = error
    if unavailable is not None:
        raise unavailable
    return counts


def _body(transition: Transition) -> bytes:
    """Type, time (epoch ms) and data, as the Standard Webhooks specification advises."""
    return msgspec.json.encode({"type": transition.kind, "timestamp": transition.at, "data": transition})
