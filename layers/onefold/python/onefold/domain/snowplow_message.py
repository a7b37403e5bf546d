"""One event of Snowplow's tracker protocol as a message: what its parameters and entities are called here."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from onefold.domain.errors import EventInvalid
from onefold.domain.json_numbers import exact_float
from onefold.domain.message import Message
from onefold.domain.snowplow_commerce import commerce_event

APP_ID: Final = "aid"
OWN_SCHEMAS: Final = "iglu:com.snowplowanalytics."
SCREEN_VIEW: Final = "screen_view"
CHANNELS: Final = {"web": "web", "mob": "mobile", "srv": "server"}
DIGITS_MAX: Final = 40  # of a number in a parameter; what is longer stays text

Parameters = dict[str, Any]
# The short name of one of Snowplow's own entities, `product` of iglu:com.…/product/jsonschema/1-0-0, → what it says.
Entities = Mapping[str, list[dict[str, Any]]]
# Kind, name, properties.
Meaning = tuple[str, str, dict[str, Any]]


def message_of(parameters: Parameters, event: object, contexts: object) -> Message:
    """Read an event's parameters; what has no other place is kept in `context.snowplow` under its own name.

    Args:
        parameters: Of the tracker protocol, without those that hold JSON; emptied by this.
        event: The self-describing event, if there is one.
        contexts: The entities.

    Raises:
        EventInvalid: It is no event, with the reason.
    """
    entities = _entities(contexts)
    schema, data = _self_described(event)
    kind, name, properties = _meaning(parameters, schema, data, entities)
    true_at = _number(parameters.pop("ttm", None))
    created_at, sent_at = _number(parameters.pop("dtm", None)), _number(parameters.pop("stm", None))
    message = Message(
        type=kind,
        message_id=parameters.pop("eid", None) or parameters.pop("messageId", None),  # the latter from the quarantine
        user_id=parameters.pop("uid", None) or _of(entities, "user", "id"),
        anonymous_id=parameters.pop("duid", None) or _of(entities, "client_session", "userId"),
        properties=properties,
        original_timestamp=created_at if true_at is None else true_at,
        # A true time is no reading of the device's clock, so that clock's error does not touch it.
        sent_at=sent_at if true_at is None else None,
    )
    if kind == "track":
        message.event = name
    else:
        message.name = name
    context = _context(parameters, entities)
    rest: dict[str, Any] = {"event": schema} if schema else {}
    if contexts is not None:
        rest["contexts"] = contexts.get("data", contexts) if isinstance(contexts, dict) else contexts
    context["snowplow"] = rest | parameters
    message.context = {name: value for name, value in context.items() if value}
    return message


def _meaning(parameters: Parameters, schema: str, data: dict[str, Any], entities: Entities) -> Meaning:
    written = parameters.pop("e", None)
    if written == "ue":
        if not schema:
            detail = "Send the self-describing event, with its schema, in ue_px or ue_pr"
            raise EventInvalid("embedded_missing", detail, pointer="#/ue_px")
        return _self_describing(_short_name(schema), data, entities)
    meaning = _MEANINGS.get(written) if isinstance(written, str) else None
    if meaning is None:
        raise EventInvalid("kind_unknown", f"Send e, one of {', '.join((*_MEANINGS, 'ue'))}", pointer="#/e")
    return meaning(parameters)


def _self_describing(name: str, data: dict[str, Any], entities: Entities) -> Meaning:
    if name == SCREEN_VIEW:
        return "screen", _text(data.get("name")), data
    commerce = commerce_event(name, data, entities)
    return ("track", *commerce) if commerce else ("track", name, data)


def _page_view(parameters: Parameters) -> Meaning:
    page = _page(parameters)
    return "page", _text(page.get("title")), page


def _page_ping(parameters: Parameters) -> Meaning:
    offsets = {"pp_mix": "min_x", "pp_max": "max_x", "pp_miy": "min_y", "pp_may": "max_y"}
    return "track", "page_ping", _page(parameters) | _taken(parameters, offsets, numbers=frozenset(offsets))


def _structured(parameters: Parameters) -> Meaning:
    names = {"se_ca": "category", "se_ac": "action", "se_la": "label", "se_pr": "property", "se_va": "value"}
    properties = _taken(parameters, names, numbers=frozenset(["se_va"]))
    return "track", _text(properties.get("action")), properties


def _transaction(parameters: Parameters) -> Meaning:
    names = {
        "tr_id": "order_id", "tr_af": "affiliation", "tr_tt": "total", "tr_tx": "tax", "tr_sh": "shipping",
        "tr_cu": "currency", "tr_ci": "city", "tr_st": "state", "tr_co": "country",
    }  # fmt: skip
    return "track", "Order Completed", _taken(parameters, names, numbers=frozenset(["tr_tt", "tr_tx", "tr_sh"]))


def _transaction_item(parameters: Parameters) -> Meaning:
    names = {
        "ti_id": "order_id", "ti_sk": "sku", "ti_nm": "name", "ti_ca": "category", "ti_pr": "price",
        "ti_qu": "quantity", "ti_cu": "currency",
    }  # fmt: skip
    return "track", "transaction_item", _taken(parameters, names, numbers=frozenset(["ti_pr", "ti_qu"]))


_MEANINGS: Final[Mapping[str, Callable[[Parameters], Meaning]]] = {
    "pv": _page_view,
    "pp": _page_ping,
    "se": _structured,
    "tr": _transaction,
    "ti": _transaction_item,
}


def _context(parameters: Parameters, entities: Entities) -> dict[str, Any]:
    """What has a place in the context that everybody knows."""
    tracker, _, version = _text(parameters.pop("tv", "")).partition("-")
    width, _, height = _text(parameters.pop("res", "")).partition("x")
    platform = _text(parameters.get("p"))
    app_id = _text(parameters.pop(APP_ID, ""))
    emails = [{"type": "email", "id": user["email"]} for user in entities.get("user", ()) if user.get("email")]
    page = _page(parameters)
    for shown in ("url", "page", "refr"):
        parameters.pop(shown, None)
    return {
        "page": page,
        "library": {"name": f"snowplow-{tracker}", "version": version} if tracker else {},
        "screen": {"width": _number(width), "height": _number(height)} if height else {},
        "app": {"name": app_id} if app_id else {},
        "locale": parameters.pop("lang", None),
        "timezone": parameters.pop("tz", None),
        "ip": parameters.pop("ip", None),
        "userAgent": parameters.pop("ua", None),
        "channel": CHANNELS.get(platform),
        "externalIds": emails,
    } | _mobile(entities)


def _mobile(entities: Entities) -> dict[str, Any]:
    device = next(iter(entities.get("mobile_context", ())), None)
    if device is None:
        return {}
    named = {
        "id": device.get("appleIdfv"),
        "advertisingId": device.get("appleIdfa") or device.get("androidIdfa"),
        "manufacturer": device.get("deviceManufacturer"),
        "model": device.get("deviceModel"),
    }
    system = {"name": device.get("osType"), "version": device.get("osVersion")}
    return {
        "device": {name: value for name, value in named.items() if value},
        "os": {name: value for name, value in system.items() if value},
    }


def _page(parameters: Parameters) -> dict[str, Any]:
    url = _text(parameters.get("url"))
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    page = {
        "url": url,
        "title": _text(parameters.get("page")),
        "referrer": _text(parameters.get("refr")),
        "path": parts.path,
        "search": f"?{parts.query}" if parts.query else "",
    }
    return {name: value for name, value in page.items() if value}


def _self_described(event: object) -> tuple[str, dict[str, Any]]:
    """The schema and the data of a self-describing event, out of the envelope that trackers put it in."""
    inner = event.get("data") if isinstance(event, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), str):
        return "", {}
    data = inner.get("data")
    return inner["schema"], data if isinstance(data, dict) else {} if data is None else {"data": data}


def _entities(contexts: object) -> Entities:
    entities: dict[str, list[dict[str, Any]]] = {}
    listed = contexts.get("data") if isinstance(contexts, dict) else contexts
    for entity in listed if isinstance(listed, list) else ():
        if isinstance(entity, dict) and isinstance(entity.get("data"), dict):
            schema = _text(entity.get("schema"))
            if schema.startswith(OWN_SCHEMAS):  # what another vendor calls `user` may be anything
                entities.setdefault(_short_name(schema), []).append(entity["data"])
    return entities


def _of(entities: Entities, entity: str, field: str) -> object:
    return next((data[field] for data in entities.get(entity, ()) if data.get(field)), None)


def _short_name(schema: str) -> str:
    """`link_click` of `iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1`."""
    parts = schema.removeprefix("iglu:").split("/")
    return parts[1] if len(parts) > 1 else schema


def _taken(parameters: Parameters, names: Mapping[str, str], *, numbers: frozenset[str]) -> dict[str, Any]:
    taken = _named(parameters, names)
    return {
        names[parameter]: value if parameter not in numbers or (number := _number(value)) is None else number
        for parameter, value in taken
    }


def _named(parameters: Parameters, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for parameter in names:
        value = parameters.pop(parameter, None)
        if value is not None and value != "":
            yield parameter, value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | float | Decimal | None:
    """The number that a parameter's text is; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str):
        return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
    text = value.strip()
    if not text.isascii() or len(text) > DIGITS_MAX:
        return None
    try:
        return int(text) if text.lstrip("-").isdecimal() else exact_float(text)
    except ValueError:
        return None
