"""Laws of identifiers: normal forms, keys, and what may never identify anybody."""

import re
import unicodedata
from base64 import urlsafe_b64encode

import phonenumbers
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import assume, given
from hypothesis import strategies as st

from onefold.adapters.phone_numbers import read_e164
from onefold.domain.errors import IdentifierInvalid
from onefold.domain.event import Event, fragment_key, partition_key
from onefold.domain.identifier import DEVICE, KEY_BYTES, PERSON, Identifier, IdentifierHasher, strongest
from onefold.domain.identity_rules import DEFAULT_TYPES, parse_identifier
from onefold.domain.message_identifiers import IdentifierReader
from tests.fakes.events import HASHER, normalise

kinds = st.sampled_from(list(DEFAULT_TYPES))
raws = st.text(max_size=40) | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.integers())
identifiers = st.builds(HASHER.identifier, kinds, st.text(min_size=1, max_size=6))


@given(kinds, raws)
def test_normalising_twice_is_normalising_once(kind: str, raw: object) -> None:
    value = normalise(kind, raw)

    assert value is None or normalise(kind, value) == value


@given(
    kinds, st.text(min_size=1, max_size=30), st.sampled_from(["", '"', "'", "`"]), st.sampled_from(["", " ", "\n\t"])
)
def test_wrapping_quotes_blanks_and_unicodes_forms_do_not_matter(kind: str, text: str, quote: str, blank: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assume(normalise(kind, composed) is not None)

    dressed = blank + quote + blank + unicodedata.normalize("NFD", text) + blank + quote + blank

    assert normalise(kind, dressed) == normalise(kind, composed)


@pytest.mark.parametrize("kind", DEFAULT_TYPES)
@pytest.mark.parametrize(
    "raw",
    ["", " ", "NULL", "Undefined", "anonymous", "N/A", "[object Object]", "-1", "0", "000-000", "--", "aaaaaa",
     "111111", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "x" * 501, '"null"',
     None, True, False, float("nan"), float("inf"), 1.5, [], {}, 0, -1, b"x"],
)  # fmt: skip
def test_what_is_blocked_identifies_nobody_of_any_type(kind: str, raw: object) -> None:
    assert normalise(kind, raw) is None


@pytest.mark.parametrize(
    "address",
    ["test@shop.de", "NoReply@shop.de", "eva@example.com", "eva@test.com", "eva@localhost", "eva", "eva@shop",
     "a b@c.de", "@shop.de", "eva@@shop.de", "eva@shop..de", "none@a.de"],
)  # fmt: skip
def test_an_address_that_nobody_reads_identifies_nobody(address: str) -> None:
    assert normalise("email", address) is None


@given(st.from_regex(r"[a-zA-Z0-9.+]{2,10}@[a-z]{2,8}\.[a-z]{2,4}", fullmatch=True))
def test_an_address_is_known_in_lower_case(address: str) -> None:
    value = normalise("email", address)

    assert value in {None, address.lower()}
    assert normalise("email", address.upper()) == value


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.sampled_from([" ", "-", ".", "/"]))
def test_a_number_is_the_same_however_it_is_written(region: str, separator: str) -> None:
    number = phonenumbers.example_number(region)
    assert number is not None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assume(len(set(e164[1:])) > 1 and not re.search(r"(\d)\1{5}", e164))

    def in_region(text: str) -> str | None:
        return read_e164(text, region)

    for style in (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL):
        written = re.sub(r"[ -]", separator, phonenumbers.format_number(number, style))
        assert normalise("phone", written, phone=in_region) == e164
    assert normalise("phone", e164) == e164


@given(st.binary(min_size=32, max_size=100), kinds, st.text(max_size=30))
def test_a_key_is_the_keyed_hash_that_another_library_computes(secret: bytes, kind: str, value: str) -> None:
    oracle = hmac.HMAC(secret, hashes.SHA256())
    oracle.update(f"{kind}\0{value}".encode())
    expected = urlsafe_b64encode(oracle.finalize()[:KEY_BYTES]).decode().rstrip("=")

    assert IdentifierHasher(secret).key(kind, value) == f"{kind}:{expected}"


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        IdentifierHasher(b"x" * 31)


@given(kinds, st.text(max_size=20))
def test_an_identifier_that_can_be_read_is_one_that_normalises(kind: str, value: str) -> None:
    try:
        parsed = parse_identifier(f"{kind}:{value}")
    except IdentifierInvalid:
        assert normalise(kind, value) is None
    else:
        assert parsed == (kind, normalise(kind, value))


@pytest.mark.parametrize("text", ["", "email", ":x", "ip:1.2.3.4", "email:", "Email:eva@shop.de"])
def test_a_text_that_names_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(IdentifierInvalid):
        parse_identifier(text)


@given(st.lists(st.tuples(kinds, raws, st.just("")), max_size=6))
def test_the_identifiers_of_an_event_stand_distinct_and_strongest_first(claims: list[tuple[str, object, str]]) -> None:
    violations: list[str] = []
    read = IdentifierReader(HASHER, lambda text, region: None, "").read(claims, violations)

    usable = {(kind, normalise(kind, raw)) for kind, raw, _ in claims}
    assert {(each.type, each.value) for each in read} == {pair for pair in usable if pair[1] is not None}
    assert len(set(read)) == len(read)
    assert list(read) == sorted(read, key=lambda each: (DEFAULT_TYPES[each.type].priority, each.type, each.value))


@given(st.sets(identifiers, max_size=5))
def test_an_events_partition_is_that_of_its_device_else_its_person(named: set[Identifier]) -> None:
    event = Event("m1", "track", "x", "web", tuple(sorted(named, key=lambda each: each.strength)), 0, 0)
    device, person = strongest(named, DEVICE), strongest(named, PERSON)

    key = fragment_key(event)

    assert (key is None) == (not named)
    assert partition_key(event) == (device.key if device else person.key if person else "m1")
    if key is not None:
        assert (key.device, key.person) == (device.key if device else "", person.key if person else "")
