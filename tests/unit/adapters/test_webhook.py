"""Webhooks: the signature that Standard Webhooks asks for, and what each answer means."""

import base64
import hashlib
import hmac
import socket

import pytest

from onefold.adapters.webhook import WebhookSender, signature
from onefold.domain.destination import Destination, webhook_secret
from onefold.domain.errors import Rejected, Unavailable
from onefold.use_cases.deliver import Delivery
from tests.fakes.events import SECRET
from tests.fakes.webhook_receiver import webhook_receiver

DELIVERY = Delivery("p_1:2:vips", b'{"type":"Audience Entered"}')


def send(url: str) -> None:
    WebhookSender(SECRET).send(Destination("crm", url), DELIVERY)


def test_the_signature_is_that_of_the_specifications_example() -> None:
    """The example of the specification's README: id, timestamp and body with the secret that it names."""
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_verify_what_it_gets() -> None:
    with webhook_receiver() as receiver:
        destination = Destination("crm", f"{receiver.url}?team=a")
        WebhookSender(SECRET).send(destination, DELIVERY)

    (received,) = receiver.received
    key = base64.b64decode(webhook_secret(SECRET, destination).removeprefix("whsec_"))
    assert len(key) == 32
    headers = received.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], received.body) == (DELIVERY.id, DELIVERY.body)
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_a_delivery(status: int) -> None:
    with webhook_receiver(status) as receiver:
        send(receiver.url)

    assert len(receiver.received) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_a_refusal_is_final(status: int) -> None:
    with webhook_receiver(status) as receiver, pytest.raises(Rejected):
        send(receiver.url)


@pytest.mark.parametrize("status", [301, 302, 307, 408, 429, 500, 502, 503])
def test_everything_else_may_pass_and_no_redirect_is_followed(status: int) -> None:
    with webhook_receiver(status) as receiver, pytest.raises(Unavailable):
        send(receiver.url)

    assert len(receiver.received) == 1


def test_nobody_at_the_other_end_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    with pytest.raises(Unavailable):
        send(f"http://127.0.0.1:{port}/")


def test_a_receiver_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onefold.adapters.webhook.TIMEOUT_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        with pytest.raises(Unavailable):
            send(f"http://127.0.0.1:{silent.getsockname()[1]}/")
