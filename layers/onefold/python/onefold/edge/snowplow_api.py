"""Snowplow's tracker protocol over HTTP: one request may hold the events of several sources."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from onefold.domain.errors import EventInvalid, Unauthorized
from onefold.domain.parcel import Parcel
from onefold.domain.snowplow import AppParcel, open_snowplow, snowplow_body
from onefold.edge.tracking_request import TrackingRequest
from onefold.use_cases.collect import Collector, CollectRequest, Outcome

POST_PATH: Final = "/com.snowplowanalytics.snowplow/tp2"
GET_PATHS: Final = frozenset(["/i", POST_PATH, "/com.snowplowanalytics.snowplow/i"])


def collect_snowplow(request: TrackingRequest, collector: Collector) -> list[Outcome]:
    """Store the events of a request.

    Each is for the source that its app id names, or all are for that of a write key beside the body. Events of an app
    id that no source has go to the quarantine of the first source that is known.

    Returns:
        One outcome for each source; their indexes are those of the request.

    Raises:
        BodyInvalid, PayloadTooLarge: The request as a whole.
        Unauthorized: No source is known.
        Unavailable: Something was not stored; the client sends all of it again.
    """
    body = snowplow_body(request.query()) if request.method == "GET" else request.body()
    known: list[AppParcel] = []
    unknown: list[AppParcel] = []
    for part in open_snowplow(body):
        try:
            collector.authenticate((*request.write_keys, part.parcel.write_key))
        except Unauthorized as error:
            refused = error
            unknown.append(part)
        else:
            known.append(part)
    if not known:
        raise refused
    parcels = [(part.indexes, part.parcel) for part in known]
    parcels += [(part.indexes, _kept_out(part, known[0])) for part in unknown]
    return [_collect(request, collector, indexes, parcel) for indexes, parcel in parcels]


def _collect(request: TrackingRequest, collector: Collector, indexes: list[int], parcel: Parcel) -> Outcome:
    opened: Callable[[], Parcel] = partial(_same, parcel)
    outcome = collector.collect(CollectRequest(b"", None, request.write_keys, request.arrival, opened))
    outcome.repeated = [indexes[index] for index in outcome.repeated]
    outcome.refused = [(indexes[index], refusal) for index, refusal in outcome.refused]
    outcome.suppressed = [(indexes[index], error) for index, error in outcome.suppressed]
    return outcome


def _same(parcel: Parcel) -> Parcel:
    return parcel


def _kept_out(part: AppParcel, known: AppParcel) -> Parcel:
    error = EventInvalid("app_id_unknown", "Name the app id (aid) among the app_ids of a source", pointer="#/aid")
    return replace(part.parcel, messages=[error] * len(part.indexes), write_key=known.parcel.write_key)
