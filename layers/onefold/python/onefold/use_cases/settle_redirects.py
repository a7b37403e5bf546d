"""Settle redirects: after a merge, let every older id lead to the surviving profile in one hop."""

from collections.abc import Iterable
from typing import Final

import msgspec

from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges
from onefold.use_cases.linking import GraphStore, live_head, read_heads

REDIRECTS_PER_COMMIT: Final = 90  # a transaction takes 100 items


def former_ids(old: Head | None, new: Head | None) -> tuple[str, ...]:
    """Ids that redirect to a profile which has just become a redirect itself."""
    if old is None or new is None or old.merged_into or not new.merged_into:
        return ()
    return tuple(profile_id for profile_id in old.foundings if profile_id != old.profile_id)


def settle_redirects(profile_ids: Iterable[str], heads: GraphStore) -> int:
    """Shorten the redirects that take more than one hop; returns how many were.

    Whoever reads meanwhile follows the longer way to the same profile. The surviving head is written with them, as it
    is, so that of this and a split beside it, which relies on where its former ids lead, one reads again.

    Raises:
        VersionConflict: Somebody else changed a profile at the same time; to be called again.
        Unavailable: A store did not answer.
    """
    wanted = list(dict.fromkeys(profile_ids))
    if not wanted:
        return 0
    read = read_heads(heads, wanted)
    longer: dict[str, list[Head]] = {}
    for profile_id in wanted:
        head, live = read.get(profile_id), live_head(read, profile_id)
        if head is not None and live is not None and head.merged_into not in {"", live.profile_id}:
            longer.setdefault(live.profile_id, []).append(msgspec.structs.replace(head, merged_into=live.profile_id))
    for profile_id, redirects in longer.items():
        live = read[profile_id]
        for start in range(0, len(redirects), REDIRECTS_PER_COMMIT):
            heads.commit(GraphChanges((live, *redirects[start : start + REDIRECTS_PER_COMMIT]), {}))
            live = msgspec.structs.replace(live, version=live.version + 1)
    return sum(map(len, longer.values()))
