"""Transitions reach every destination that wants them, however the others answer."""

import msgspec
import pytest

from onefold.domain.destination import Destination
from onefold.domain.errors import BodyInvalid, OnefoldError, Rejected, Unavailable
from onefold.use_cases.activate import Transition
from onefold.use_cases.deliver import Delivery, deliver, parse_message
from tests.fakes.lambda_events import bus_message

ENTERED = Transition("Audience Entered", "p_1:2:vips", "p_1", 5, 2, "evaluated", "vips", "entered")
MERGED = Transition("Profile Merged", "p_3:2", "p_1", 5, 2, "merged", merged_profile_id="p_3")


class Sender:
    def __init__(self, **failures: OnefoldError) -> None:
        self.sent: list[tuple[str, Delivery]] = []
        self._failures = failures

    def send(self, destination: Destination, delivery: Delivery) -> None:
        self.sent.append((destination.name, delivery))
        if destination.name in self._failures:
            raise self._failures[destination.name]


def destination(name: str, *audiences: str) -> Destination:
    return Destination(name, "https://example.com/hook", audiences=audiences)


def test_a_transition_goes_to_those_who_want_its_audience() -> None:
    sender = Sender()
    wanted = [destination("all"), destination("vips_only", "vips", "lapsed"), destination("others", "lapsed")]

    counts = deliver(ENTERED, wanted, sender)

    assert [name for name, _ in sender.sent] == ["all", "vips_only"]
    assert counts == {"delivered": 2, "refused": 0}


def test_a_merged_profile_concerns_those_who_want_everything() -> None:
    sender = Sender()

    deliver(MERGED, [destination("all"), destination("vips_only", "vips")], sender)

    assert [name for name, _ in sender.sent] == ["all"]


def test_a_delivery_is_named_by_the_transition_and_holds_it() -> None:
    sender = Sender()

    deliver(ENTERED, [destination("all")], sender)

    ((_, delivery),) = sender.sent
    assert delivery.id == ENTERED.key
    body = msgspec.json.decode(delivery.body)
    assert (body["type"], body["timestamp"]) == ("Audience Entered", 5)
    assert msgspec.convert(body["data"], Transition) == ENTERED


def test_one_that_cannot_be_reached_keeps_nothing_from_the_others_and_asks_for_another_try() -> None:
    sender = Sender(down=Unavailable("down"))

    with pytest.raises(Unavailable):
        deliver(ENTERED, [destination("down"), destination("up")], sender)

    assert [name for name, _ in sender.sent] == ["down", "up"]


def test_a_refusal_is_counted_and_not_tried_again() -> None:
    sender = Sender(picky=Rejected("delivery_refused", "no"))

    assert deliver(ENTERED, [destination("picky"), destination("up")], sender) == {"delivered": 1, "refused": 1}


@pytest.mark.parametrize("transition", [ENTERED, MERGED])
def test_what_activate_publishes_is_what_deliver_reads(transition: Transition) -> None:
    message = bus_message(transition.kind, msgspec.json.decode(msgspec.json.encode(transition)))

    assert parse_message(message) == transition


@pytest.mark.parametrize("body", ["", "{}", '{"detail": {}}', '{"detail": {"kind": "Order Completed"}}', "[" * 100_000])
def test_any_other_message_is_refused(body: str) -> None:
    with pytest.raises(BodyInvalid):
        parse_message(body)
