"""A source: where events come from, and what is taken for granted about them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from onefold.domain.definition import Definition
from onefold.domain.errors import DefinitionInvalid

SourceKind = Literal["browser", "server", "mobile", "import"]

NAME: Final = re.compile(r"[a-z][a-z0-9_\-]{0,63}")
WRITE_KEY: Final = re.compile(r"[A-Za-z0-9_\-.]{8,128}")
REGION: Final = re.compile(r"[A-Z]{2}")
DEFINITION_KIND: Final = "source"
CLIENT_EVENT_BYTES_MAX: Final = 32 * 1_024
SERVER_EVENT_BYTES_MAX: Final = 256 * 1_024  # below what one item of the timeline holds


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One declared source; as JSON it is the body of the definition `source/<name>`.

    Attributes:
        name: Lower case; appears in events, metrics and SQL.
        write_key: What its clients authenticate with. It is in every web page, so it is no secret.
        kind: Of `browser` and `mobile` sources the connection's address is the person's, so it enriches the context.
        phone_region: ISO 3166 country in which a phone number without a country code is read; empty for none.
        email_in_properties: Whether `properties.email` of its track events names the person.
        enabled: A disabled source is refused with 404, which makes SDKs stop.
    """

    name: str
    write_key: str
    kind: SourceKind = "server"
    phone_region: str = ""
    email_in_properties: bool = False
    enabled: bool = True

    @property
    def client_is_the_person(self) -> bool:
        return self.kind in {"browser", "mobile"}

    @property
    def event_bytes_max(self) -> int:
        """Of an event's traits, properties and context together, as compact JSON.

        Whoever holds a page's write key may send what they like, so a page has the limit that SDKs document; an order
        of a thousand lines comes from a server.
        """
        return CLIENT_EVENT_BYTES_MAX if self.client_is_the_person else SERVER_EVENT_BYTES_MAX


def parse_source(body: bytes) -> Source:
    """Read a source's definition.

    Raises:
        DefinitionInvalid: It is no JSON, misses a field, has one too many, or one of the wrong shape.
    """
    try:
        source = msgspec.json.decode(body, type=Source)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionInvalid("source_unreadable", f"Not a source: {error}") from error
    shapes = {
        "name": (NAME, source.name, "lower-case letters, digits, - and _, at most 64"),
        "write_key": (WRITE_KEY, source.write_key, "8 to 128 letters, digits, - _ and ."),
        "phone_region": (REGION, source.phone_region or "XX", "two capital letters, as DE"),
    }
    for field, (pattern, value, remedy) in shapes.items():
        if not pattern.fullmatch(value):
            raise DefinitionInvalid("source_invalid", f"Write {field} with {remedy}", pointer=f"#/{field}")
    return source


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
            sources[source.write_key] = source
    return sources
