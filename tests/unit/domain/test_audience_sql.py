import pytest

from onefold.domain.audience import evaluate
from onefold.domain.audience_sql import DEPTH_MAX, LITERALS_MAX, compile_audience
from onefold.domain.audience_text import PARENTHESES_MAX, TEXT_LENGTH_MAX
from onefold.domain.errors import DefinitionInvalid
from onefold.domain.facts import NOTHING

CLOCK = "audience_time_dependent"
NOT_KEPT = "audience_not_incremental"
UNKNOWN = "audience_unknown_name"
UNSUPPORTED = "audience_unsupported"
CLASH = "audience_type_clash"
UNREADABLE = "audience_unreadable"
TOO_LARGE = "audience_too_large"
FRONT = "front_matter_invalid"
SEEN = "FROM events WHERE name = 'Seen'"

REFUSED = [
    # Time
    (f"(SELECT max(at) {SEEN}) > now()", CLOCK, "1:52", "fixed TIMESTAMP"),
    (f"(SELECT max(at) {SEEN})\n  < CURRENT_TIMESTAMP", CLOCK, "2:5", "fixed TIMESTAMP"),
    (f"(SELECT max(at) {SEEN}) > current_date", CLOCK, "1:52", "fixed TIMESTAMP"),
    (f"(SELECT max(at) {SEEN}) > today()", CLOCK, "1:52", "fixed TIMESTAMP"),
    (
        "(SELECT max(at) FROM events WHERE name = 'é') > TIMESTAMP '2025-01-31' - INTERVAL '1' DAY",
        CLOCK,
        "1:74",
        "fixed",
    ),
    # Aggregates
    ("(SELECT avg(net) FROM orders) > 1", NOT_KEPT, "1:9", "divide sum"),
    ("(SELECT stddev(net) FROM orders) > 1", NOT_KEPT, "1:9", "one of count(*)"),
    (f"(SELECT count(DISTINCT name) {SEEN}) > 1", NOT_KEPT, "1:9", "one of count(*)"),
    (f"(SELECT count(*) FILTER (WHERE TRUE) {SEEN}) > 1", NOT_KEPT, "1:9", "one of count(*)"),
    (f"(SELECT count(*) OVER () {SEEN}) > 1", NOT_KEPT, "1:9", "one of count(*)"),
    (f"(SELECT count(*), min(at) {SEEN}) > 1", NOT_KEPT, "1:23", "one of count(*)"),
    (f"(SELECT min(at, 2) {SEEN}) IS NULL", NOT_KEPT, "1:13", "one of count(*)"),
    (f"(SELECT sum(at) {SEEN}) > 1", NOT_KEPT, "1:9", "count(*), min(at) and max(at)"),
    (f"(SELECT max(name) {SEEN}) = 'x'", NOT_KEPT, "1:13", "count(*), min(at) and max(at)"),
    ("(SELECT max(at) FROM orders) IS NULL", NOT_KEPT, "1:13", "name = 'Order Completed'"),
    ("(SELECT min(at) FROM orders) IS NULL", NOT_KEPT, "1:13", "name = 'Order Completed'"),
    ("(SELECT sum(tax) FROM orders) > 1", UNKNOWN, "1:9", "gross, refunded, net, units"),
    # Where and from what they count
    ("(SELECT count(*) FROM events) > 1", NOT_KEPT, "1:9", "Say which events"),
    ("(SELECT count(*) FROM events WHERE kind = 'track') > 1", NOT_KEPT, "1:9", "Say which events"),
    ("(SELECT count(*) FROM events WHERE kind = 'click') > 1", UNKNOWN, "1:43", "track, identify, page"),
    ("(SELECT count(*) FROM events WHERE kind = 'page' AND name = 'Home') > 1", NOT_KEPT, "1:61", "leave out the name"),
    ("(SELECT count(*) FROM events WHERE name = 'A' OR name = 'B') > 1", NOT_KEPT, "1:36", "add up"),
    ("(SELECT count(*) FROM events WHERE name IN ('A', 'B')) > 1", NOT_KEPT, "1:36", "add up"),
    ("(SELECT count(*) FROM events WHERE name = 'A' AND name = 'B') > 1", NOT_KEPT, "1:51", "add up"),
    ("(SELECT count(*) FROM events WHERE name = lower('A')) > 1", NOT_KEPT, "1:36", "add up"),
    ("(SELECT count(*) FROM events WHERE source = 'web') > 1", NOT_KEPT, "1:36", "add up"),
    ("(SELECT count(*) FROM orders WHERE currency = 'gbp') > 1", UNKNOWN, "1:47", "three capital letters"),
    ("(SELECT count(*) FROM orders WHERE net > 5) > 1", NOT_KEPT, "1:36", "add up"),
    ("(SELECT count(*) FROM sessions) > 1", UNKNOWN, "1:23", "events and orders"),
    ("(SELECT count(*) FROM lake.orders) > 1", UNKNOWN, "1:23", "events and orders"),
    ("(SELECT count(*) FROM orders AS o) > 1", UNKNOWN, "1:23", "events and orders"),
    ("(SELECT count(*) FROM (SELECT 1)) > 1", UNKNOWN, "1:31", "events and orders"),
    ("(SELECT count(*) FROM orders JOIN events) > 1", NOT_KEPT, "1:35", "SELECT, FROM and WHERE only"),
    ("(SELECT count(*) FROM orders, events) > 1", NOT_KEPT, "1:31", "SELECT, FROM and WHERE only"),
    ("(SELECT sum(net) FROM orders GROUP BY currency) > 1", NOT_KEPT, "1:39", "no GROUP"),
    ("(SELECT sum(net) FROM orders LIMIT 1) > 1", NOT_KEPT, "1:36", "no LIMIT"),
    ("(WITH a AS (SELECT 1) SELECT count(*) FROM orders) > 1", NOT_KEPT, "1:7", "no WITH"),
    ("(SELECT 1 UNION SELECT 2) > 1", NOT_KEPT, "1:9", "(SELECT count(*) FROM orders)"),
    ("(SELECT 1) > 1", NOT_KEPT, "1:9", "(SELECT count(*) FROM orders)"),
    ("EXISTS (SELECT 1 FROM orders)", UNSUPPORTED, "1:16", "count(*)"),
    ("traits.x IN (SELECT name FROM events)", UNSUPPORTED, "1:1", "list of literals"),
    ("row_number() OVER () = 1", UNSUPPORTED, "1:1", "Window"),
    # Names
    ("TRUE AND age = 1", UNKNOWN, "1:10", "traits.<name>"),
    ("traits.address.city = 'x'", UNKNOWN, "1:1", "one level deep"),
    ("traits['address']['city'] = 'x'", UNKNOWN, "1:1", "one level deep"),
    ("traits[1] = 'x'", UNKNOWN, "1:1", "traits.<name>"),
    ("traits IS NULL", UNKNOWN, "1:1", "traits.<name>"),
    ("traits.* IS NULL", UNKNOWN, "1:1", "traits.<name>"),
    ("answers.ces > 1", UNKNOWN, "1:1", "answers.nps"),
    ("computed.ltv > 1", UNKNOWN, "1:1", "traits.<name>"),
    ('traits.plan = "pro"', UNKNOWN, "1:15", "traits.<name>"),
    # Types
    ("traits.x = 5 OR\n traits.x = 'five'", CLASH, "2:2", "one type in an audience"),
    ("answers.nps = '6'", CLASH, "1:1", "like with like"),
    ("consents.marketing = 1", CLASH, "1:1", "TRUE or FALSE"),
    ("answers.nps", CLASH, "1:1", "TRUE or FALSE"),
    ("traits.x = 1 AND (SELECT count(*) FROM orders)", CLASH, "1:26", "TRUE or FALSE"),
    ("traits.x < DATE '2025-01-31'", CLASH, "1:1", "as text"),
    ("coalesce(traits.x, NULL) < DATE '2025-01-31'", CLASH, "1:1", "as text"),
    (f"(SELECT max(at) {SEEN}) < '2025-01-31'", CLASH, "1:13", "TIMESTAMP '2025-01-31"),
    (f"(SELECT max(at) {SEEN}) - (SELECT min(at) {SEEN}) > 5", CLASH, "1:13", "like with like"),
    ("traits.x = traits.y", CLASH, "1:1", "lower(…)"),
    ("nullif(traits.x, NULL) IS NULL", CLASH, "1:1", "lower(…)"),
    ("lower(traits.x) > 5", CLASH, "1:1", "like with like"),
    ("traits.x IN (1, 'a')", CLASH, "1:1", "like with like"),
    # Operators and functions
    ("traits.x ILIKE 'a'", UNSUPPORTED, "1:1", "lower(…) LIKE"),
    ("traits.x LIKE 'a!%' ESCAPE '!'", UNSUPPORTED, "1:1", "ESCAPE"),
    ("traits.x LIKE lower('A')", UNSUPPORTED, "1:1", "literal pattern"),
    ("traits.x IS DISTINCT FROM 1", UNSUPPORTED, "1:1", "coalesce"),
    ("traits.x BETWEEN SYMMETRIC 2 AND 1", UNSUPPORTED, "1:1", "lower bound first"),
    ("traits.x IN (1, traits.y)", UNSUPPORTED, "1:1", "literals only"),
    ("traits.x IN (1, NULL)", UNSUPPORTED, "1:1", "IS NULL"),
    ("traits.x % 2 = 0", UNSUPPORTED, "1:1", "MOD is not part"),
    ("traits.x || 'a' = 'ba'", UNSUPPORTED, "1:1", "not part"),
    ("TRUE AND round(traits.x) = 2", UNSUPPORTED, "1:10", "ROUND is not part"),
    ("levenshtein_like(traits.x) = 2", UNSUPPORTED, "1:1", "LEVENSHTEIN_LIKE is not part"),
    ("traits.x ~ 'a+'", UNSUPPORTED, "1:1", "not part"),
    ("CAST(traits.x AS INT) = 1", UNSUPPORTED, "1:6", "its type from its use"),
    ("traits.x::TEXT = '1'", UNSUPPORTED, "1:1", "its type from its use"),
    ("TRY_CAST(traits.x AS INT) = 1", UNSUPPORTED, "1:10", "its type from its use"),
    (f"(SELECT max(at) {SEEN}) < TIMESTAMPTZ '2025-01-31'", UNSUPPORTED, "1:64", "without zone"),
    ("traits.x = ?", UNSUPPORTED, "1:1", "not part"),
    # Literals
    (f"(SELECT max(at) {SEEN}) < DATE '2025-02-30'", UNREADABLE, "1:57", "DATE '2025-01-31'"),
    (f"(SELECT max(at) {SEEN}) < DATE '2025-02-03 10:00'", UNREADABLE, "1:57", "DATE '2025-01-31'"),
    (f"(SELECT max(at) {SEEN}) < TIMESTAMP '2025-02-03 10:00Z'", UNREADABLE, "1:62", "in UTC"),
    (f"traits.x = {'9' * 39}", TOO_LARGE, "1:12", "38 digits"),
    ("traits.x = 1e99", TOO_LARGE, "1:12", "38 digits"),
    # The text as a whole
    ("traits.x = 1 traits.y = 2", UNREADABLE, "1:14", "no SQL predicate"),
    ("traits.x =\n  )", UNREADABLE, "2:3", "no SQL predicate"),
    ("traits.x = 'open", UNREADABLE, "1:1", "not closed"),
    ("", UNREADABLE, "1:1", "no predicate"),
    ("-- only words", UNREADABLE, "1:1", "no predicate"),
    ("traits.x = 1; traits.y = 2", UNREADABLE, "1:1", "follows the `;`"),
    ("SELECT * FROM profiles WHERE traits.x = 1", UNREADABLE, "1:1", "leave out SELECT"),
    ("1 < traits.x < 3", UNREADABLE, "1:1", "do not chain"),
    (
        "(" * (PARENTHESES_MAX + 1) + "TRUE" + ")" * (PARENTHESES_MAX + 1),
        TOO_LARGE,
        f"1:{PARENTHESES_MAX + 1}",
        "nested",
    ),
    ("NOT " * DEPTH_MAX + "TRUE", TOO_LARGE, "1:1", "deep"),
    ("NOT " * 2_000 + "TRUE", TOO_LARGE, "1:1", "deep"),
    (f"traits.x IN ({', '.join(['1'] * (LITERALS_MAX + 1))})", TOO_LARGE, "1:1", "at most"),
    (f"traits.x = '{'a' * TEXT_LENGTH_MAX}'", TOO_LARGE, "1:1", "characters"),
    # Front matter
    ("-- purpos: marketing\nTRUE", FRONT, "1:4", "purpose and description"),
    ("\n--   purpose: a\n-- purpose: b\nTRUE", FRONT, "3:4", "twice"),
    ("-- purpose:\nTRUE", FRONT, "1:4", "one word"),
    ("-- purpose: marketing and more\nTRUE", FRONT, "1:4", "one word"),
    ("-- purpose marketing\nTRUE", FRONT, "2:1", "line of its own"),
    ("-- audiences/x.sql   purpose: marketing\nTRUE", FRONT, "2:1", "line of its own"),
    ("/* purpose: marketing */ TRUE", FRONT, "1:26", "line of its own"),
    ("TRUE -- purpose: marketing", FRONT, "1:1", "line of its own"),
    ("TRUE\n-- Purpose: marketing\nAND TRUE", FRONT, "3:1", "line of its own"),
]


@pytest.mark.parametrize(("text", "reason", "place", "remedy"), REFUSED)
def test_what_cannot_be_kept_is_refused_with_its_place_and_a_remedy(
    text: str, reason: str, place: str, remedy: str
) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        compile_audience("tried", text)

    assert (refused.value.reason, refused.value.pointer) == (reason, f"tried:{place}")
    assert remedy in refused.value.detail


@pytest.mark.parametrize("name", ["", "Loyal", "loyal customers", "1st", "x" * 101, "a/b"])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        compile_audience(name, "TRUE")

    assert refused.value.reason == "audience_name_invalid"


@pytest.mark.parametrize(
    "text",
    [
        'traits.now IS NULL AND traits.interval IS NULL AND traits.current_date IS NULL AND traits."now" IS NULL',
        "'now()' = 'now()' AND TRUE;",
        "-- any comment\n\n-- another, https://onefold.example/a\nTRUE -- and one more",
        "TRAITS.x IS NULL AND (select COUNT(*) from ORDERS) = 0",
        "((SELECT count(*) FROM orders)) = 0",
        "(SELECT count(*) FROM events WHERE kind = 'track' AND name = 'A') = 0",
        "(SELECT count(*) FROM orders WHERE currency = '') = 0",
        "(SELECT max(\"at\") FROM events WHERE name = 'A') IS NULL",
        "CAST('2025-01-31T10:00' AS TIMESTAMP) > DATE '2025-01-31'",
        "TIMESTAMP '2025-01-31 10:00:00.000001' > '2025-01-31 10:00'::TIMESTAMP",
        "+1 = .5 * 2 AND 1e2 = 100.0 AND 1_000 = 1000 AND - -1 = 1",
        "traits.a = traits.b OR traits.b = traits.c OR traits.c = 1 OR TRUE",
        "(1 < 2) = (2 < 3)",
        "traits.x = '-- purpose: marketing' OR TRUE",
        "'Straße' LIKE 'S_ra_e' AND 'a\nb' LIKE 'a_b' AND upper('ᾳİ') = 'ᾼİ' AND lower('İÉ') = 'ié'",
        f"{' OR '.join(['FALSE'] * 1_000)} OR TRUE",
    ],
)
def test_what_only_looks_suspicious_is_accepted(text: str) -> None:
    assert evaluate(compile_audience("tried", text).expression, NOTHING) is True


def test_front_matter_is_read() -> None:
    audience = compile_audience("tried", "--Purpose:marketing\n\n-- description:  Who: all of them. \nTRUE")

    assert (audience.name, audience.purpose, audience.description) == ("tried", "marketing", "Who: all of them.")
    assert compile_audience("tried", "TRUE").purpose is None
