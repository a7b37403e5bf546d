"""The receiver's side of signed deliveries."""

import json
from typing import Any

import httpx
import pytest

from cli.webhooks import Received, WebhookReceiver, is_genuine, memberships
from onefold.adapters.webhook import signature

# The worked example of the Standard Webhooks libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SIGNED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
NOW_S = 1614265330.0


def test_the_specifications_example_is_genuine() -> None:
    assert is_genuine(SECRET, SIGNED, BODY, now_s=NOW_S)
    assert signature(SECRET, SIGNED["webhook-id"], 1614265330, BODY) == SIGNED["webhook-signature"]


@pytest.mark.parametrize(
    ("headers", "body", "now_s"),
    [
        (SIGNED, BODY + b" ", NOW_S),
        (SIGNED | {"webhook-id": "another"}, BODY, NOW_S),
        (SIGNED | {"webhook-timestamp": "1614265331"}, BODY, NOW_S),
        (SIGNED | {"webhook-timestamp": "soon"}, BODY, NOW_S),
        (SIGNED | {"webhook-signature": ""}, BODY, NOW_S),
        (SIGNED, BODY, NOW_S + 301),
        ({}, BODY, NOW_S),
    ],
)
def test_what_was_altered_or_is_old_is_not(headers: dict[str, str], body: bytes, now_s: float) -> None:
    assert not is_genuine(SECRET, headers, body, now_s=now_s)


def test_one_of_several_signatures_is_enough_while_keys_are_replaced() -> None:
    both = SIGNED | {"webhook-signature": f"v1,AAAA {SIGNED['webhook-signature']}"}

    assert is_genuine(SECRET, both, BODY, now_s=NOW_S)


def test_a_receiver_keeps_what_is_genuine_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.webhooks.time.time", lambda: NOW_S)
    receiver = WebhookReceiver(SECRET)

    answers = [
        httpx.post(receiver.url, content=BODY, headers=SIGNED).status_code,
        httpx.post(receiver.url, content=BODY, headers=SIGNED).status_code,
        httpx.post(receiver.url, content=b"{}", headers=SIGNED).status_code,
    ]
    receiver.close()

    assert answers == [204, 204, 401]
    assert (receiver.received.repeats, receiver.received.forged) == (1, 1)
    assert list(receiver.received.deliveries.values()) == [json.loads(BODY)]


def transition(profile: str, audience: str, status: str, version: int) -> dict[str, Any]:
    return {"data": {"profile_id": profile, "audience": audience, "status": status, "version": version}}


def test_members_follow_from_each_profiles_latest_word_whatever_the_order() -> None:
    told = [
        transition("p1", "vips", "exited", 3),
        transition("p1", "vips", "entered", 2),
        transition("p2", "vips", "entered", 9),
        transition("p2", "sad", "exited", 10),
        transition("p1", "vips", "entered", 4),
        {"data": {"profile_id": "p2", "merged_profile_id": "p3"}},
    ]

    assert memberships(Received(dict(enumerate(told)))) == {"vips": {"p1", "p2"}}  # type: ignore[arg-type]
