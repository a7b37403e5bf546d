"""Preview: replay what the lake saw under the rules in force and under others, and tell the difference."""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from onefold.domain.decision_request import body_invalid
from onefold.domain.errors import Rejected
from onefold.domain.identifier import IdentifierHasher
from onefold.domain.identity_rules import DeclaredRules, IdentityRules, build_rules
from onefold.domain.preview import Named, Replay, Sighting, preview_document
from onefold.domain.union import DAY_MS

DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 3_650
CHECKED_EVERY: Final = 64  # sightings between two looks at the clock


class Snapshot(msgspec.Struct, frozen=True):
    """Each set of identifiers that events named together, once, in the order in which the first of them arrived.

    Attributes:
        is_cut: Whether there were more than asked for.
    """

    sightings: tuple[Sighting, ...]
    is_cut: bool = False


class SnapshotReader(Protocol):
    def read(self, since_ms: int, sightings_max: int) -> Snapshot:
        """The first sightings of what arrived since a time (epoch ms), to the day.

        Raises:
            Rejected: It is too much to be read in time.
            Unavailable: The lake does not answer.
        """


class PreviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Other rules, as `definitions/identity.yaml` declares them, and how many days of events to try them on."""

    rules: DeclaredRules
    days: int = DAYS_DEFAULT


class Bounds(msgspec.Struct, frozen=True):
    """How much may be tried: sightings, and a function that says when time is up."""

    sightings_max: int
    is_late: Callable[[], bool]


_requests = msgspec.json.Decoder(PreviewRequest)


def parse_preview_request(body: bytes) -> tuple[IdentityRules, int]:
    """Read a request's JSON: the rules, and the days.

    Raises:
        BodyInvalid: It is no JSON, or has a field too many or of the wrong type.
        DefinitionInvalid: The rules contradict.
        Rejected: The days are out of range.
    """
    try:
        request = _requests.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise body_invalid(error) from error
    if not 1 <= request.days <= DAYS_MAX:
        raise Rejected("days_invalid", f"Write days as a number from 1 to {DAYS_MAX}", pointer="#/days")
    return build_rules(request.rules), request.days


def preview(
    reader: SnapshotReader,
    hasher: IdentifierHasher,
    rules: tuple[IdentityRules, IdentityRules],
    *,
    since_ms: int,
    bounds: Bounds,
    label: Callable[[Named], str] | None = None,
) -> dict[str, Any]:
    """Compare the rules in force with others over the lake's events since a time.

    Args:
        reader: Of the lake.
        hasher: Of this deployment.
        rules: Those in force, and the others.
        since_ms: Epoch ms; whole days count.
        bounds: Beyond them the snapshot is cut, which the document says.
        label: How an identifier is named in examples; by its key without it.

    Returns:
        Counts and examples; `sightings`, and why they were `cut` (`size`, `time`) or null.

    Raises:
        Rejected, Unavailable: The lake could not be read.
    """
    snapshot = reader.read(since_ms, bounds.sightings_max)
    old, new = (Replay(each, hasher) for each in rules)
    replayed = _replay(snapshot.sightings, (old, new), bounds.is_late)
    is_late = replayed < len(snapshot.sightings)
    document = preview_document(old, new, label or (lambda named: hasher.key(*named)))
    return {
        "since": since_ms // DAY_MS * DAY_MS,
        "sightings": replayed,
        "cut": "time" if is_late else "size" if snapshot.is_cut else None,
        **document,
    }


def _replay(sightings: Iterable[Sighting], replays: Iterable[Replay], is_late: Callable[[], bool]) -> int:
    """Give the same sightings to each replay until time is up; returns how many."""
    replays = tuple(replays)
    count = 0
    for count, sighting in enumerate(sightings, start=1):
        for replay in replays:
            replay.add(sighting)
        if count % CHECKED_EVERY == 0 and is_late():
            break
    return count
