"""Devices: when each was first and last seen, and what it last said of itself."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from onefold.domain.event import Event
from onefold.domain.json_text import DECODING_ERRORS

DEVICES_MAX: Final = 50  # of a fragment, which has one, as long as keys are what they should be
DEVICE_TEXT_LENGTH_MAX: Final = 100


class Description(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """What a device said of itself; empty where it did not say. Field order is merge priority: newest, then text."""

    at: int
    type: str
    model: str
    os: str


class Device(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Seen from `first_at` to `last_at`, epoch ms."""

    first_at: int
    last_at: int
    description: Description | None = None

    def seen(self, first_at: int, last_at: int, description: Description | None) -> "Device":
        """The same device, seen from and until then too, when it last said this of itself."""
        if description is None or (self.description and self.description > description):
            description = self.description
        return Device(min(first_at, self.first_at), max(last_at, self.last_at), description)


class _Context(msgspec.Struct):
    device: dict[str, Any] | None = None
    os: dict[str, Any] | None = None


_contexts = msgspec.json.Decoder(_Context)


def newest_description(events: Iterable[Event]) -> Description | None:
    """What the newest of these events that says anything says of its device; None where none does.

    Cost: nearly always one of them is read.
    """
    newest: Description | None = None
    for event in sorted(events, key=lambda event: event.at, reverse=True):
        if newest is not None and event.at < newest.at:
            break
        told = _description(event)
        if told is not None:
            newest = told if newest is None else max(newest, told)
    return newest


def _description(event: Event) -> Description | None:
    """Texts are cut to DEVICE_TEXT_LENGTH_MAX."""
    try:
        told = _contexts.decode(event.context)
    except DECODING_ERRORS:
        return None
    device, system = told.device or {}, told.os or {}
    words = (
        _text(device.get("type")),
        _text(device.get("model")),
        f"{_text(system.get('name'))} {_text(system.get('version'))}".strip(),
    )
    return Description(event.at, *(word[:DEVICE_TEXT_LENGTH_MAX] for word in words)) if any(words) else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def merge_devices(into: dict[str, Device], more: Mapping[str, Device]) -> None:
    """Commutes, associates and is idempotent."""
    for key, device in more.items():
        known = into.get(key)
        into[key] = device if known is None else known.seen(device.first_at, device.last_at, device.description)


def devices_document(devices: Mapping[str, Device], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Devices, last seen first.

    Args:
        devices: Identifier key → device.
        names: Identifier key → `type:value`, for those that belong to the profile.
    """
    newest_first = sorted(devices, key=lambda key: (-devices[key].last_at, key))
    return [{"key": key, "identifier": names.get(key), **_document(devices[key])} for key in newest_first]


def _document(device: Device) -> dict[str, Any]:
    told = device.description or Description(0, "", "", "")
    return {
        "first_seen_at": device.first_at,
        "last_seen_at": device.last_at,
        "type": told.type or None,
        "model": told.model or None,
        "os": told.os or None,
    }
