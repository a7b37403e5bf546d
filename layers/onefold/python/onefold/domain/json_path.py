"""Paths into JSON documents: RFC 9535's singular queries, `$.member.emails[0]` and `$['first name']`."""

import re
from functools import lru_cache
from typing import Final

from onefold.domain.errors import MappingInvalid

Step = str | int
PATH_CHARACTERS_MAX: Final = 500
_STEP: Final = re.compile(
    r"""\.(?P<name>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*)"""
    r"""|\[(?P<index>-?(?:0|[1-9]\d{0,8}))\]"""
    r"""|\['(?P<single>[^'\\]*)'\]|\["(?P<double>[^"\\]*)"\]"""
)


@lru_cache(maxsize=1_024)
def parse_path(path: str) -> tuple[Step, ...]:
    """Take a path apart.

    Raises:
        MappingInvalid: It is no path that names at most one value.
    """
    steps: list[Step] = []
    place = 1
    while path.startswith("$") and place < len(path) <= PATH_CHARACTERS_MAX:
        step = _STEP.match(path, place)
        if step is None:
            break
        steps.append(int(step["index"]) if step["index"] is not None else str(step[step.lastgroup or 0]))
        place = step.end()
    if not path.startswith("$") or place != len(path):
        raise MappingInvalid("path_malformed", "Write a path as $.member.emails[0] or $['first name']")
    return tuple(steps)


def select(path: str, document: object) -> object:
    """What a path names in a document; None where there is nothing.

    Raises:
        MappingInvalid: As `parse_path` does.
    """
    found = document
    for step in parse_path(path):
        if isinstance(step, str) and isinstance(found, dict):
            found = found.get(step)
        elif isinstance(step, int) and isinstance(found, list) and -len(found) <= step < len(found):
            found = found[step]
        else:
            return None
    return found
