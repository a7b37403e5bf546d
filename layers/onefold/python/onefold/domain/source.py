"""A source: where events come from, and what is taken for granted about them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Annotated, Final, Literal

import msgspec

from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid
from onefold.domain.webhook_signature import TOLERANCE_S, HeaderSignature, Provider

SourceKind = Literal["browser", "server", "mobile", "import"]
AddressPolicy = Literal["truncate", "drop", "keep"]

NAME: Final = re.compile(r"[a-z][a-z0-9_\-]{0,63}")
WRITE_KEY: Final = re.compile(r"[A-Za-z0-9_\-.]{8,128}")
REGION: Final = re.compile(r"[A-Z]{2}")
HOST: Final = re.compile(r"[a-z0-9\-]+(\.[a-z0-9\-]+)*")
APP_ID: Final = re.compile(r"[A-Za-z0-9_\-.]{1,128}")
PURPOSE: Final = re.compile(r"[A-Za-z0-9_\-.: ]{1,100}")
DEFINITION_KIND: Final = "source"
CLIENT_EVENT_BYTES_MAX: Final = 32 * 1_024
SERVER_EVENT_BYTES_MAX: Final = 256 * 1_024  # below what one item of the timeline holds


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large an event of a source may be; one that is larger goes to the quarantine, whole.

    Attributes:
        event_bytes: Of its traits, properties and context together, as compact JSON; None for what the kind allows.
        properties: Names at the first level of its properties.
        traits: Names at the first level of its traits.
        keys: Names at all levels of its traits, properties and context together.
    """

    event_bytes: Annotated[int, msgspec.Meta(ge=1_024, le=SERVER_EVENT_BYTES_MAX)] | None = None
    properties: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    traits: Annotated[int, msgspec.Meta(ge=1)] = 300
    keys: Annotated[int, msgspec.Meta(ge=1)] = 10_000


class InternalTraffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose events are marked as the company's own.

    Attributes:
        networks: In CIDR notation, as 198.51.100.0/24 and 2001:db8::/32.
        hosts: Of pages, and all below them: staging.shop.example.
    """

    networks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class ConsentRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What consent means for the events of a source.

    Attributes:
        purposes: A purpose of ours → the signals that speak of it: categories of a consent object, `tcf.1` to
            `tcf.11`, `ad_storage`, `sale_or_sharing`, …; see `purposes_of`. One that none of them names is a purpose.
        required: What an event needs to be stored as it is.
        missing: What an event means that says nothing of a required purpose.
        refused: What becomes of an event without a required purpose: `reduce` takes the person out of it, `suppress`
            keeps nothing of it but that it was there.
    """

    purposes: dict[str, tuple[str, ...]] = {}
    required: tuple[str, ...] = ()
    missing: Literal["denied", "given"] = "denied"
    refused: Literal["reduce", "suppress"] = "reduce"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One declared source; as JSON it is the body of the definition `source/<name>`.

    Attributes:
        name: Lower case; appears in events, metrics and SQL.
        write_key: What its clients authenticate with. It is in every web page, so it is no secret.
        kind: Of `browser` and `mobile` sources the connection's address is the person's, so it enriches the context.
        phone_region: ISO 3166 country in which a phone number without a country code is read; empty for none.
        email_in_properties: Whether `properties.email` of its track events names the person.
        enabled: A disabled source is refused with 404, which makes SDKs stop.
        app_ids: Under which Snowplow's trackers, which know no write keys, send its events; its write key is one too.
        hosts: Of its own pages: a visit that comes from one of them is no referral.
        ip: What is kept of a person's address, once the place was looked up: /24 and /48, nothing, or all.
        bots: Whether a crawler's events lose their identifiers, so that they found no profile.
        webhook: Who posts to `/v1/webhooks/<name>`, in a form and with a signature of their own.
        webhook_signature: How a `generic` one signs, if not as Standard Webhooks says.
        webhook_tolerance_s: How far from now a signed time may be.
        mapping: The mapping of JSON (`mapping/<name>`) by which webhooks and devices' messages are read.
        devices: Whether it takes what devices publish to `onefold/<name>/events`.
    """

    name: str
    write_key: str
    kind: SourceKind = "server"
    phone_region: str = ""
    email_in_properties: bool = False
    enabled: bool = True
    app_ids: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ip: AddressPolicy = "truncate"
    bots: Literal["set_aside", "keep"] = "set_aside"
    internal: InternalTraffic = InternalTraffic()
    consent: ConsentRules = ConsentRules()
    limits: Limits = Limits()
    webhook: Provider | None = None
    webhook_signature: HeaderSignature | None = None
    webhook_tolerance_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = TOLERANCE_S
    mapping: str = ""
    devices: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """All that its clients may authenticate with."""
        return (self.write_key, *(app_key(app_id) for app_id in (self.write_key, *self.app_ids)))

    @property
    def client_is_the_person(self) -> bool:
        return self.kind in {"browser", "mobile"}

    @property
    def event_bytes_max(self) -> int:
        """Of an event's traits, properties and context together, as compact JSON.

        Whoever holds a page's write key may send what they like, so a page has the limit that SDKs document; an order
        of a thousand lines comes from a server.
        """
        if self.limits.event_bytes is not None:
            return self.limits.event_bytes
        return CLIENT_EVENT_BYTES_MAX if self.client_is_the_person else SERVER_EVENT_BYTES_MAX


def app_key(app_id: str) -> str:
    """The key under which a source is found by an app id; no write key has a colon."""
    return f"app:{app_id}"


def parse_source(body: bytes) -> Source:
    """Read a source's definition.

    Raises:
        DefinitionInvalid: It is no JSON, misses a field, has one too many, or one of the wrong shape.
    """
    try:
        source = msgspec.json.decode(body, type=Source)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionInvalid("source_unreadable", f"Not a source: {error}") from error
    _check_webhook(source)
    for field, value, pattern, remedy in _shapes(source):
        if not pattern.fullmatch(value):
            raise DefinitionInvalid("source_invalid", f"Write {remedy}", pointer=f"#/{field}")
    for index, network in enumerate(source.internal.networks):
        try:
            ip_network(network)
        except ValueError as error:
            remedy = "Write a network as 198.51.100.0/24, with no bit set behind its length"
            raise DefinitionInvalid("source_invalid", remedy, pointer=f"#/internal/networks/{index}") from error
    return source


def _check_webhook(source: Source) -> None:
    own = source.webhook_signature
    faults = {
        "webhook_signature": own is not None and source.webhook != "generic" and "only with `webhook: generic`",
        "webhook_signature/header": own is not None and not own.header.strip() and "the header's name",
        "webhook_signature/signed": own is not None and "{body}" not in own.signed and "{body} at least",
    }
    for field, remedy in faults.items():
        if remedy:
            raise DefinitionInvalid("source_invalid", f"Write {remedy}", pointer=f"#/{field}")


def _shapes(source: Source) -> Iterator[tuple[str, str, re.Pattern[str], str]]:
    """Where a text stands, the text, what it has to look like, and that in words."""
    yield "name", source.name, NAME, "name with lower-case letters, digits, - and _, at most 64"
    yield "write_key", source.write_key, WRITE_KEY, "write_key with 8 to 128 letters, digits, - _ and ."
    yield "phone_region", source.phone_region or "XX", REGION, "phone_region with two capital letters, as DE"
    for field, hosts in (("hosts", source.hosts), ("internal/hosts", source.internal.hosts)):
        for index, host in enumerate(hosts):
            yield f"{field}/{index}", host, HOST, "a host in lower case, without scheme and port, as shop.example"
    for index, app_id in enumerate(source.app_ids):
        yield f"app_ids/{index}", app_id, APP_ID, "an app id with at most 128 letters, digits, - _ and ."
    yield "mapping", source.mapping or "none", NAME, "the mapping's name: lower-case letters, digits, - and _"
    words = "a purpose or signal with at most 100 letters, digits, spaces and _ - . :"
    for index, purpose in enumerate(source.consent.required):
        yield f"consent/required/{index}", purpose, PURPOSE, words
    for purpose, signals in source.consent.purposes.items():
        yield "consent/purposes", purpose, PURPOSE, words
        for index, signal in enumerate(signals):
            yield f"consent/purposes/{purpose}/{index}", signal, PURPOSE, words


def sources_by_write_key(definitions: Iterable[Definition]) -> Mapping[str, Source]:
    """The sources among the definitions.

    One that cannot be read is left out: `onefold apply` refuses such, so it comes from a newer or older version of
    this code, and must not take the other sources with it.
    """
    sources = {}
    for definition in definitions:
        if definition.kind == DEFINITION_KIND:
            try:
                source = parse_source(definition.body)
            except DefinitionInvalid:
                continue
            sources.update(dict.fromkeys(source.keys, source))
    return sources
