"""Proposes a mapping for a table that nobody has described: a beginning to be read and corrected, never run unseen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from onefold.domain.cell import DecimalMark, text_of
from onefold.domain.column_look import Column, look_at
from onefold.domain.mapping import CONTENT, ROW

Kind = Literal["customers", "transactions", "campaigns", "support", "segments", "predictions", "records"]
Document = dict[str, object]

NO_CURRENCY: Final = "XXX"  # ISO 4217: no currency

_OWNER: Final = "customer|client|user|member|kunden?|kunde|account|household|person|buyer|subscriber|contact|shopper"
_NUMBER: Final = "id|ids|no|nr|num|nummer|number|key|code"
_NUMBER_WORDS: Final = frozenset(_NUMBER.split("|"))
_ORDER: Final = f"(?:order|invoice|receipt|basket|transaction|bon|beleg|rechnung|bestell)s?_?(?:{_NUMBER})|bon|beleg"
_PRODUCT: Final = f"(?:product|stock|item|article|artikel)_?(?:{_NUMBER})|sku|ean|upc|gtin"
_AMOUNT: Final = "amount|total|revenue|sales_value|sales|value|betrag|summe|umsatz|turnover|net|gross|paid"
_METRICS: Final = "impressions|sends|sent|reach|clicks|opens|cost|costs|spend|kosten|conversions|delivered"
_STANDARD: Final = {
    "first_name": "firstName", "firstname": "firstName", "vorname": "firstName", "given_name": "firstName",
    "last_name": "lastName", "lastname": "lastName", "nachname": "lastName", "surname": "lastName",
    "name": "name", "full_name": "name", "birthday": "birthday", "birth_date": "birthday", "date_of_birth": "birthday",
    "dob": "birthday", "geburtsdatum": "birthday", "gender": "gender", "sex": "gender", "company": "company",
    "title": "title", "city": "city", "ort": "city", "country": "country", "land": "country",
}  # fmt: skip


@dataclass(slots=True)
class Proposal:
    """A mapping as a document, what kind of table it is for, and what its reader should decide."""

    kind: Kind
    document: Document
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Sample:
    name: str
    rows: Sequence[Mapping[str, object]]
    columns: list[Column]
    decimal: DecimalMark
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def find(self, pattern: str, test: Callable[[Column], bool] = lambda _: True) -> Column | None:
        return next((column for column in self.columns if column.says(pattern) and test(column)), None)

    def take(self, column: Column | None) -> Column | None:
        if column is not None:
            self.used.add(column.name)
        return column

    def rest(self) -> list[Column]:
        return [each for each in self.columns if each.name not in self.used and each.look != "empty"]


def propose_mapping(name: str, rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Proposal:
    """Propose a mapping.

    Args:
        name: For the message ids; the file's.
        rows: A sample, from the beginning.
        columns: All of them.
    """
    looks, decimal = look_at(rows, columns)
    sample = _Sample(name, rows, looks, decimal)
    identifiers = _identifiers(sample)
    kind = _kind(sample, has_person=bool(identifiers))
    document: Document = {"description": f"{kind}: {name}", "source": "files"}
    build = {
        "transactions": _transactions,
        "campaigns": _campaigns,
        "support": _support,
        "segments": _provided,
        "predictions": _provided,
        "customers": _customers,
        "records": _records,
    }[kind]
    document |= build(sample, identifiers)
    if decimal == ",":
        document["decimal"] = ","
    return Proposal(kind, document, sample.notes)


def _kind(sample: _Sample, *, has_person: bool) -> Kind:
    metrics = [column for column in sample.columns if column.says(_METRICS) and column.is_number]
    if len(metrics) > 1 and sample.find("campaign|kampagne|ad|adset|channel"):
        return "campaigns"
    if sample.find("ticket|case|issue|call|conversation") or (sample.find("duration|dauer") and sample.find("contact")):
        return "support"
    if has_person and sample.find("probability|score|prediction|predicted|propensity|likelihood", _is_number):
        return "predictions"
    if has_person and sample.find("segment|audience|lifestyle|cluster"):
        return "segments"
    has_money = sample.find(f"{_AMOUNT}|price|preis|unitprice|quantity|qty|menge", _is_number) is not None
    if has_money and (sample.find(_ORDER) or (_time(sample) and has_person and not _is_of_people(sample))):
        return "transactions"
    return "customers" if has_person else "records"


def _is_of_people(sample: _Sample) -> bool:
    """Whether each row seems to be a person, and not something that a person did."""
    if any(column.words in _STANDARD for column in sample.columns):
        return True
    return any(column.is_unique and column.name in sample.used for column in sample.columns)


def _is_number(column: Column) -> bool:
    return column.is_number


def _identifiers(sample: _Sample) -> dict[str, str]:
    found: dict[str, str] = {}
    wanted: list[tuple[str, Column | None]] = [
        ("user_id", sample.find(f"(?:{_OWNER})_?(?:{_NUMBER})|userid|customerid")),
        ("external_id.loyalty", sample.find("loyalty|card|karte|membership|bonuscard")),
        ("email", next((column for column in sample.columns if column.look == "email"), None)),
        ("phone", next((column for column in sample.columns if column.look == "phone"), None)),
        ("device_id", sample.find("device_?id|idfa|gaid|deviceid")),
        ("anonymous_id", sample.find("(?:anonymous|cookie|visitor)_?id|anonymousid")),
    ]
    if wanted[0][1] is None:
        plain = next((column for column in sample.columns if column.words == "id" and column.is_unique), None)
        wanted[0] = ("user_id", plain if plain and not sample.find(_ORDER) else None)
    for kind, column in wanted:
        if column is not None and column.name not in found.values() and column.look != "empty":
            found[kind] = column.name
    sample.used.update(found.values())
    return found


def _time(sample: _Sample, pattern: str = "") -> Column | None:
    times = [column for column in sample.columns if column.look == "time"]
    named = [column for column in times if pattern and column.says(pattern)]
    return next(iter(named or ([] if pattern else times)), None)


def _timestamp(sample: _Sample, column: Column | None) -> Document:
    if column is None:
        sample.notes.append("No column tells when: the rows count as of the time of the import.")
        return {}
    sample.take(column)
    if column.is_ambiguous:
        sample.notes.append(f"{column.name}: day and month could be either; check `format`.")
    told: Document = {"column": column.name}
    if not any("+" in text_of(value) or text_of(value).endswith("Z") for value in column.values[:20]):
        sample.notes.append(f"{column.name} names no time zone: correct `zone` if it is not UTC.")
        told["zone"] = "UTC"
    return {"timestamp": told | ({"format": column.format} if column.format else {})}


def _value(column: Column) -> object:
    """How a column's values are written into a message."""
    if column.look == "time":
        return {"column": column.name, "type": "time"} | ({"format": column.format} if column.format else {})
    if column.look in {"number", "money", "boolean"}:
        return {"column": column.name, "type": column.look}
    if column.look == "integer" and not _is_name(column):
        return {"column": column.name, "type": "number"}
    return column.name


def _is_name(column: Column) -> bool:
    return column.words.rpartition("_")[2] in _NUMBER_WORDS


def _rest(sample: _Sample) -> Document:
    return {_STANDARD.get(column.words, column.words): _value(column) for column in sample.rest()}


def _row_id(sample: _Sample, *candidates: Column | None) -> str:
    """A name for each row: a column whose values are all different, else the row's place."""
    known = [column for column in (*candidates, *sample.columns) if column is not None and column.is_unique]
    named = [column for column in known if column.look in {"text", "integer"} and _is_name(column)]
    chosen = next((column for column in named if column in candidates), named[0] if named else None)
    if chosen is not None:
        return f"{sample.name}/{{{chosen.name}}}"
    equal = len(sample.rows) - len({tuple(map(str, row.values())) for row in sample.rows})
    sample.notes.append(
        f"No column names a row, so each line of the file is an event of its own ({{{ROW}}}); another file with the "
        f"same rows would count them again. With {{{CONTENT}}} equal rows are one event: here {equal} of "
        f"{len(sample.rows)} repeat another."
    )
    return f"{sample.name}/{{{ROW}}}"


def _customers(sample: _Sample, identifiers: dict[str, str]) -> Document:
    named = next(iter(identifiers.values()))
    document: Document = {"message_id": f"{sample.name}/{{{named}}}/{{{CONTENT}}}"}
    changed = "updated|modified|changed|last_update|geaendert|geändert|aktualisiert|valid_from"
    document |= _timestamp(sample, _time(sample, changed))
    document["identifiers"] = identifiers
    consents: Document = {}
    for column in sample.columns:
        if column.says("newsletter|opt_in|optin|consent|einwilligung|gdpr") and _is_yes_or_no(column):
            consents["marketing" if not consents else column.words] = {"column": column.name, "type": "boolean"}
            sample.take(column)
    if consents:
        document["consents"] = consents
        sample.notes.append("consents: name the purposes as your audiences do.")
    kept = {kind: column for kind, column in identifiers.items() if kind in {"email", "phone"}}
    document["traits"] = kept | _rest(sample)
    return document


def _is_yes_or_no(column: Column) -> bool:
    return column.look == "boolean" or {text_of(value) for value in column.values} <= {"0", "1"}


def _provided(sample: _Sample, identifiers: dict[str, str]) -> Document:
    """Segments and predictions: what somebody else says of a person, under the name of who says it."""
    provider = sample.take(sample.find("provider|vendor|partner|model"))
    licence = sample.take(sample.find("licence|license|terms"))
    name = text_of(provider.values[0]) if provider and provider.values else "provider"
    slug = "".join(each if each.isalnum() and each.isascii() else "_" for each in name.lower()).strip("_") or "provider"
    slug = slug if slug[0].isalpha() else f"p_{slug}"
    scores = sample.find("probability|score|prediction|predicted|propensity|likelihood") is not None
    said: Document = {"name": slug[:64], "party": "first" if scores else "third"}
    if licence and licence.values:
        said["licence"] = text_of(licence.values[0])
    elif not scores:
        said["licence"] = ""
        sample.notes.append("provider: say under which licence these data may be used.")
    if provider and len({text_of(value) for value in provider.values}) > 1:
        sample.notes.append(f"{provider.name} has several values: one file and mapping for each provider.")
    named = next(iter(identifiers.values()))
    document: Document = {"message_id": f"{sample.name}/{{{named}}}/{{{CONTENT}}}"}
    document |= _timestamp(sample, _time(sample))
    return document | {"identifiers": identifiers, "provider": said, "traits": _rest(sample)}


def _transactions(sample: _Sample, identifiers: dict[str, str]) -> Document:
    order = sample.take(sample.find(_ORDER))
    document: Document = {}
    is_grouped = order is not None and not order.is_unique
    if order is not None:
        document["message_id"] = f"{sample.name}/{{{order.name}}}"
        if is_grouped:
            document["group_by"] = [order.name]
    else:
        document["message_id"] = _row_id(sample)
    document |= _timestamp(sample, _time(sample))
    if identifiers:
        document["identifiers"] = identifiers
    quantity = sample.take(sample.find("quantity|qty|menge|anzahl|pieces|units", _is_number))
    price = sample.take(sample.find("unit_price|unitprice|price|preis|einzelpreis", _is_number))
    amount = sample.take(sample.find(_AMOUNT, _is_number)) if price is None or quantity is None else None
    document["events"] = _sale_events(quantity, amount or price)
    properties: Document = {"order_id": order.name if order else ROW, "currency": _currency(sample, amount or price)}
    if price is not None and quantity is not None:
        properties["total"] = {"sum": [quantity.name, price.name]}
    elif amount is not None or price is not None:
        paid = (amount or price).name  # type: ignore[union-attr]
        properties["total"] = {"sum": [paid]} if is_grouped else {"column": paid, "type": "money"}
    product = sample.take(sample.find(_PRODUCT))
    fields: Document = {"product_id": product.name} if product else {}
    fields |= {"quantity": {"column": quantity.name, "type": "number"}} if quantity else {}
    fields |= {"price": {"column": price.name, "type": "money"}} if price else {}
    groups = _groups(sample, order) if is_grouped and order else []
    for column in sample.rest():
        varies = any(len({text_of(row.get(column.name)) for row in rows}) > 1 for rows in groups)
        name = "name" if varies and column.says("description|name|bezeichnung") else column.words
        (fields if varies else properties)[name] = _value(column)
    if fields:
        properties["products"] = {"rows": fields}
    return document | {"properties": properties}


def _groups(sample: _Sample, order: Column) -> list[list[Mapping[str, object]]]:
    groups: dict[str, list[Mapping[str, object]]] = {}
    for row in sample.rows:
        groups.setdefault(text_of(row.get(order.name)), []).append(row)
    return list(groups.values())


def _sale_events(quantity: Column | None, amount: Column | None) -> list[Document]:
    sign = next((column for column in (quantity, amount) if column is not None and column.has_negative), None)
    if sign is None:
        return [{"event": "Order Completed"}]
    refund: Document = {"event": "Order Refunded", "when": {"column": sign.name, "below": 0}, "negate": [sign.name]}
    return [refund, {"event": "Order Completed"}]


def _currency(sample: _Sample, amount: Column | None) -> object:
    column = sample.take(sample.find("currency|waehrung|währung|ccy"))
    if column is not None:
        return column.name
    if amount is not None and amount.currency:
        return {"value": amount.currency}
    sample.notes.append(f"No column names the currency: put its code in the place of {NO_CURRENCY}.")
    return {"value": NO_CURRENCY}


def _campaigns(sample: _Sample, identifiers: dict[str, str]) -> Document:
    campaign = sample.find("campaign|kampagne")
    document: Document = {"message_id": _row_id(sample, campaign)} | _timestamp(sample, _time(sample))
    if identifiers:
        document["identifiers"] = identifiers
    document["events"] = [{"event": "Campaign Reported"}]
    properties: Document = {}
    cost = sample.take(sample.find("cost|costs|spend|kosten", _is_number))
    if cost is not None:
        properties |= {"cost": {"column": cost.name, "type": "money"}, "currency": _currency(sample, cost)}
    document["properties"] = properties | _rest(sample)
    if campaign is not None:
        document["context"] = {"campaign.name": campaign.name}
    return document


def _support(sample: _Sample, identifiers: dict[str, str]) -> Document:
    call = sample.find("call|calls|duration|dauer|talk")
    ticket = sample.find(f"(?:ticket|case|issue|call|conversation)_?(?:{_NUMBER})|ticket|case")
    document: Document = {"message_id": _row_id(sample, ticket)} | _timestamp(sample, _time(sample))
    if identifiers:
        document["identifiers"] = identifiers
    document["events"] = [{"event": "Support Call Ended" if call else "Support Ticket Created"}]
    properties: Document = {}
    if ticket is not None and ticket.name not in sample.used:
        properties["call_id" if call else "ticket_id"] = sample.take(ticket).name  # type: ignore[union-attr]
    duration = sample.take(sample.find("duration|dauer|talk_time", _is_number))
    if duration is not None:
        properties["duration_s"] = {"column": duration.name, "type": "number"}
        sample.notes.append(f"{duration.name} is taken for seconds.")
    return document | {"properties": properties | _rest(sample)}


def _records(sample: _Sample, _: dict[str, str]) -> Document:
    sample.notes.append("No column names a person: the rows go to the lake, and to no profile.")
    document: Document = {"message_id": _row_id(sample)} | _timestamp(sample, _time(sample))
    return document | {"events": [{"event": "Record Imported"}], "properties": _rest(sample)}
