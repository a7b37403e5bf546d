"""Destinations: which are allowed, and whose secret is whose."""

import base64
from typing import Any

import msgspec
import pytest

from onefold.domain.definition import Definition
from onefold.domain.destination import Destination, destinations_of, parse_destination, webhook_secret
from onefold.domain.errors import DefinitionInvalid
from tests.fakes.events import SECRET


def parse(**fields: Any) -> Destination:
    return parse_destination(msgspec.json.encode({"name": "crm", "url": "https://crm.example.com/hook", **fields}))


def test_a_destination_is_a_webhook_for_all_audiences_unless_it_says_otherwise() -> None:
    assert parse() == Destination("crm", "https://crm.example.com/hook", "webhook", (), 1)
    assert parse(audiences=["vips"], secret_version=2).audiences == ("vips",)


@pytest.mark.parametrize(
    "url",
    ["https://crm.example.com", "https://crm.example.com:8443/a?b=c", "http://127.0.0.1:9000/", "http://localhost/x", "http://[::1]:80/"],
)  # fmt: skip
def test_https_and_this_machine_are_allowed(url: str) -> None:
    assert parse(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost@evil.example/",
        "https://user:password@crm.example.com/",
        "https://",
        "https:///hook",
        "ftp://crm.example.com",
        "file:///etc/passwd",
        "crm.example.com/hook",
        "https://crm.example.com/a b",
        "https://crm.example.com/\r\nX: y",
        "https://crm.example.com:notaport/",
        "https://crm.example.com:0/",
        "https://[::1/",
        "https://münchen.example/",
        "https://crm.example.com/" + "x" * 2_000,
        "",
    ],
)
def test_any_other_url_is_refused_with_its_place(url: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        parse(url=url)

    assert refused.value.pointer == "#/url"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "CRM"},
        {"name": ""},
        {"secret_version": 0},
        {"kind": "carrier_pigeon"},
        {"colour": "red"},
        {"url": None},
    ],
)
def test_a_malformed_destination_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(DefinitionInvalid):
        parse(**fields)


def test_what_is_no_json_is_refused() -> None:
    for body in (b"", b"\xff", b"[" * 100_000):
        with pytest.raises(DefinitionInvalid):
            parse_destination(body)


def test_a_definition_that_cannot_be_read_does_not_take_the_others_with_it() -> None:
    good = Definition("destination/crm", msgspec.json.encode(parse()), 1)
    others = [Definition("source/web", b"{}", 1), Definition("destination/new", b'{"name":"new"}', 1)]

    assert destinations_of([*others, good]) == [parse()]


def test_each_destination_and_each_version_has_a_secret_of_its_own() -> None:
    named = [parse(), parse(name="ads"), parse(secret_version=2)]
    secrets = [webhook_secret(SECRET, each) for each in named] + [webhook_secret(b"another deployment", parse())]

    assert len(set(secrets)) == 4
    assert webhook_secret(SECRET, parse(url="https://elsewhere.example/")) == secrets[0]
    assert all(len(base64.b64decode(each.removeprefix("whsec_"), validate=True)) == 32 for each in secrets)
