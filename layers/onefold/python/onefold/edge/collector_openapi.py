"""The collector's own description in OpenAPI, which it serves as /openapi.json."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from onefold.domain.event import KINDS
from onefold.domain.parcel import BODY_BYTES_MAX, EVENTS_MAX
from onefold.edge.pixel import PIXEL_PREFIXES
from onefold.edge.snowplow_api import GET_PATHS, POST_PATH
from onefold.edge.tracking_api import ROUTES, SDK_METRICS_PATH

Document = dict[str, Any]

BODY_TYPES: Final = ("application/json", "text/plain")  # any other is read as JSON too
ABOUT: Final = f"""\
Takes events from the SDKs of Segment, RudderStack and Snowplow, and from whoever posts the same JSON.

A write key says which source an event is of: as user name of Basic authentication, in `X-Write-Key`, in the query, or
as `writeKey` in the body; Snowplow's trackers name an app id instead. Bodies are JSON whatever their content type,
plain or in gzip, at most {BODY_BYTES_MAX} bytes inflated and {EVENTS_MAX} events. 200 is answered once every event is
durable, and says what became of each; a single bad event never makes a request fail."""

TEXT: Final[Document] = {"type": "string"}
ANYTHING: Final[Document] = {}
COUNT: Final[Document] = {"type": "integer", "minimum": 0}


def _object(properties: Mapping[str, Any], *required: str, **more: Any) -> Document:
    return (
        {"type": "object", "properties": dict(properties)} | ({"required": list(required)} if required else {}) | more
    )


MESSAGE: Final = _object(
    {
        "type": {"enum": [*KINDS, "merge"]},
        "messageId": {"type": "string", "maxLength": 100},
        "userId": {"type": ["string", "integer", "null"]},
        "anonymousId": {"type": ["string", "null"]},
        "previousId": {"type": ["string", "null"]},
        "groupId": {"type": ["string", "integer", "null"]},
        "event": TEXT,
        "name": TEXT,
        "timestamp": {"type": "string", "format": "date-time"},
        "originalTimestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
        "properties": {"type": "object"},
        "traits": {"type": "object"},
        "writeKey": TEXT,
    },
    description="One message; what is not named here is ignored. A message that is no event goes to the quarantine.",
)
SCHEMAS: Final[Document] = {
    "Message": MESSAGE,
    "Batch": _object(
        {
            "batch": {"type": "array", "items": {"$ref": "#/components/schemas/Message"}, "maxItems": EVENTS_MAX},
            "sentAt": {"type": "string", "format": "date-time"},
            "writeKey": TEXT,
            "context": {"type": "object", "description": "Of every message; a message's own fields win."},
        },
        "batch",
    ),
    "SnowplowPayload": _object(
        {
            "schema": TEXT,
            "data": {
                "type": "array",
                "maxItems": EVENTS_MAX,
                "items": _object(
                    {"e": {"enum": ["pv", "pp", "se", "ue", "tr", "ti"]}, "aid": TEXT, "eid": TEXT, "dtm": TEXT}, "e"
                ),
            },
        },
        "data",
    ),
    "Verdict": _object(
        {
            "index": COUNT,
            "status": {"enum": ["repeated", "quarantined", "suppressed"]},
            "messageId": TEXT,
            "code": TEXT,
            "message": TEXT,
        },
        "index",
        "status",
    ),
    "Stored": _object(
        {
            "success": {"const": True},
            "accepted": COUNT,
            "repeated": COUNT,
            "quarantined": COUNT,
            "suppressed": COUNT,
            "events": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Verdict"},
                "description": "Messages that were not accepted, by their place in the request; absent if all were.",
            },
        },
        "success",
        "accepted",
        "repeated",
        "quarantined",
        "suppressed",
    ),
    "Success": _object({"success": {"const": True}}, "success"),
    "Error": _object({"success": {"const": False}, "code": TEXT, "message": TEXT}, "success", "code", "message"),
}


def _json(name: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


ERRORS: Final = {
    "400": "The body cannot be read, so there is no event to keep",
    "401": "No source has this key",
    "404": "The source is disabled",
    "413": "The body is too large",
    "503": "Nothing was stored; send the same request again after `Retry-After` seconds",
}
TAKING: Final = ("400", "401", "404", "413", "503")
SHOWING: Final = ("401", "404", "503")
IMAGE: Final = {"image/gif": {"schema": {"type": "string", "contentMediaType": "image/gif"}}}


def _responses() -> Document:
    errors = {f"Error{status}": {"description": text, "content": _json("Error")} for status, text in ERRORS.items()}
    return errors | {
        "Stored": {"description": "Every event is durable, or its refusal is", "content": _json("Stored")},
        "Success": {"description": "Taken note of", "content": _json("Success")},
        "Image": {"description": "A transparent image of one pixel", "content": IMAGE},
        "Settings": {
            "description": "As the SDK needs it",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    }


def _bodies() -> Document:
    return {
        name: {
            "required": True,
            "content": {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}} for kind in BODY_TYPES},
        }
        for name in ("Message", "Batch", "SnowplowPayload")
    }


def _answers(name: str, *errors: str) -> Document:
    named = {"200": name} | {status: f"Error{status}" for status in errors}
    return {status: {"$ref": f"#/components/responses/{response}"} for status, response in named.items()}


def _taking(schema: str, summary: str, operation: str, *, parameters: list[Document] | None = None) -> Document:
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters or [],
            "requestBody": {"$ref": f"#/components/requestBodies/{schema}"},
            "responses": _answers("Stored", *TAKING),
            "security": [{"writeKey": []}, {"writeKeyHeader": []}, {}],
        }
    }


def _query(name: str, description: str, schema: Document | None = None) -> Document:
    return {"name": name, "in": "query", "description": description, "schema": schema or TEXT}


WRITE_KEY: Final = _query("writeKey", "The source's write key")


def _pixel(summary: str, operation: str, parameters: list[Document]) -> Document:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters,
            "responses": _answers("Image", *TAKING),
            "security": [{}],
        }
    }


def _showing(summary: str, operation: str, *errors: str, parameters: list[Document] | None = None) -> Document:
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters or [],
            "responses": _answers("Settings", *errors),
            "security": [{"writeKey": []}, {}] if errors else [{}],
        }
    }


def _paths() -> Document:
    paths: Document = {}
    for path, kind in ROUTES.items():
        schema = "Batch" if kind is None else "Message"
        what = (
            "Several events" if kind is None else f"One {path.removeprefix('/v1/') if 'merge' in path else kind} event"
        )
        operation = path.strip("/").replace("/", "_")
        query = [WRITE_KEY] if path.startswith("/beacon") else []
        paths[path] = _taking(schema, what, operation, parameters=query)
    paths[POST_PATH] = _taking("SnowplowPayload", "Events of Snowplow's trackers", "snowplow_post")
    tracker = [_query("e", "Kind of event", {"enum": ["pv", "pp", "se", "ue", "tr", "ti"]})]
    tracker += [_query(name, "As Snowplow's tracker protocol has it") for name in ("aid", "eid", "duid", "uid", "dtm")]
    for path in sorted(GET_PATHS):
        operation = "snowplow_get_" + path.rpartition("/")[2]
        get = _pixel("One event of Snowplow's trackers", operation, tracker)
        paths[path] = paths.get(path, {}) | get
    fields = [
        WRITE_KEY,
        _query("data", "A message as base64 of JSON; without it the other fields are the message"),
        *(_query(name, "As in a message") for name in ("userId", "anonymousId", "event", "messageId")),
        _query("properties.email_id", "Any field of properties, traits or context"),
    ]
    kinds = [f"{kind}{ending}" for ending in ("", ".gif") for kind in KINDS]
    kind_field = {"name": "kind", "in": "path", "required": True, "schema": {"enum": kinds}}
    for prefix in PIXEL_PREFIXES:
        operation = prefix.strip("/").replace("/", "_")
        paths[f"{prefix}/{{kind}}"] = _pixel("One event, as an image", operation, [kind_field, *fields])
    key = {"name": "writeKey", "in": "path", "required": True, "schema": TEXT}
    settings = _showing("What analytics.js fetches first", "segment_settings", *SHOWING, parameters=[key])
    config = _showing("What RudderStack's SDKs fetch first", "source_config", *SHOWING, parameters=[WRITE_KEY])
    metrics = {"operationId": "sdk_metrics", "summary": "Counts of analytics.js about itself, which are not kept"}
    stored = _answers("Success")
    return paths | {
        "/v1/projects/{writeKey}/settings": settings,
        "/sourceConfig": config,
        SDK_METRICS_PATH: {"post": metrics | {"responses": stored, "security": [{}]}},
        "/health": _showing("Whether the collector runs", "health"),
        "/openapi.json": _showing("This document", "openapi"),
    }


@cache
def collector_openapi() -> Document:
    """The document, in OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "onefold collector", "version": "1", "description": ABOUT, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "requestBodies": _bodies(),
            "responses": _responses(),
            "securitySchemes": {
                "writeKey": {"type": "http", "scheme": "basic", "description": "The write key as user, no password"},
                "writeKeyHeader": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
            },
        },
    }


_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(collector_openapi(), indent=2) + "\n")
