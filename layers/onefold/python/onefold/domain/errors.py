"""What can go wrong, sorted by the one operational question: will a retry help?

OnefoldError
├── Rejected      the caller's input is at fault: never retry
│   ├── EventInvalid (PlanViolated), EventSuppressed, BodyInvalid, Unauthorized, PayloadTooLarge
│   ├── DefinitionInvalid, IdentifierInvalid, MappingInvalid
│   └── ProfileNotFound, DecisionNotFound
└── Unavailable   a dependency is at fault: retry with backoff
    ├── VersionConflict   somebody else wrote first: read again, decide again
    └── StreamUnavailable
(anything else is a defect: let it fly, alarm on it)
"""


class OnefoldError(Exception):
    """Root of everything that onefold raises on purpose."""


class Rejected(OnefoldError):  # noqa: N818 - the type names the answer to the operational question
    """The input is at fault; the same input will be refused again.

    Attributes:
        reason: A slug of bounded variety, fit for a metric's dimension and a quarantine's reason code.
        detail: A sentence that names the place and the remedy, without any value of a person.
        pointer: Where in the input, as a JSON pointer (`#/batch/3/event`) or `file:line`; empty for the whole.
    """

    def __init__(self, reason: str, detail: str, *, pointer: str = "") -> None:
        super().__init__(f"{pointer}: {detail}" if pointer else detail)
        self.reason = reason
        self.detail = detail
        self.pointer = pointer


class EventInvalid(Rejected):
    """One event of a request is unusable; its neighbours are not affected."""


class PlanViolated(EventInvalid):
    """The source's tracking plan keeps this event out.

    Attributes:
        version: Of the plan, `plan/shop@3`.
    """

    def __init__(self, reason: str, detail: str, *, version: str) -> None:
        super().__init__(reason, detail)
        self.version = version


class EventSuppressed(Rejected):
    """The person did not consent to what storing this event needs: nothing of it is kept but that it was there."""


class BodyInvalid(Rejected):
    """A request from which no event can be read."""


class Unauthorized(Rejected):
    """No source has this write key, or no key was given."""


class PayloadTooLarge(Rejected):
    """A request beyond the stated size."""


class DefinitionInvalid(Rejected):
    """A declared source, rule, trait, audience or destination is not usable."""


class IdentifierInvalid(Rejected):
    """A text that does not name an identifier (`type:value`)."""


class MappingInvalid(Rejected):
    """A mapping of rows to events that does not fit its file."""


class ProfileNotFound(Rejected):
    """No live profile owns this identifier."""


class DecisionNotFound(Rejected):
    """No decision was carried out under this id."""


class EntryNotFound(Rejected):
    """The quarantine has no such entry."""


class Unavailable(OnefoldError):  # noqa: N818 - likewise
    """A dependency did not answer as it should; the same call may succeed later."""


class VersionConflict(Unavailable):
    """A conditional write lost against another writer."""


class StreamUnavailable(Unavailable):
    """Neither the stream nor the spool took an event: nothing was acknowledged."""
