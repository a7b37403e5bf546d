"""A definition as it is stored: anything that a user declares, by kind and name, in its current version."""

import msgspec


class Definition(msgspec.Struct, frozen=True):
    """One declared thing.

    Attributes:
        name: Kind and name, `source/web`.
        body: JSON; each kind says what it holds.
        version: Counts from 1; each version stays in the history.
    """

    name: str
    body: bytes
    version: int

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]
