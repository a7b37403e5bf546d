import msgspec
import pytest

from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid
from onefold.domain.source import Source, parse_source, sources_by_write_key

WEB = {"name": "web", "write_key": "key-of-web", "kind": "browser", "phone_region": "DE"}


def test_a_source_is_read_with_its_defaults() -> None:
    source = parse_source(msgspec.json.encode(WEB))

    assert source == Source("web", "key-of-web", "browser", "DE", email_in_properties=False, enabled=True)
    assert source.client_is_the_person


@pytest.mark.parametrize(
    "fault",
    [
        {"name": "Web shop"},
        {"name": ""},
        {"write_key": "short"},
        {"write_key": "with a space"},
        {"kind": "pigeon"},
        {"phone_region": "Germany"},
        {"enabled": "yes"},
        {"colour": "red"},
        {"ip": "hash"},
        {"bots": "refuse"},
        {"hosts": ["https://shop.example"]},
        {"hosts": "shop.example"},
        {"internal": {"networks": ["198.51.100.1/24"]}},
        {"internal": {"networks": ["office"]}},
        {"internal": {"hosts": ["Shop.example"]}},
        {"internal": {"people": []}},
        {"consent": {"required": ["a/b"]}},
        {"consent": {"required": "marketing"}},
        {"consent": {"purposes": {"": ["tcf.1"]}}},
        {"consent": {"purposes": {"marketing": [""]}}},
        {"consent": {"missing": "maybe"}},
        {"consent": {"refused": "drop"}},
        {"limits": {"event_bytes": 10}},
        {"limits": {"event_bytes": 10_000_000}},
        {"limits": {"properties": 0}},
        {"webhook": "paypal"},
        {"webhook": "stripe", "webhook_signature": {"header": "X-Signature"}},
        {"webhook_signature": {"header": "X-Signature"}},
        {"webhook": "generic", "webhook_signature": {"header": " "}},
        {"webhook": "generic", "webhook_signature": {"header": "X-Signature", "signed": "{timestamp}"}},
        {"webhook": "generic", "webhook_signature": {"header": "X-Signature", "algorithm": "md5"}},
        {"webhook": "stripe", "webhook_tolerance_s": 0},
        {"mapping": "../loyalty"},
        {"devices": "yes"},
    ],
)
def test_a_source_with_a_fault_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(DefinitionInvalid):
        parse_source(msgspec.json.encode(WEB | fault))


def test_all_that_can_be_declared_survives_being_stored() -> None:
    declared = WEB | {
        "hosts": ["shop.example"],
        "ip": "drop",
        "bots": "keep",
        "internal": {"networks": ["198.51.100.0/24", "2001:db8::/32"], "hosts": ["staging.shop.example"]},
        "consent": {
            "purposes": {"marketing": ["tcf.3", "C0004"]},
            "required": ["analytics"],
            "missing": "given",
            "refused": "suppress",
        },
        "limits": {"event_bytes": 16_384, "properties": 50, "traits": 20, "keys": 500},
    }

    source = parse_source(msgspec.json.encode(declared))

    assert parse_source(msgspec.json.encode(source)) == source
    assert source.event_bytes_max == 16_384
    assert msgspec.json.decode(msgspec.json.encode(parse_source(msgspec.json.encode(WEB)))) == WEB


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"internal": {"networks": ["10.0.0.0/8", "office"]}}, "#/internal/networks/1"),
        ({"internal": {"hosts": ["a.b", "A"]}}, "#/internal/hosts/1"),
        ({"consent": {"purposes": {"marketing": ["tcf.3", "?"]}}}, "#/consent/purposes/marketing/1"),
    ],
)
def test_a_fault_is_told_with_its_place(fault: dict[str, object], pointer: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        parse_source(msgspec.json.encode(WEB | fault))

    assert refused.value.pointer == pointer


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"[" * 5_000])
def test_what_is_no_source_is_refused(body: bytes) -> None:
    with pytest.raises(DefinitionInvalid):
        parse_source(body)


def test_sources_are_found_by_key_among_the_definitions_and_a_broken_one_does_not_take_the_rest() -> None:
    definitions = [
        Definition("audience/web", msgspec.json.encode(WEB | {"write_key": "not-a-source"}), 1),
        Definition("source/broken", b"{", 3),
        Definition("source/web", msgspec.json.encode(WEB), 2),
    ]

    assert {key: source.name for key, source in sources_by_write_key(definitions).items()} == {
        "key-of-web": "web",
        "app:key-of-web": "web",
    }
