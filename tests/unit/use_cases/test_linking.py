"""Reading the graph ends, whatever was read."""

from collections.abc import Collection

import pytest

from onefold.domain.head import Head
from onefold.domain.identity import GraphChanges
from onefold.use_cases.linking import read_graph


class _Dangling:
    """An identifier whose head redirects to one that cannot be read."""

    def owners(self, keys: Collection[str]) -> dict[str, str]:
        return dict.fromkeys(keys, "p_old")

    def heads(self, profile_ids: Collection[str]) -> dict[str, Head]:
        return {"p_old": Head("p_old", 1, merged_into="p_gone")} if "p_old" in profile_ids else {}

    def commit(self, changes: GraphChanges) -> None:
        raise AssertionError("Nobody writes here")


@pytest.mark.timeout(5)
def test_a_redirect_to_a_head_that_is_not_there_ends_the_reading() -> None:
    heads, owners = read_graph(_Dangling(), ["email:x"])

    assert owners == {"email:x": "p_old"}
    assert set(heads) == {"p_old"}
