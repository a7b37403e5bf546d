"""Audiences, the evaluating side: do a profile's facts satisfy a compiled predicate, by SQL's three-valued logic."""

import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any, Final, Literal, TypeAlias

import msgspec

from onefold.domain.count import OTHER
from onefold.domain.facts import Facts
from onefold.domain.sales import Totals, totals_by_currency

Value: TypeAlias = bool | int | str | Decimal | None  # an instant is an int of µs since the Unix epoch; NULL is None
ScalarType: TypeAlias = Literal["any", "boolean", "number", "text"]
DIGITS: Final = 50  # a product of two sums of money is exact
MICROS_PER_MS: Final = 1_000

_decimals: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: Final[dict[str, Callable[[Decimal | int, Decimal | int], Decimal]]] = {
    "+": _decimals.add,
    "-": _decimals.subtract,
    "*": _decimals.multiply,
    "/": _decimals.divide,
}


class _Profile:
    """Facts under evaluation; what several terms need is worked out once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def totals(self) -> dict[str, Totals]:
        """Currency → sums over its orders."""
        return totals_by_currency(self.facts.orders.values(), self.facts.settled)


class _Term(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One node of an expression. The compiler has seen to it that its operands are of fitting types, or NULL."""

    def of(self, profile: _Profile) -> Value:
        raise NotImplementedError


class Constant(_Term, frozen=True):
    value: bool | int | str | None

    def of(self, profile: _Profile) -> Value:  # noqa: ARG002 - the same for everybody
        return self.value


class Number(_Term, frozen=True):
    """A number that is no integer."""

    value: Decimal

    def of(self, profile: _Profile) -> Value:  # noqa: ARG002 - the same for everybody
        return self.value


class Trait(_Term, frozen=True):
    """The newest value of a trait, by its path; NULL where it is absent, removed, an object, or of another type."""

    name: str
    scalar: ScalarType

    def of(self, profile: _Profile) -> Value:
        register = profile.facts.traits.get(self.name)
        return None if register is None else _scalar(register.value, self.scalar)


class Answer(_Term, frozen=True):
    """The newest answer to `nps` or `csat`: a number."""

    name: str

    def of(self, profile: _Profile) -> Value:
        register = profile.facts.answers.get(self.name)
        return None if register is None else _scalar(register.value, "number")


class Consent(_Term, frozen=True):
    """The newest decision about a purpose: a boolean."""

    purpose: str

    def of(self, profile: _Profile) -> Value:
        consent = profile.facts.consents.get(self.purpose)
        return None if consent is None else consent.given


class EventMeasure(_Term, frozen=True):
    """How often a kind of event happened, or when first or last.

    Where a profile has more event names than are counted apart, the part of each in the rest is unknown: NULL.
    """

    measure: Literal["count", "min", "max"]
    key: str

    def of(self, profile: _Profile) -> Value:
        counts = profile.facts.counts
        if OTHER in counts:
            return None
        count = counts.get(self.key)
        if self.measure == "count":
            return 0 if count is None else count.times
        if count is None:
            return None
        return (count.first_at if self.measure == "min" else count.last_at) * MICROS_PER_MS


class OrderMeasure(_Term, frozen=True):
    """The number of orders, or a sum over them; in one currency, or in all."""

    measure: Literal["count", "gross", "refunded", "net", "units"]
    currency: str | None

    def of(self, profile: _Profile) -> Value:
        wanted = self.currency
        sums = [totals for currency, totals in profile.totals.items() if wanted is None or currency == wanted]
        if self.measure == "count":
            return sum(totals.orders for totals in sums)
        if not any(totals.orders or totals.refunded or totals.refunded_units for totals in sums):
            return None  # a sum over no row
        total: int = sum(getattr(totals, self.measure) for totals in sums)
        return total if self.measure == "units" else Decimal(total).scaleb(-6, _decimals)


class And(_Term, frozen=True):
    terms: "tuple[Expression, ...]"

    def of(self, profile: _Profile) -> Value:
        answer: bool | None = True
        for term in self.terms:
            value = term.of(profile)
            if value is False:
                return False
            if value is None:
                answer = None
        return answer


class Or(_Term, frozen=True):
    terms: "tuple[Expression, ...]"

    def of(self, profile: _Profile) -> Value:
        answer: bool | None = False
        for term in self.terms:
            value = term.of(profile)
            if value is True:
                return True
            if value is None:
                answer = None
        return answer


class Not(_Term, frozen=True):
    term: "Expression"

    def of(self, profile: _Profile) -> Value:
        value = self.term.of(profile)
        return None if value is None else not value


class Compare(_Term, frozen=True):
    operator: Literal["=", "<>", "<", "<=", ">", ">="]
    left: "Expression"
    right: "Expression"

    def of(self, profile: _Profile) -> Value:
        left = self.left.of(profile)
        if left is None:
            return None
        right = self.right.of(profile)
        return None if right is None else _COMPARISONS[self.operator](left, right)


class In(_Term, frozen=True):
    """Whether a value is one of the texts, or one of the numbers (instants count as numbers)."""

    term: "Expression"
    texts: tuple[str, ...]
    numbers: tuple[Decimal, ...]

    def of(self, profile: _Profile) -> Value:
        value = self.term.of(profile)
        return None if value is None else value in self.texts or value in self.numbers


class IsNull(_Term, frozen=True):
    term: "Expression"

    def of(self, profile: _Profile) -> Value:
        return self.term.of(profile) is None


class Like(_Term, frozen=True):
    """`%` stands for any characters, `_` for one; nothing escapes them."""

    term: "Expression"
    pattern: str

    def of(self, profile: _Profile) -> Value:
        value = self.term.of(profile)
        return _is_like(value, self.pattern) if isinstance(value, str) else None


class Arithmetic(_Term, frozen=True):
    """Decimal arithmetic with DIGITS significant digits; division by zero gives NULL."""

    operator: Literal["+", "-", "*", "/"]
    left: "Expression"
    right: "Expression"

    def of(self, profile: _Profile) -> Value:
        left, right = self.left.of(profile), self.right.of(profile)
        if not isinstance(left, int | Decimal) or not isinstance(right, int | Decimal):
            return None
        return None if self.operator == "/" and not right else _ARITHMETIC[self.operator](left, right)


class Coalesce(_Term, frozen=True):
    terms: "tuple[Expression, ...]"

    def of(self, profile: _Profile) -> Value:
        return next((value for term in self.terms if (value := term.of(profile)) is not None), None)


class NullIf(_Term, frozen=True):
    term: "Expression"
    unwanted: "Expression"

    def of(self, profile: _Profile) -> Value:
        value = self.term.of(profile)
        return None if value == self.unwanted.of(profile) else value


class Case(_Term, frozen=True):
    """The value beside the first condition that is TRUE."""

    branches: "tuple[tuple[Expression, Expression], ...]"
    otherwise: "Expression"

    def of(self, profile: _Profile) -> Value:
        for condition, value in self.branches:
            if condition.of(profile) is True:
                return value.of(profile)
        return self.otherwise.of(profile)


class ChangeCase(_Term, frozen=True):
    """Unicode's simple case mapping, character by character: a text keeps its length."""

    case: Literal["lower", "upper"]
    term: "Expression"

    def of(self, profile: _Profile) -> Value:
        value = self.term.of(profile)
        if not isinstance(value, str):
            return None
        if value.isascii():
            return value.lower() if self.case == "lower" else value.upper()
        return "".join(map(_lower if self.case == "lower" else _upper, value))


Expression: TypeAlias = (
    Constant | Number | Trait | Answer | Consent | EventMeasure | OrderMeasure | And | Or | Not | Compare | In | IsNull
    | Like | Arithmetic | Coalesce | NullIf | Case | ChangeCase
)  # fmt: skip


class Audience(msgspec.Struct, frozen=True, array_like=True):
    """A compiled audience. Fields are only ever added at the end, with a default: older compiled forms stay readable.

    Attributes:
        purpose: What its members are wanted for; only who consents to it is one. None where no consent is asked.
    """

    name: str
    expression: Expression
    purpose: str | None = None
    description: str = ""


def is_member(audience: Audience, facts: Facts) -> bool:
    """Whether the predicate is TRUE (not NULL), and the audience's purpose consented to."""
    if audience.purpose is not None:
        consent = facts.consents.get(audience.purpose)
        if consent is None or not consent.given:
            return False
    return audience.expression.of(_Profile(facts)) is True


def evaluate(expression: Expression, facts: Facts) -> Value:
    """The value of an expression over one profile's facts."""
    return expression.of(_Profile(facts))


def _scalar(value: object, wanted: ScalarType) -> Value:
    """A JSON value as SQL sees it: NULL unless it is of the type. A number in a text is a text."""
    if isinstance(value, str):
        return value if wanted in ("text", "any") else None
    if isinstance(value, bool):
        return value if wanted in ("boolean", "any") else None
    if wanted not in ("number", "any"):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and isfinite(value):
        return Decimal(repr(value))  # the shortest decimal that is this float: what was sent, up to 15 digits
    return None


def _is_like(text: str, pattern: str) -> bool:
    """Match the pieces between `%` from left to right, each at its first place: no pattern makes it backtrack."""
    (first, first_length), *others = _pieces(pattern)
    if not others:
        return len(text) == first_length and first.match(text) is not None
    if first.match(text) is None:
        return False
    position = first_length
    for piece, length in others[:-1]:
        found = piece.search(text, position)
        if found is None:
            return False
        position = found.start() + length
    last, last_length = others[-1]
    tail = len(text) - last_length
    return tail >= position and last.match(text, tail) is not None


@lru_cache(maxsize=1_000)
def _pieces(pattern: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    return tuple(
        (re.compile("".join("." if letter == "_" else re.escape(letter) for letter in piece), re.DOTALL), len(piece))
        for piece in pattern.split("%")
    )


def _lower(letter: str) -> str:
    return letter.lower()[0]  # İ is the one letter whose lower case is longer


def _upper(letter: str) -> str:
    upper = letter.upper()
    if len(upper) > 1:
        upper = letter.title()  # ᾳ: its simple upper case is its title case
    return upper if len(upper) == 1 else letter
