"""The collector against its own description, by programs that read it and think of requests."""

import json
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from onefold.edge.collector_openapi import collector_openapi
from tests.clients.gateway import KEY, gateway

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "openapi" / "collector.json"
# Whoever has a key in any of its places is let in; and a bad event is kept aside, with 200, instead of refused.
BY_DESIGN = (checks.ignored_auth, checks.negative_data_rejection)
# What `data` says of its content, base64 of JSON, no schema can.
OF_PIXELS = (checks.positive_data_acceptance,)
api = schemathesis.openapi.from_wsgi("/openapi.json", gateway)


def test_the_published_description_is_the_one_that_the_collector_serves() -> None:
    written = json.dumps(collector_openapi(), indent=2) + "\n"

    assert PUBLISHED.read_text() == written, f"run python -m onefold.edge.collector_openapi > {PUBLISHED}"


@api.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_description_names(case: Any) -> None:
    response = case.call(auth=(KEY, ""))

    case.validate_response(response, excluded_checks=[*BY_DESIGN, *(OF_PIXELS if "pixel" in case.path else ())])
    assert response.status_code != 500
    assert "access-control-allow-origin" in {name.lower() for name in response.headers}
