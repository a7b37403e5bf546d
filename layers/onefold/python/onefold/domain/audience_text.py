"""Audiences, the text of a definition: its front matter, its places, and what a refusal says."""

import re
from typing import Final

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError, TokenError

from onefold.domain.errors import DefinitionInvalid

DIALECT: Final = "duckdb"
TEXT_LENGTH_MAX: Final = 10_000
PARENTHESES_MAX: Final = 50

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_PURPOSE: Final = re.compile(r"[\w.-]{1,100}")
_KEYS: Final = ("purpose", "description")
_FRONT_LINE: Final = re.compile(r"\s*--(\s*(\w+)\s*:(.*))")
_MISPLACED: Final = re.compile(r"\bpurpose\s*[:=]|^\s*purpose\b|^\s*description\s*:", re.IGNORECASE)
_CLOCK_WORDS: Final = frozenset(
    ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "interval"]
)
_CLOCK_FUNCTIONS: Final = frozenset(["now", "today", "getdate", "get_current_timestamp", "transaction_timestamp"])

_REMEDIES: Final[dict[type[exp.Expr], str]] = {
    exp.ILike: "ILIKE is not supported: write lower(…) LIKE 'pattern'",
    exp.Escape: "LIKE … ESCAPE is not supported: in a pattern only % and _ have a meaning",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM is not supported: write … = … OR (… IS NULL AND … IS NULL)",
    exp.NullSafeNEQ: "IS DISTINCT FROM is not supported: write NOT coalesce(… = …, FALSE)",
    exp.In: "IN takes a list of literals, such as IN ('a', 'b')",
    exp.Between: "BETWEEN SYMMETRIC is not supported: put the lower bound first",
    exp.Cast: "CAST is for literals of DATE and TIMESTAMP without zone only; a trait takes its type from its use",
    exp.TryCast: "TRY_CAST is not supported: a trait takes its type from its use, and is NULL where it is of another",
    exp.Exists: "EXISTS is not supported: write (SELECT count(*) FROM …) > 0",
    exp.Window: "Window functions need every event at once: compare count, min or max of the events instead",
}
_NOT_PART: Final = (
    "is not part of the language of audiences, which has AND OR NOT = <> < <= > >= BETWEEN IN LIKE IS + - * / CASE "
    "coalesce nullif lower upper"
)


class AudienceText:
    """A definition under compilation.

    Raises:
        DefinitionInvalid: The name or the size is not usable, or the text is not even words.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        if not _NAME.fullmatch(name):
            detail = "Name an audience with up to 100 lower-case letters, digits and underscores, a letter first"
            raise self.refusal("audience_name_invalid", detail, 0)
        if len(text) > TEXT_LENGTH_MAX:
            raise self.refusal("audience_too_large", f"A definition has at most {TEXT_LENGTH_MAX} characters", 0)
        self._tokens = self._tokenize()

    def front_matter(self) -> dict[str, str]:
        """The `-- key: value` lines before the predicate.

        Raises:
            DefinitionInvalid: A key is unknown, repeated, empty or out of place: a purpose must not be overlooked.
        """
        found: dict[str, str] = {}
        accepted: set[str] = set()
        offset = 0
        for line in self.text.splitlines(keepends=True):
            if line.strip() and not line.lstrip().startswith("--"):
                break
            if match := _FRONT_LINE.match(line):
                key, value = match[2].lower(), match[3].strip()
                self._check_front_line(key, value, found, offset + match.start(2))
                found[key] = value
                accepted.add(match[1].strip())
            offset += len(line)
        for token in self._tokens:
            if any(_MISPLACED.search(text) and text.strip() not in accepted for text in token.comments):
                detail = "Write `-- purpose: one_word` in a line of its own, before the predicate"
                raise self.refusal("front_matter_invalid", detail, token.start)
        return found

    def _check_front_line(self, key: str, value: str, found: dict[str, str], offset: int) -> None:
        fault = ""
        if key not in _KEYS:
            fault = f"Front matter knows {' and '.join(_KEYS)}; write any other comment without a colon"
        elif key in found:
            fault = f"{key} is stated twice: keep one line"
        elif key == "purpose" and not _PURPOSE.fullmatch(value):
            fault = "A purpose is one word, such as marketing"
        if fault:
            raise self.refusal("front_matter_invalid", fault, offset)

    def check_clock(self) -> None:
        """Refuse what depends on the time at which it is asked.

        Raises:
            DefinitionInvalid: Likewise.
        """
        for index, token in enumerate(self._tokens):
            if _reads_clock(self._tokens, index):
                detail = (
                    f"{token.text.upper()} lets time alone change who is a member, and nothing looks at a profile when "
                    "only time passes: compare with a fixed TIMESTAMP '…' instead"
                )
                raise self.refusal("audience_time_dependent", detail, token.start)

    def _tokenize(self) -> list[Token]:
        try:
            tokens = sqlglot.tokenize(self.text, dialect=DIALECT)
        except TokenError as error:
            raise self.refusal("audience_unreadable", "A quotation mark or comment is not closed", 0) from error
        if not tokens:
            raise self.refusal("audience_unreadable", "The definition holds no predicate", 0)
        if tokens[0].token_type in (TokenType.SELECT, TokenType.WITH):
            detail = "An audience is a predicate alone: leave out SELECT … WHERE"
            raise self.refusal("audience_unreadable", detail, tokens[0].start)
        depth = 0
        for token in tokens:
            depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
            if depth > PARENTHESES_MAX:
                raise self.refusal("audience_too_large", f"More than {PARENTHESES_MAX} nested parentheses", token.start)
        return tokens

    def refusal(self, reason: str, detail: str, at: exp.Expr | int) -> DefinitionInvalid:
        """Refuse, pointing at a node or at an offset in the text."""
        offset = at if isinstance(at, int) else _offset(at)
        line = self.text.count("\n", 0, offset) + 1
        column = offset - self.text.rfind("\n", 0, offset)
        return DefinitionInvalid(reason, detail, pointer=f"{self.name}:{line}:{column}")

    def unreadable(self, error: ParseError) -> DefinitionInvalid:
        fault = error.errors[0] if error.errors else {}
        lines = self.text.split("\n")
        line, end = int(fault.get("line") or 1), int(fault.get("col") or 1)
        column = max(end - len(fault.get("highlight") or "x"), 0)
        offset = sum(len(text) + 1 for text in lines[: line - 1]) + column
        detail = "This is no SQL predicate; look at and before this place for what is missing or too much"
        return self.refusal("audience_unreadable", detail, offset)

    def unsupported(self, node: exp.Expr) -> DefinitionInvalid:
        remedy = _REMEDIES.get(type(node))
        if remedy is None:
            word = node.name if isinstance(node, exp.Anonymous) else node.key
            remedy = f"{word.upper()} {_NOT_PART}"
        return self.refusal("audience_unsupported", remedy, node)

    def unknown_name(self, node: exp.Expr) -> DefinitionInvalid:
        detail = (
            "There is no such name. A predicate reads traits.<name> (or traits['any name'], one level deep), "
            "answers.nps, answers.csat, consents.<purpose>, and aggregates like (SELECT count(*) FROM orders)"
        )
        return self.refusal("audience_unknown_name", detail, node)

    def type_clash(self, left: str, right: str, node: exp.Expr) -> DefinitionInvalid:
        both = {left, right}
        if both == {"trait", "timestamp"}:
            detail = (
                "A trait holds no timestamp: compare a date in a trait as text, as in traits.birthday < '2000-01-31'"
            )
        elif both == {"text", "timestamp"}:
            detail = "A text is compared with a timestamp: write the instant as TIMESTAMP '2025-01-31 00:00:00'"
        elif "boolean" in both:
            [other] = both - {"boolean"}
            detail = f"A {other} stands where TRUE or FALSE is wanted: compare it with something"
        else:
            detail = (
                f"A {left} stands together with a {right}: compare like with like. A trait has one type in an "
                "audience, the one of what it is compared with"
            )
        return self.refusal("audience_type_clash", detail, node)


def _reads_clock(tokens: list[Token], index: int) -> bool:
    token = tokens[index]
    is_quoted = token.token_type in (TokenType.STRING, TokenType.IDENTIFIER)
    if is_quoted or (index and tokens[index - 1].token_type == TokenType.DOT):
        return False
    word = token.text.lower()
    is_called = index + 1 < len(tokens) and tokens[index + 1].token_type == TokenType.L_PAREN
    return word in _CLOCK_WORDS or (word in _CLOCK_FUNCTIONS and is_called)


def _offset(node: exp.Expr) -> int:
    """Where a node begins: at the first of its tokens that the parser has marked, or else where its parent does."""
    starts = [start for part in node.walk() if (start := part.meta.get("start")) is not None]
    if starts:
        return int(min(starts))
    return _offset(node.parent) if node.parent else 0
