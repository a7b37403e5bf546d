"""Asks the profile API for a profile, and shows it."""

from typing import Any
from urllib.parse import quote

import httpx

from cli.deployment import Deployment
from cli.problems import CommandError, UsageError


def fetch_profile(deployment: Deployment, identifier: str, collection: str = "") -> dict[str, Any]:
    """Ask the profile API.

    Args:
        deployment: Where to ask.
        identifier: `type:value`.
        collection: `traits`, `events`, `identifiers` or `audiences`; the whole profile without it.

    Raises:
        UsageError: The text names no identifier.
        CommandError: The API refused, or nobody has this identifier.
    """
    if ":" not in identifier:
        raise UsageError("Write type:value, as email:ada@shop.de or profile_id:p_…")
    url = f"{deployment.description.api_url.rstrip('/')}/v1/profiles/{quote(identifier, safe=':')}"
    headers = {"Authorization": f"Bearer {deployment.token}"}
    answer = deployment.http.get(f"{url}/{collection}" if collection else url, headers=headers)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise CommandError("No profile has this identifier; an event may need some seconds to arrive")
    if answer.status_code != httpx.codes.OK:
        raise CommandError(f"The profile API answered HTTP {answer.status_code}: {_problem(answer)}")
    document: dict[str, Any] = answer.json()
    return document


def _problem(answer: httpx.Response) -> str:
    try:
        document = answer.json()
    except ValueError:
        return "no reason given"
    return str(document.get("detail") or document.get("message") or document.get("title") or "no reason given")
