"""Random predicates in the language of audiences, written as SQL text with no more parentheses than it needs."""
# ruff: noqa: S608 - the texts put together are this suite's own

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from hypothesis import strategies as st

OR, AND, NOT, COMPARISON, SUM, PRODUCT, ATOM = range(1, 8)  # how tightly a text holds together


class Written(NamedTuple):
    """A predicate.

    Attributes:
        scalars: Trait → the type it is used as; `any` where only its presence is asked for.
        level: How tightly the text holds together.
        is_typed: Whether its type is known from itself: not that of a bare trait.
    """

    text: str
    scalars: dict[str, str]
    level: int = ATOM
    is_typed: bool = True

    def at(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


def _all(parts: Iterable[Written]) -> dict[str, str]:
    """The traits of several parts: one use that tells the type is enough."""
    merged: dict[str, str] = {}
    for part in parts:
        for name, scalar in part.scalars.items():
            if merged.get(name, "any") == "any":
                merged[name] = scalar
    return merged


def _trait(name: str, scalar: str) -> Written:
    text = f"traits.{name}" if name.isidentifier() else f"traits['{name}']"
    return Written(text, {name: scalar}, is_typed=False)


@st.composite
def _brief(draw: st.DrawFn, choice: Callable[[], st.SearchStrategy[Written]]) -> Written:
    """The same strategy, described in few words: a grammar printed whole is too long for a report."""
    return draw(choice())


def _one(written: Iterable[Written]) -> st.SearchStrategy[Written]:
    known = st.sampled_from(list(written))
    return _brief(lambda: known)


def _plain(*texts: str) -> st.SearchStrategy[Written]:
    return _one(Written(text, {}) for text in texts)


def _subqueries(measures: Iterable[str], table: str, conditions: Iterable[str]) -> st.SearchStrategy[Written]:
    return _plain(*(f"(SELECT {measure} FROM {table}{where})" for measure in measures for where in conditions))


EVENTS = (
    " WHERE name = 'Product Added'",
    " WHERE name = 'it''s 100% odd_'",
    " WHERE kind = 'track' AND name = 'Order Refunded'",
    " WHERE name = 'Nothing Such'",
    " WHERE kind = 'page'",
    " WHERE kind = 'identify'",
)
CURRENCIES = ("", " WHERE currency = 'GBP'", " WHERE currency = 'EUR'", " WHERE currency = ''")

number_literals = _plain("0", "1", "2", "3", "10", "2.5", "0.000001", "100", "99.99", "1e1", "-1", "-0.5")
number_leaves = st.one_of(
    number_literals,
    _one([_trait("age", "number"), _trait("score", "number")]),
    _plain("answers.nps", "answers.csat"),
    _subqueries(["count(*)"], "events", EVENTS),
    _subqueries(["count(*)", "sum(gross)", "sum(refunded)", "sum(net)", "sum(units)"], "orders", CURRENCIES),
)
text_literals = _plain("''", "'pro'", "'Pro'", "'12'", "'a'", "'Éς'", "'it''s'", "'true'", "'a -- b'")
text_leaves = st.one_of(text_literals, _one([_trait("plan", "text"), _trait("home town", "text")]))
instants = st.one_of(
    _subqueries(["min(at)", "max(at)"], "events", EVENTS),
    _plain("TIMESTAMP '2023-11-14 22:13:20.002'", "DATE '2023-11-14'", "'2023-11-15'::DATE"),
    _plain("CAST('2023-11-14T22:13:20' AS TIMESTAMP)"),
)


def _typed(part: Written, scalar: str) -> Written:
    """The same value, its type plain from the text."""
    if part.is_typed:
        return part
    if scalar == "number":
        return Written(f"{part.at(SUM)} + 0", part.scalars, SUM)
    return Written(f"coalesce({part.text}, NULL, 'x')", part.scalars)


def _arithmetic(operator: str, left: Written, right: Written) -> Written:
    level = PRODUCT if operator == "*" else SUM
    return Written(f"{left.at(level)} {operator} {right.at(level + 1)}", _all([left, right]), level)


def _call(function: str, parts: list[Written]) -> Written:
    return Written(
        f"{function}({', '.join(part.text for part in parts)})", _all(parts), is_typed=any(p.is_typed for p in parts)
    )


def _change_case(case: str, term: Written) -> Written:
    return Written(f"{case}({term.text})", term.scalars)


def _null_if(scalar: str, left: Written, right: Written) -> Written:
    return _call("nullif", [left, _typed(right, scalar)])


def _case(condition: Written, value: Written, other: Written | None) -> Written:
    parts = [condition, value, *([other] if other else [])]
    otherwise = f" ELSE {other.text}" if other else ""
    typed = value.is_typed or bool(other and other.is_typed)
    return Written(f"CASE WHEN {condition.text} THEN {value.text}{otherwise} END", _all(parts), is_typed=typed)


def _case_of(scalar: str, subject: Written, option: Written, value: Written) -> Written:
    subject = _typed(subject, scalar)
    text = f"CASE {subject.text} WHEN {option.text} THEN {value.text} ELSE NULL END"
    return Written(text, _all([subject, option, value]), is_typed=value.is_typed)


def _compare(scalar: str, operator: str, left: Written, right: Written) -> Written:
    left = _typed(left, scalar)
    return Written(f"{left.at(SUM)} {operator} {right.at(SUM)}", _all([left, right]), COMPARISON)


def _between(scalar: str, negation: str, term: Written, low: Written, high: Written) -> Written:
    low = _typed(low, scalar)
    text = f"{term.at(SUM)} {negation}BETWEEN {low.at(SUM)} AND {high.at(SUM)}"
    return Written(text, _all([term, low, high]), COMPARISON)


def _in(negation: str, term: Written, options: list[Written]) -> Written:
    return Written(f"{term.at(SUM)} {negation}IN ({', '.join(o.text for o in options)})", term.scalars, COMPARISON)


def _like(negation: str, term: Written, pattern: str) -> Written:
    return Written(f"{term.at(SUM)} {negation}LIKE '{pattern}'", term.scalars, COMPARISON)


def _presence(negation: str, term: Written) -> Written:
    scalars = term.scalars if term.is_typed else dict.fromkeys(term.scalars, "any")
    return Written(f"{term.at(SUM)} IS {negation}NULL", scalars, COMPARISON)


def _is_truth(truth: str, term: Written) -> Written:
    return Written(f"{term.at(COMPARISON + 1)} IS {truth}", term.scalars, COMPARISON)


def _not(term: Written) -> Written:
    return Written(f"NOT {term.at(NOT)}", term.scalars, NOT)


def _join(operator: str, terms: list[Written]) -> Written:
    level = AND if operator == "AND" else OR
    return Written(f" {operator} ".join(term.at(level) for term in terms), _all(terms), level)


# Comparing quotients: DuckDB divides in binary floating point, in which a power of two is exact.
quotients = st.builds(
    lambda left, divisor, operator, right: Written(
        f"{left.at(PRODUCT)} / {divisor} {operator} {right.text}", left.scalars, COMPARISON
    ),
    number_leaves,
    st.sampled_from(["2", "4", "8.0"]),
    st.sampled_from(["=", "<", ">="]),
    number_literals,
)

OPERATORS = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
NEGATIONS = st.sampled_from(["", "NOT "])
booleans = st.one_of(
    st.just(_trait("vip", "boolean")), _plain("consents.marketing", "consents.analytics", "TRUE", "FALSE")
)


def _values(scalar: str, leaves: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    """Leaves, and what can be made of them by one function."""
    return st.one_of(
        leaves,
        st.builds(_call, st.just("coalesce"), st.lists(leaves, min_size=2, max_size=3)),
        st.builds(partial(_null_if, scalar), leaves, leaves),
        st.builds(_case, booleans, leaves, st.none() | leaves),
        st.builds(partial(_case_of, scalar), leaves, leaves, leaves),
    )


sums = st.builds(_arithmetic, st.sampled_from("+-*"), number_leaves, number_leaves)
negatives = st.builds(lambda term: Written(f"-({term.text})", term.scalars), number_leaves)
_numbers = st.one_of(
    _values("number", number_leaves),
    st.builds(_arithmetic, st.sampled_from("+-"), _values("number", number_leaves), sums),
    st.builds(_arithmetic, st.sampled_from("+-"), sums, number_leaves),
    negatives,
)
_texts = st.one_of(
    _values("text", text_leaves),
    st.builds(_change_case, st.sampled_from(["lower", "upper"]), _values("text", text_leaves)),
)
numbers, texts = _brief(lambda: _numbers), _brief(lambda: _texts)
some_instants = st.one_of(instants, st.builds(_call, st.just("coalesce"), st.lists(instants, min_size=2, max_size=2)))

_conditions = st.one_of(
    booleans,
    quotients,
    st.builds(partial(_compare, "number"), OPERATORS, numbers, numbers),
    st.builds(partial(_compare, "text"), OPERATORS, texts, texts),
    st.builds(partial(_compare, "instant"), OPERATORS, some_instants, some_instants),
    st.builds(partial(_compare, "boolean"), OPERATORS, _plain("consents.marketing", "TRUE"), booleans),
    st.builds(partial(_between, "number"), NEGATIONS, numbers, numbers, numbers),
    st.builds(partial(_between, "text"), NEGATIONS, texts, text_literals, texts),
    st.builds(partial(_between, "instant"), NEGATIONS, instants, instants, instants),
    st.builds(_in, NEGATIONS, numbers, st.lists(number_literals, min_size=1, max_size=4)),
    st.builds(_in, NEGATIONS, texts, st.lists(text_literals, min_size=1, max_size=4)),
    st.builds(_in, NEGATIONS, st.just(_trait("vip", "boolean")), st.lists(_plain("TRUE", "FALSE"), min_size=1)),
    st.builds(_like, NEGATIONS, texts, st.sampled_from(["p%", "%o", "_ro", "%", "", "%a%", "%é_%", "_"])),
    st.builds(_presence, NEGATIONS, st.one_of(number_leaves, text_leaves, booleans, instants, sums)),
    st.builds(_presence, NEGATIONS, st.just(_trait("ref", "any"))),
    st.builds(lambda term: Written(f"{term.text} = NULL", term.scalars, COMPARISON), number_literals),
)
predicates = st.recursive(
    _brief(lambda: _conditions),
    lambda inner: st.one_of(
        st.builds(_not, inner),
        st.builds(_is_truth, st.sampled_from(["TRUE", "NOT TRUE", "FALSE", "NOT FALSE"]), inner),
        st.builds(_join, st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)),
        st.builds(_case, inner, inner, st.none() | inner),
    ),
    max_leaves=6,
)
