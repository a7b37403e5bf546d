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
    ],
)
def test_a_source_with_a_fault_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(DefinitionInvalid):
        parse_source(msgspec.json.encode(WEB | fault))


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

    assert {key: source.name for key, source in sources_by_write_key(definitions).items()} == {"key-of-web": "web"}
