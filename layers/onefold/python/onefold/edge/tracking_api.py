"""The tracking API over HTTP: what Segment's, RudderStack's and Snowplow's SDKs ask for, and what they are answered."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from onefold.domain.event import KINDS, Kind
from onefold.edge.observability import Observability
from onefold.edge.pixel import PIXEL_PATHS, pixel_request
from onefold.edge.snowplow_api import GET_PATHS as SNOWPLOW_GET_PATHS
from onefold.edge.snowplow_api import POST_PATH as SNOWPLOW_POST_PATH
from onefold.edge.snowplow_api import collect_snowplow
from onefold.edge.tracking_answers import answer, error_document, pixel, verdicts
from onefold.edge.tracking_request import TrackingRequest
from onefold.edge.tracking_settings import SETTINGS_MAX_AGE_S, rudder_source_config, segment_settings, settings_key
from onefold.use_cases.collect import Collector, CollectRequest, Outcome

# What one message is by its path; None for a batch, or where the message says it. analytics.js posts to the first
# letter of the kind.
ROUTES: Final[Mapping[str, Kind | None]] = (
    {f"/v1/{kind}": kind for kind in KINDS}
    | {f"/v1/{kind[0]}": kind for kind in KINDS}
    | {"/v1/merge": "alias"}
    | dict.fromkeys(("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"))
)
SHOWN_PATHS: Final = frozenset(["/health", "/openapi.json", "/sourceConfig"])
SDK_METRICS_PATH: Final = "/v1/m"  # counts of analytics.js about itself: no events, and of no use here


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in API Gateway's format, and what became of the messages, by source."""

    answer: dict[str, Any]
    outcomes: tuple[Outcome, ...] = ()

    @property
    def outcome(self) -> Outcome | None:
        """Of all messages together; None where there were none to take."""
        return joined(self.outcomes) if self.outcomes else None


def respond(request: TrackingRequest, collector: Callable[[], Collector]) -> Reply:
    """Answer one request. The collector is built only where it is needed, so that a preflight costs nothing.

    Raises:
        Rejected, Unavailable: As `Collector.collect` does; `refuse` makes the answer.
    """
    reply: Reply | None = None
    if request.method == "OPTIONS":
        reply = Reply(answer(request.headers, HTTPStatus.NO_CONTENT))
    elif request.method == "POST":
        reply = _post(request, collector)
    elif request.method in {"GET", "HEAD"}:
        reply = _show(request, collector)
        if reply is None and request.method == "GET":
            reply = _pixel(request, collector)
    return reply or _nothing(request)


def _nothing(request: TrackingRequest) -> Reply:
    """The answer to a path or a method that there is not."""
    if methods := methods_of(request.path):
        allowed = ", ".join((*methods, "OPTIONS"))
        document = error_document("method_not_allowed", f"This path takes {allowed}")
        return Reply(answer(request.headers, HTTPStatus.METHOD_NOT_ALLOWED, document, Allow=allowed))
    document = error_document("not_found", "There is nothing here; events are posted to /v1/batch")
    return Reply(answer(request.headers, HTTPStatus.NOT_FOUND, document))


def methods_of(path: str) -> tuple[str, ...]:
    """What can be done with a path, beside a preflight."""
    shown = path in SHOWN_PATHS or settings_key(path) is not None
    pixels = path in PIXEL_PATHS or path in SNOWPLOW_GET_PATHS
    posted = path in ROUTES or path in {SNOWPLOW_POST_PATH, SDK_METRICS_PATH}
    return (("GET",) if shown or pixels else ()) + (("HEAD",) if shown else ()) + (("POST",) if posted else ())


def _post(request: TrackingRequest, collector: Callable[[], Collector]) -> Reply | None:
    if request.path in ROUTES:
        asked = CollectRequest(request.body(), ROUTES[request.path], request.write_keys, request.arrival)
        outcomes = [collector().collect(asked)]
    elif request.path == SNOWPLOW_POST_PATH:
        outcomes = collect_snowplow(request, collector())
    elif request.path == SDK_METRICS_PATH:
        return Reply(answer(request.headers, HTTPStatus.OK, {"success": True}))
    else:
        return None
    return Reply(answer(request.headers, HTTPStatus.OK, verdicts(joined(outcomes))), tuple(outcomes))


def _pixel(request: TrackingRequest, collector: Callable[[], Collector]) -> Reply | None:
    if request.path in PIXEL_PATHS:
        outcomes = [collector().collect(pixel_request(request))]
    elif request.path in SNOWPLOW_GET_PATHS:
        outcomes = collect_snowplow(request, collector())
    else:
        return None
    return Reply(pixel(request.headers), tuple(outcomes))


def _show(request: TrackingRequest, collector: Callable[[], Collector]) -> Reply | None:
    """What changes nothing."""
    if request.path == "/health":
        return Reply(answer(request.headers, HTTPStatus.OK, {"success": True}))
    if request.path == "/openapi.json":
        from onefold.edge.collector_openapi import collector_openapi  # asked for too seldom to slow every start

        return Reply(answer(request.headers, HTTPStatus.OK, collector_openapi(), Cache_Control=_kept("public")))
    if request.path == "/sourceConfig":
        document = rudder_source_config(collector().authenticate(request.write_keys))
        return Reply(answer(request.headers, HTTPStatus.OK, document, Cache_Control=_kept("private")))
    key = settings_key(request.path)
    if key is None:
        return None
    document = segment_settings(request.headers, collector().authenticate([key]))
    return Reply(answer(request.headers, HTTPStatus.OK, document, Cache_Control=_kept("public")))


def _kept(by: str) -> str:
    return f"{by}, max-age={SETTINGS_MAX_AGE_S}"


def joined(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcomes of one request as one."""
    first, *others = outcomes
    if not others:
        return first
    whole = Outcome(first.source)
    for outcome in (first, *others):
        whole.accepted += outcome.accepted
        whole.spooled += outcome.spooled
        whole.repeated += outcome.repeated
        whole.refused += outcome.refused
        whole.suppressed += outcome.suppressed
    return whole


def count_outcomes(observe: Observability, reply: Reply) -> None:
    """Count and log what became of a request's messages, by their source."""
    for outcome in reply.outcomes:
        counts = {
            "accepted": outcome.accepted,
            "repeated": len(outcome.repeated),
            "refused": len(outcome.refused),
            "suppressed": len(outcome.suppressed),
            "spooled": outcome.spooled,
        }
        observe.of_source(outcome.source)
        for word, number in counts.items():
            observe.count(f"Events{word.capitalize()}", number)
        observe.info("request answered", source=outcome.source, **counts)
