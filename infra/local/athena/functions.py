"""Athena's functions in DuckDB's terms: what is called alike, what has another name, and what is written anew."""

import json
import re

import duckdb

from infra.local.athena.column_types import scientific_text

PARTS = {  # functions and EXTRACT fields of a date or time
    "year": "year",
    "quarter": "quarter",
    "month": "month",
    "week": "week",
    "week_of_year": "week",
    "day": "day",
    "day_of_month": "day",
    "day_of_week": "isodow",
    "dow": "isodow",
    "day_of_year": "dayofyear",
    "doy": "dayofyear",
    "year_of_week": "isoyear",
    "yow": "isoyear",
    "hour": "hour",
    "minute": "minute",
    "second": "second",
    "millisecond": "athena_millisecond",
    "last_day_of_month": "last_day",
}
AGGREGATES = {  # also every function that takes OVER
    **{name: name for name in ("count", "min", "max", "bool_and", "bool_or", "corr", "covar_pop")},
    **{name: name for name in ("covar_samp", "stddev", "stddev_pop", "stddev_samp")},
    **{name: name for name in ("variance", "var_pop", "var_samp", "row_number", "rank", "dense_rank", "percent_rank")},
    **{name: name for name in ("cume_dist", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "sum")},
    "avg": "avg",
    "approx_distinct": "approx_count_distinct",
    "approx_percentile": "quantile_disc",
    "any_value": "any_value",
    "arbitrary": "any_value",
    "array_agg": "list",
    "count_if": "count_if",
    "every": "bool_and",
    "max_by": "arg_max_null",
    "min_by": "arg_min_null",
}
SAME = frozenset(
    re.findall(
        r"\w+",
        """abs acos asin atan atan2 cbrt ceil ceiling cos cosh degrees exp floor ln log log2 log10 pi pow power radians
        sin sinh sqrt tan tanh length lower upper starts_with lpad rpad translate chr concat_ws flatten map_keys
        map_values map_concat map_from_entries row now grouping random regexp_extract_all""",
    )
)
RENAMED = {
    "from_base64": "from_base64",
    "from_hex": "unhex",
    "from_utf8": "decode",
    "regexp_like": "regexp_matches",
    "regexp_split": "string_split_regex",
    "to_base64": "base64",
    "to_hex": "hex",
    "to_utf8": "encode",
    "try": "try",
}
# A macro that must fail casts a text to BOOLEAN: TRY catches that, and does not take DuckDB's own error().
MACROS = r"""
has_null(l) AS len(list_filter(l, lambda e: e IS NULL)) > 0;
ltrim(s) AS ltrim(s, E' \t\n\r\f');
rtrim(s) AS rtrim(s, E' \t\n\r\f');
trim(s) AS trim(s, E' \t\n\r\f');
replace(s, f) AS replace(s, f, ''), (s, f, t) AS replace(s, f, t);
substr(s, i) AS CASE WHEN i = 0 OR abs(i) > length(s) THEN '' ELSE substr(s, i) END,
    (s, i, n) AS CASE WHEN i = 0 OR abs(i) > length(s) OR n <= 0 THEN '' ELSE substr(s, i, n) END;
split(s, d) AS string_split(s, d);
split_part(s, d, n) AS CASE WHEN n <= len(string_split(s, d)) THEN split_part(s, d, n) END;
strpos(s, t) AS strpos(s, t);
regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END,
    (s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END;
regexp_replace(s, p) AS regexp_replace(s, p, '', 'g'),
    (s, p, r) AS regexp_replace(s, p, regexp_replace(r, '\$(\d)', '\\\1', 'g'), 'g');
regexp_count(s, p) AS len(regexp_extract_all(s, p));
md5(b) AS unhex(md5(b));
sha256(b) AS unhex(sha256(b));
url_extract_host(u) AS nullif(regexp_extract(u, '^[^:/?#]+://(?:[^/?#]*@)?([^/?#:]*)', 1), '');
url_extract_path(u) AS regexp_extract(u, '^(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)', 1);
url_extract_query(u) AS CASE WHEN regexp_matches(u, '^[^?#]*\?') THEN regexp_extract(u, '\?([^#]*)', 1) END;
url_extract_parameter(u, n) AS list_extract(list_transform(list_filter(
    string_split(regexp_extract(u, '^[^?#]*\?([^#]*)', 1), '&'), lambda q: q = n OR starts_with(q, n || '=')),
    lambda q: url_decode(substr(q, length(n) + 2))), 1);
millisecond(t) AS millisecond(t) % 1000;
zoned(i, z) AS {'athena_instant': i, 'athena_zone': z};
local(z) AS timezone(z.athena_zone, z.athena_instant);
from_iso8601_date(s) AS CAST(s AS DATE);
unscaled(x) AS CAST(replace(CAST(x AS VARCHAR), '.', '') AS HUGEINT);
quotient(n, d) AS CASE WHEN (n < 0) = (d < 0) THEN (abs(n) * 2 + abs(d)) // (abs(d) * 2)
    ELSE -((abs(n) * 2 + abs(d)) // (abs(d) * 2)) END;
fits(s, n) AS CASE WHEN length(s) <= n THEN s
    WHEN CAST(printf('INVALID_CAST_ARGUMENT: Value %s cannot be represented as varchar(%d)', s, n) AS BOOLEAN)
    THEN s END;
shaped(s, p) AS CASE WHEN regexp_full_match(s, p) THEN s ELSE s || chr(8203) END;
subscript(l, i) AS CASE WHEN i BETWEEN 1 AND len(l) THEN list_extract(l, i) WHEN l IS NULL OR i IS NULL THEN NULL
    WHEN CAST(printf('INVALID_FUNCTION_ARGUMENT: Array subscript must be between 1 and the array''s length: %d of %d',
    i, len(l)) AS BOOLEAN) THEN NULL END;
map_subscript(m, k) AS CASE WHEN list_contains(map_keys(m), k) THEN map_extract_value(m, k)
    WHEN m IS NULL OR k IS NULL THEN NULL
    WHEN CAST('INVALID_FUNCTION_ARGUMENT: Key not present in map: ' || CAST(k AS VARCHAR)
 AS BOOLEAN) THEN NULL END;
contains(l, x) AS CASE WHEN list_contains(l, x) THEN true WHEN athena_has_null(l) THEN NULL
    ELSE list_contains(l, x) END;
array_distinct(l) AS list_filter(l, lambda x, i: list_position(l, x) = i);
array_position(l, x) AS CASE WHEN l IS NOT NULL AND x IS NOT NULL THEN coalesce(list_position(l, x), 0) END;
array_max(l) AS CASE WHEN NOT athena_has_null(l) THEN list_max(l) END;
array_min(l) AS CASE WHEN NOT athena_has_null(l) THEN list_min(l) END;
array_sort(l) AS list_sort(l, 'ASC', 'NULLS LAST');
arrays_overlap(a, b) AS CASE WHEN list_has_any(a, b) THEN true
    WHEN athena_has_null(a) OR athena_has_null(b) THEN NULL ELSE list_has_any(a, b) END;
map() AS MAP {}, (k, v) AS map(k, v);
map_entries(m) AS list_transform(map_entries(m), lambda e: row(e.key, e.value));
map_agg(l) AS map_from_entries(list_filter(l, lambda e, i: struct_extract(e, 1) IS NOT NULL
    AND list_position(list_transform(l, lambda o: struct_extract(o, 1)), struct_extract(e, 1)) = i));
json_scalar(j, p) AS CASE WHEN try(json_type(j, p)) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string(j, p) END;
json_extract(j, p) AS try(json_extract(j, p));
json_array_length(j) AS CASE WHEN try(json_type(j)) = 'ARRAY' THEN CAST(json_array_length(j) AS BIGINT) END;
json_format(j) AS CAST(j AS VARCHAR);
json_text(j) AS CASE WHEN json_type(j) NOT IN ('OBJECT', 'ARRAY') THEN json_extract_string(j, '$')
    WHEN CAST('INVALID_CAST_ARGUMENT: Cannot cast ''' || j || ''' to varchar' AS BOOLEAN) THEN NULL END;
json_field(j, n) AS coalesce(json_extract(j, '$."' || n || '"'), list_extract(list_filter(
    map_entries(CAST(j AS MAP(VARCHAR, JSON))), lambda e: lower(e.key) = lower(n)), 1).value);
json_row(j, o, a) AS CASE json_type(j) WHEN 'OBJECT' THEN o WHEN 'ARRAY' THEN a WHEN 'NULL' THEN NULL
    ELSE CASE WHEN CAST('INVALID_CAST_ARGUMENT: Cannot cast ''' || j || ''' to row' AS BOOLEAN) THEN o END END;
"""
NAMES = frozenset(re.findall(r"(?m)^(\w+)\(", MACROS))
JODA = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "d": "%-d", "HH": "%H",
    "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "ss": "%S", "SSS": "%g", "E": "%a", "EEE": "%a", "EEEE": "%A",
    "a": "%p", "xxxx": "%G", "ww": "%V", "DDD": "%j",
}  # fmt: skip
MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I", "I": "%I", "i": "%M",
    "j": "%j", "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S", "s": "%S",
    "T": "%H:%M:%S", "v": "%V", "W": "%A", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip


def canonical_json(text: str) -> str:
    """Return JSON as json_parse keeps it: compact, keys in order."""
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: '{text}'") from error
    return json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def open_engine() -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB that knows the macros; each query takes a cursor of it."""
    engine = duckdb.connect(config={"threads": 2, "autoinstall_known_extensions": False})
    engine.execute("SET TimeZone = 'UTC'")
    # These evaluate constants early, and what is twice there once: outside the CASE or TRY that guards it.
    engine.execute("SET disabled_optimizers = 'expression_rewriter,common_subexpressions,in_clause'")
    for macro in MACROS.strip().removesuffix(";").split(";\n"):
        engine.execute(f"CREATE MACRO athena_{macro}")
    engine.create_function("athena_json_parse", canonical_json, ["VARCHAR"], "VARCHAR")
    engine.create_function("athena_double_text", scientific_text, ["DOUBLE"], "VARCHAR")
    return engine


def strftime_pattern(pattern: str, letters: dict[str, str]) -> str | None:
    """Return a MySQL (`MYSQL`) or Joda (`JODA`) pattern as strftime's, None where it holds something untranslatable."""
    if letters is MYSQL:
        parts = re.findall(r"%(.)|([^%]+)", pattern)
        return (
            None
            if any(code and code not in letters for code, _ in parts)
            else "".join(letters.get(c, t) for c, t in parts)
        )
    parts = re.findall(r"(([A-Za-z])\2*)|'((?:[^']|'')*)'|([^A-Za-z']+)", pattern)
    if any(run and run not in letters for run, *_ in parts):
        return None
    return "".join(letters.get(run) or (quoted.replace("''", "'") or other) for run, _, quoted, other in parts)
