"""Traits: each leaf of what is said of a person is a register under its path, so that objects grow together."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from onefold.domain.register import Register

TRAITS_MAX: Final = 300
TRAIT_BYTES_MAX: Final = 2_000  # of one leaf, as JSON
TRAIT_DEPTH_MAX: Final = 5  # names in a path; an object at the last of them is one value
TRAIT_PATH_LENGTH_MAX: Final = 300
_PATHS_REMEMBERED: Final = 10_000


def path_of(name: str) -> str:
    r"""The path of a top-level trait: its name, in which `.` and `\` stand as `\.` and `\\`."""
    if "\\" in name:
        name = name.replace("\\", "\\\\")
    return name.replace(".", "\\.") if "." in name else name


@lru_cache(maxsize=_PATHS_REMEMBERED)
def names_of(path: str) -> tuple[str, ...]:
    """The names in a path, outermost first."""
    names, name, is_escaped = [], [], False
    for letter in path:
        if is_escaped or letter not in ".\\":
            name.append(letter)
            is_escaped = False
        elif letter == "\\":
            is_escaped = True
        else:
            names.append("".join(name))
            name.clear()
    return (*names, "".join(name))


@lru_cache(maxsize=_PATHS_REMEMBERED)
def _paths_above(path: str) -> tuple[str, ...]:
    above = [path_of(name) for name in names_of(path)[:-1]]
    return tuple(".".join(above[:length]) for length in range(1, len(above) + 1))


def leaves(traits: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    """Path → value, for all that is no object. An empty object says nothing."""
    for name, value in traits.items():
        path = prefix + path_of(name)
        if not isinstance(value, dict) or (value and depth == TRAIT_DEPTH_MAX):
            yield path, value
        elif value:
            yield from leaves(value, path + ".", depth + 1)


def settle_traits(registers: dict[str, Register]) -> None:
    """Bring registers into normal form: two sets of words that tell the same are then equal.

    A register below an older one shows that there is an object: the older one keeps its stamp, because it still hides
    what is older than itself, and loses its value. One below a newer register is gone, whatever comes. It does not
    matter when this is done: registers put together and settled are the same as settled, put together, and settled.
    """
    for path in [path for path in registers if "." in path]:
        register = registers[path]
        for above in _paths_above(path):
            over = registers.get(above)
            if over is None:
                continue
            if over.stamp > register.stamp:
                del registers[path]
                break
            if over.value is not None:
                registers[above] = Register(over.at, over.received_at, over.source, over.message_id, None)


def traits_document(registers: Mapping[str, Register]) -> dict[str, Any]:
    """Trait → newest value, objects nested as they were sent, without removed ones, sorted by name."""
    document: dict[str, Any] = {}
    for path in _visible(registers):
        *outer, name = names_of(path)
        place = document
        for each in outer:
            place = place.setdefault(each, {})
        place[name] = registers[path].value
    return document


def provenance_document(registers: Mapping[str, Register]) -> dict[str, dict[str, Any]]:
    r"""Path of a value → which message of which source it is from, and when; a name's own `.` stands as `\.`."""
    return {
        path: {
            "source": registers[path].source,
            "at": registers[path].at,
            "received_at": registers[path].received_at,
            "message_id": registers[path].message_id,
        }
        for path in _visible(registers)
    }


def _visible(registers: Mapping[str, Register]) -> list[str]:
    return sorted((path for path, register in registers.items() if register.value is not None), key=names_of)
