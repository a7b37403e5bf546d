"""Mend moto's BatchExecuteStatement: writes with conditions, each statement answered by itself, as DynamoDB does.

Where a condition does not hold, moto writes nothing and says nothing, and it reads every table whole each time.
What is mended are the forms that write one item from parameters; every other statement is left to moto.

Source: AWS, "Running batch operations with PartiQL for DynamoDB" and the API reference of BatchStatementError.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.dynamodb.exceptions import MockValidationException, ResourceNotFoundException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from infra.local.moto_patch import replaces

_STATEMENTS_MAX = 25
_TABLE = r'"?([\w.-]+)"?'
_INSERT = re.compile(rf"\s*INSERT\s+INTO\s+{_TABLE}\s+VALUE\s*\{{(.*)\}}\s*", re.IGNORECASE | re.DOTALL)
_UPDATE = re.compile(rf"\s*UPDATE\s+{_TABLE}\s+SET\s+(.*?)\s+WHERE\s+(.*)", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(r"\s*'(\w+)'\s*:\s*\?\s*")
_EQUATION = re.compile(r"\s*\"?(\w+)\"?\s*=\s*\?\s*")
_Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Write:
    """One statement, its attributes in DynamoDB's types.

    Attributes:
        values: What is stored.
        where: What must hold of the stored item, its key included; None to insert.
    """

    table_name: str
    values: _Item
    where: _Item | None


def _read(statement: str, parameters: Sequence[Any]) -> _Write | None:
    """The write that a statement asks for; None where it is none, or of another form."""
    insert, update = _INSERT.fullmatch(statement), _UPDATE.fullmatch(statement)
    if insert:
        stored, compared = _names(_MEMBER, insert[2].split(",")), []
    elif update:
        stored = _names(_EQUATION, re.split(r",|\bSET\b", update[2], flags=re.IGNORECASE))
        compared = _names(_EQUATION, re.split(r"\bAND\b", update[3], flags=re.IGNORECASE))
    else:
        return None
    if not all([*stored, *compared]) or len(stored) + len(compared) != len(parameters):
        return None
    values = dict(zip(stored, parameters, strict=False))
    where = dict(zip(compared, parameters[len(stored) :], strict=True)) if update else None
    return _Write((insert or update)[1], values, where)  # type: ignore[index]


def _names(form: re.Pattern[str], parts: Sequence[str]) -> list[str]:
    """The attribute that each part names, or an empty text where a part is of another form."""
    return [match[1] if (match := form.fullmatch(part)) else "" for part in parts]


def _perform(backend: DynamoDBBackend, write: _Write) -> str | None:
    """Write, or tell why not by one of the codes of BatchStatementError."""
    table = backend.get_table(write.table_name)
    key = write.values if write.where is None else write.where
    if not set(table.table_key_attrs) <= key.keys():
        raise MockValidationException("Where clause does not contain a mandatory equality on all key attributes")
    current = table.get_item(*backend.get_keys_value(table, key))
    if write.where is None:
        if current is not None:
            return "DuplicateItem"
        backend.put_item(write.table_name, write.values)
        return None
    stored: Mapping[str, DynamoType] = {} if current is None else current.attrs
    if not all(name in stored and stored[name] == DynamoType(value) for name, value in write.where.items()):
        return "ConditionalCheckFailed"
    kept = {name: value.to_json() for name, value in stored.items()}
    backend.put_item(write.table_name, {**kept, **write.values})
    return None


@replaces(DynamoDBBackend, "batch_execute_statement")
def _batch_execute_statement(
    original: Callable[..., list[_Item]], backend: DynamoDBBackend, statements: Sequence[_Item]
) -> list[_Item]:
    if len(statements) > _STATEMENTS_MAX:
        raise MockValidationException("Member must have length less than or equal to 25")
    responses: list[_Item] = []
    for statement in statements:
        write = _read(statement["Statement"], statement.get("Parameters", []))
        if write is None:
            responses += original(backend, [statement])
            continue
        try:
            code, message = _perform(backend, write), "The conditional request failed"
        except ResourceNotFoundException:
            code, message = "ResourceNotFound", "Requested resource not found"
        except MockValidationException as error:
            code, message = "ValidationError", str(error.message)
        response: _Item = {"TableName": write.table_name}
        responses.append(response if code is None else {**response, "Error": {"Code": code, "Message": message}})
    return responses
