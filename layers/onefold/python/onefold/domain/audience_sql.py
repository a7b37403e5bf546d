"""Audiences, the compiling side: from SQL text to an expression, or a refusal that names the place and the remedy."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, NamedTuple, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError

from onefold.domain import audience_measures as measures
from onefold.domain.audience import (
    And,
    Answer,
    Arithmetic,
    Audience,
    Case,
    ChangeCase,
    Coalesce,
    Compare,
    Consent,
    Constant,
    Expression,
    In,
    IsNull,
    Like,
    Not,
    NullIf,
    Number,
    Or,
    ScalarType,
    Trait,
)  # fmt: skip
from onefold.domain.audience_text import DIALECT, AudienceText

DEPTH_MAX: Final = 50
LITERALS_MAX: Final = 200
DIGITS_MAX: Final = 38
ANSWERS: Final = ("nps", "csat")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?")
_INSTANT_TYPES: Final = frozenset([exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.DATETIME])
_COMPARISONS: Final = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_ARITHMETIC: Final = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_PAIR: Final = frozenset(["this", "expression"])


def compile_audience(name: str, text: str) -> Audience:
    """Compile a definition: comment lines `-- purpose: …` and `-- description: …`, then one predicate.

    Raises:
        DefinitionInvalid: It cannot be read, or kept up to date by events alone. Its pointer is `name:line:column`.
    """
    definition = AudienceText(name, text)
    front_matter = definition.front_matter()
    definition.check_clock()
    root = _parse(definition)
    # The first reading finds out what traits are used as; the second one builds with that knowledge.
    first = _Reading(definition, {})
    first.predicate(root)
    expression = _Reading(definition, first.scalars()).predicate(root)
    return Audience(name, expression, front_matter.get("purpose"), front_matter.get("description", ""))


def _parse(definition: AudienceText) -> exp.Expr:
    try:
        root = sqlglot.parse_one(definition.text, dialect=DIALECT, into=exp.Condition)
    except ParseError as error:
        raise definition.unreadable(error) from error
    except RecursionError as error:
        raise definition.refusal("audience_too_large", "Nested too deeply: take it apart", 0) from error
    if isinstance(root, exp.Block):
        raise definition.refusal(
            "audience_unreadable", "An audience is one predicate: remove what follows the `;`", root
        )
    return root


@dataclass(slots=True, eq=False)
class _Kind:
    """The type of a term; that of a trait or a NULL is found out from what it is used with."""

    name: str = ""
    of_trait: bool = False
    same_as: "_Kind | None" = None

    def root(self) -> "_Kind":
        kind = self
        while kind.same_as is not None:
            kind = kind.same_as
        return kind


_BOOLEAN, _NUMBER, _TEXT, _TIMESTAMP = (_Kind(name) for name in ("boolean", "number", "text", "timestamp"))


class _Typed(NamedTuple):
    term: Expression
    kind: _Kind


class _Reading:
    """One walk over the syntax tree."""

    def __init__(self, definition: AudienceText, scalars: Mapping[str, ScalarType]) -> None:
        self._definition = definition
        self._scalars = scalars
        self._traits: dict[str, _Kind] = {}
        self._compared: list[tuple[_Kind, exp.Expr]] = []
        self._depth = 0

    def predicate(self, root: exp.Expr) -> Expression:
        expression = self._as(_BOOLEAN, root)
        for kind, node in self._compared:
            if not kind.root().name:
                raise self._refusal(
                    "audience_type_clash",
                    "Nothing tells what type these are: say so with lower(…) for text or … + 0 for a number",
                    node,
                )
        return expression

    def scalars(self) -> dict[str, ScalarType]:
        """What each trait is used as; `any` where nothing but its presence matters."""
        return {name: cast("ScalarType", kind.root().name or "any") for name, kind in self._traits.items()}

    def _refusal(self, reason: str, detail: str, node: exp.Expr) -> Exception:
        return self._definition.refusal(reason, detail, node)

    def _term(self, node: exp.Expr) -> _Typed:
        read, arguments = self._readers.get(type(node), (None, frozenset()))
        if read is None or any(value for name, value in node.args.items() if name not in arguments):
            raise self._definition.unsupported(node)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._refusal("audience_too_large", f"Nested more than {DEPTH_MAX} deep: take it apart", node)
        typed: _Typed = read(self, node)
        self._depth -= 1
        return typed

    def _as(self, kind: _Kind, node: exp.Expr) -> Expression:
        typed = self._term(node)
        self._unify(typed.kind, kind, node)
        return typed.term

    def _alike(self, nodes: Iterable[exp.Expr], place: exp.Expr) -> tuple[list[Expression], _Kind]:
        """Read terms that must be of one type."""
        terms, common = [], _Kind()
        for node in nodes:
            typed = self._term(node)
            common = self._unify(common, typed.kind, place)
            terms.append(typed.term)
        return terms, common

    def _unify(self, left: _Kind, right: _Kind, node: exp.Expr) -> _Kind:
        left, right = left.root(), right.root()
        if left is right:
            return left
        if left.name and right.name:
            if left.name != right.name:
                raise self._definition.type_clash(left.name, right.name, node)
            return left
        known, unknown = (left, right) if left.name else (right, left)
        if unknown.of_trait and known.name == "timestamp":
            raise self._definition.type_clash("trait", "timestamp", node)
        if not known.name:
            known.of_trait |= unknown.of_trait
        unknown.same_as = known
        return known

    def _parenthesis(self, node: exp.Expr) -> _Typed:
        return self._term(node.this)

    def _column(self, node: exp.Expr) -> _Typed:
        is_named = isinstance(node.this, exp.Identifier) and node.args.get("table") and not node.args.get("db")
        if not is_named:
            raise self._definition.unknown_name(node)
        return self._fact(node.args["table"].name, node.name, node)

    def _bracket(self, node: exp.Expr) -> _Typed:
        keys = node.expressions
        if not isinstance(node.this, exp.Column) or node.this.table or len(keys) != 1 or not keys[0].is_string:
            raise self._definition.unknown_name(node)
        return self._fact(node.this.name, keys[0].name, node)

    def _fact(self, register: str, name: str, node: exp.Expr) -> _Typed:
        if register.lower() == "traits":
            kind = self._traits.setdefault(name, _Kind(of_trait=True))
            return _Typed(Trait(name, self._scalars.get(name, "any")), kind)
        if register.lower() == "consents":
            return _Typed(Consent(name), _BOOLEAN)
        if register.lower() == "answers" and name in ANSWERS:
            return _Typed(Answer(name), _NUMBER)
        raise self._definition.unknown_name(node)

    def _literal(self, node: exp.Expr) -> _Typed:
        if node.is_string:
            return _Typed(Constant(node.name), _TEXT)
        number = Decimal(node.name)
        if len(number.as_tuple().digits) > DIGITS_MAX or abs(number.adjusted()) > DIGITS_MAX:
            raise self._refusal("audience_too_large", f"A number has at most {DIGITS_MAX} digits", node)
        return _Typed(_number(number), _NUMBER)

    def _truth(self, node: exp.Expr) -> _Typed:
        return _Typed(Constant(bool(node.this)), _BOOLEAN)

    def _null(self, _node: exp.Expr) -> _Typed:
        return _Typed(Constant(None), _Kind())

    def _instant(self, node: exp.Expr) -> _Typed:
        kind, literal = node.args["to"].this, node.this
        if kind not in _INSTANT_TYPES or not literal.is_string:
            raise self._definition.unsupported(node)
        text = literal.name.strip()
        try:
            form = _DATE if kind == exp.DType.DATE else _INSTANT
            instant = datetime.fromisoformat(text).replace(tzinfo=UTC) if form.fullmatch(text) else None
        except ValueError:
            instant = None
        if instant is None:
            detail = "Write DATE '2025-01-31' or TIMESTAMP '2025-01-31 23:59:59', in UTC and without a zone"
            raise self._refusal("audience_unreadable", detail, literal)
        return _Typed(Constant((instant - _EPOCH) // timedelta(microseconds=1)), _TIMESTAMP)

    def _negative(self, node: exp.Expr) -> _Typed:
        term = self._as(_NUMBER, node.this)
        if isinstance(term, Number) or (isinstance(term, Constant) and term.value is not None):
            return _Typed(_number(-Decimal(cast("Decimal", term.value))), _NUMBER)
        return _Typed(Arithmetic("-", Constant(0), term), _NUMBER)

    def _arithmetic(self, node: exp.Expr) -> _Typed:
        operator = cast("Any", _ARITHMETIC[cast("Any", type(node))])
        left, right = self._as(_NUMBER, node.this), self._as(_NUMBER, node.expression)
        return _Typed(Arithmetic(operator, left, right), _NUMBER)

    def _not(self, node: exp.Expr) -> _Typed:
        return _Typed(Not(self._as(_BOOLEAN, node.this)), _BOOLEAN)

    def _connection(self, node: exp.Expr) -> _Typed:
        terms = tuple(self._as(_BOOLEAN, operand) for operand in node.flatten(unnest=False))
        return _Typed(And(terms) if isinstance(node, exp.And) else Or(terms), _BOOLEAN)

    def _comparison(self, node: exp.Expr) -> _Typed:
        operator = cast("Any", _COMPARISONS[cast("Any", type(node))])
        if any(type(operand) in _COMPARISONS for operand in (node.this, node.expression)):
            detail = "Comparisons do not chain: join two of them with AND, or put one in parentheses"
            raise self._refusal("audience_unreadable", detail, node)
        (left, right), kind = self._alike((node.this, node.expression), node)
        self._compared.append((kind, node))
        return _Typed(Compare(operator, left, right), _BOOLEAN)

    def _between(self, node: exp.Expr) -> _Typed:
        (term, low, high), kind = self._alike((node.this, node.args["low"], node.args["high"]), node)
        self._compared.append((kind, node))
        return _Typed(And((Compare(">=", term, low), Compare("<=", term, high))), _BOOLEAN)

    def _in(self, node: exp.Expr) -> _Typed:
        if len(node.expressions) > LITERALS_MAX:
            raise self._refusal("audience_too_large", f"A list holds at most {LITERALS_MAX} literals", node)
        (term, *options), kind = self._alike((node.this, *node.expressions), node)
        values = [option.value for option in options if isinstance(option, Constant | Number)]
        if len(values) < len(options) or None in values:
            raise self._refusal("audience_unsupported", "A list holds literals only, and no NULL (use IS NULL)", node)
        if kind.root() is _BOOLEAN:
            return _Typed(Or(tuple(Compare("=", term, option) for option in options)), _BOOLEAN)
        texts = tuple(value for value in values if isinstance(value, str))
        numbers = tuple(Decimal(value) for value in values if isinstance(value, int | Decimal))
        return _Typed(In(term, texts, numbers), _BOOLEAN)

    def _is(self, node: exp.Expr) -> _Typed:
        wanted = node.expression
        if isinstance(wanted, exp.Null):
            return _Typed(IsNull(self._term(node.this).term), _BOOLEAN)
        if not isinstance(wanted, exp.Boolean):
            raise self._definition.unsupported(node)
        term = self._as(_BOOLEAN, node.this)
        return _Typed(Coalesce((term if wanted.this else Not(term), Constant(False))), _BOOLEAN)  # noqa: FBT003

    def _like(self, node: exp.Expr) -> _Typed:
        term = self._as(_TEXT, node.this)
        if not node.expression.is_string:
            raise self._refusal("audience_unsupported", "LIKE takes a literal pattern, such as LIKE 'a%'", node)
        like = Like(term, node.expression.name)
        return _Typed(Not(like) if node.args.get("negate") else like, _BOOLEAN)

    def _coalesce(self, node: exp.Expr) -> _Typed:
        terms, kind = self._alike((node.this, *node.expressions), node)
        return _Typed(Coalesce(tuple(terms)), kind)

    def _null_if(self, node: exp.Expr) -> _Typed:
        (term, unwanted), kind = self._alike((node.this, node.expression), node)
        self._compared.append((kind, node))
        return _Typed(NullIf(term, unwanted), kind)

    def _case(self, node: exp.Expr) -> _Typed:
        branches = node.args["ifs"]
        otherwise = node.args.get("default") or exp.Null()
        values, kind = self._alike((*(branch.args["true"] for branch in branches), otherwise), node)
        if node.this is None:
            conditions = [self._as(_BOOLEAN, branch.this) for branch in branches]
        else:
            (subject, *options), compared = self._alike((node.this, *(branch.this for branch in branches)), node)
            self._compared.append((compared, node))
            conditions = [Compare("=", subject, option) for option in options]
        return _Typed(Case(tuple(zip(conditions, values[:-1], strict=True)), values[-1]), kind)

    def _change_case(self, node: exp.Expr) -> _Typed:
        case: Any = "lower" if isinstance(node, exp.Lower) else "upper"
        return _Typed(ChangeCase(case, self._as(_TEXT, node.this)), _TEXT)

    def _measure(self, node: exp.Expr) -> _Typed:
        if isinstance(node.this, exp.Subquery):  # in parentheses twice
            return self._term(node.this)
        measure = measures.read_measure(self._definition, node)
        return _Typed(measure, _TIMESTAMP if measure.measure in ("min", "max") else _NUMBER)

    # How a node is read, and the arguments it may have: one that is not here would be overlooked, so it is refused.
    _readers: ClassVar[dict[type[exp.Expr], tuple[Callable[["_Reading", Any], _Typed], frozenset[str]]]] = {
        exp.Paren: (_parenthesis, frozenset(["this"])),
        exp.Column: (_column, frozenset(["this", "table", "db", "catalog"])),
        exp.Bracket: (_bracket, frozenset(["this", "expressions"])),
        exp.Literal: (_literal, frozenset(["this", "is_string"])),
        exp.Boolean: (_truth, frozenset(["this"])),
        exp.Null: (_null, frozenset()),
        exp.Cast: (_instant, frozenset(["this", "to"])),
        exp.Neg: (_negative, frozenset(["this"])),
        exp.Not: (_not, frozenset(["this"])),
        exp.And: (_connection, _PAIR),
        exp.Or: (_connection, _PAIR),
        exp.Between: (_between, frozenset(["this", "low", "high"])),
        exp.In: (_in, frozenset(["this", "expressions"])),
        exp.Is: (_is, _PAIR),
        exp.Like: (_like, _PAIR | {"negate"}),
        exp.Coalesce: (_coalesce, frozenset(["this", "expressions"])),
        exp.Nullif: (_null_if, _PAIR),
        exp.Case: (_case, frozenset(["this", "ifs", "default"])),
        exp.Lower: (_change_case, frozenset(["this"])),
        exp.Upper: (_change_case, frozenset(["this"])),
        exp.Subquery: (_measure, frozenset(["this"])),
        **dict.fromkeys(_COMPARISONS, (_comparison, _PAIR)),
        **dict.fromkeys(_ARITHMETIC, (_arithmetic, _PAIR)),
    }


def _number(number: Decimal) -> Expression:
    return Constant(int(number)) if number == number.to_integral_value() else Number(number)
