"""Findings of identity resolution: published on the bus; what reached a profile's size is quarantined besides."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from onefold.adapters.eventbridge_bus import EventBridgeBus
from onefold.adapters.s3_quarantine import S3Quarantine
from onefold.domain.event import Refusal
from onefold.domain.identity import LimitReached

COMPONENT: Final = "identity"


class IdentityFindings:
    def __init__(self, bus: Callable[[], EventBridgeBus], quarantine: S3Quarantine) -> None:
        """Take how to get the bus: few batches have anything to tell, and making a client costs time."""
        self._bus, self._quarantine = bus, quarantine

    def publish(self, findings: Sequence[LimitReached]) -> None:
        """Tell of all, at least once.

        Raises:
            Unavailable: Not all were taken; the events that they are about come again.
        """
        self._quarantine.keep(_refusal(finding) for finding in findings if finding.is_cap)
        self._bus().publish(findings)


def _refusal(finding: LimitReached) -> Refusal:
    """The evidence that was not used. Its event was; only its link waits for somebody's decision."""
    return Refusal(
        f"{finding.profile_id}-{finding.limit}-{finding.at}",
        finding.source,
        f"identity_cap_{finding.limit}",
        f"The profile {finding.profile_id} has reached its cap of {finding.limit}; see what holds it together",
        msgspec.json.encode(finding),
        finding.at,
        COMPONENT,
    )
