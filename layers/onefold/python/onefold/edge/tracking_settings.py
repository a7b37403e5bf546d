"""What browser and mobile SDKs fetch before they send anything: where to, and that the source is there."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from onefold.domain.source import Source

SETTINGS_PREFIX: Final = "/v1/projects/"
SETTINGS_SUFFIX: Final = "/settings"
SETTINGS_MAX_AGE_S: Final = 60
NO_KEY: Final = frozenset("/:")  # characters that no write key has


def settings_key(path: str) -> str | None:
    """The write key in `/v1/projects/<key>/settings`; None for any other path."""
    if not path.startswith(SETTINGS_PREFIX) or not path.endswith(SETTINGS_SUFFIX):
        return None
    key = unquote(path[len(SETTINGS_PREFIX) : -len(SETTINGS_SUFFIX)])
    return key if key and not NO_KEY.intersection(key) else None


def segment_settings(headers: Mapping[str, str], source: Source) -> dict[str, Any]:
    """What analytics.js and Segment's mobile SDKs need: this host, and no more.

    Any other key in `integrations` would make the SDK load a destination's bundle, and a sample rate above zero make
    it send metrics to Segment.
    """
    segment = {
        "apiKey": source.write_key,
        "unbundledIntegrations": [],
        "addBundledMetadata": True,
        "maybeBundledConfigIds": {},
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
        "apiHost": f"{headers.get('host', '')}/v1",
        "protocol": headers.get("x-forwarded-proto", "https"),
    }
    return {
        "integrations": {"Segment.io": segment},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def rudder_source_config(source: Source) -> dict[str, Any]:
    """What RudderStack's SDKs need: a source that is enabled, without destinations."""
    return {
        "source": {
            "id": source.name,
            "name": source.name,
            "writeKey": source.write_key,
            "workspaceId": "onefold",
            "enabled": True,
            "updatedAt": "1970-01-01T00:00:00.000Z",
            "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
            "destinations": [],
        }
    }
