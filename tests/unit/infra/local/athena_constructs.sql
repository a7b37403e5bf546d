-- Athena's dialect, construct by construct. Below each query: its rows, as Athena's and Trino's documentation give
-- them, cells between bars, NULL for no value; or after a bang how the reason of its failure begins.

SELECT 5 / 2, -7 / 2, 7 % 3;
-- | 2 | -3 | 1 |

SELECT 7.0 / 2, 1.0 / 3, 10.00 / 4, 1e0 / 4;
-- | 3.5 | 0.3 | 2.50 | 0.25 |

SELECT CAST(1 AS decimal(10,2)) / 3, DECIMAL '2.5' * DECIMAL '1.10', DECIMAL '1.5' + 1;
-- | 0.33 | 2.750 | 2.5 |

SELECT TRY(json_parse('nope')), json_extract_scalar(json_parse('{"a":1}'), '$.a');
-- | NULL | 1 |

SELECT 1e0, 1e7, 12345678.9e0, 0.0001e0, -2.5e0;
-- | 1.0 | 1.0E7 | 1.23456789E7 | 1.0E-4 | -2.5 |

SELECT 1e0 / 0, REAL '1.1';
-- | Infinity | 1.1 |

SELECT round(2.5e0), round(DECIMAL '1.255', 2), truncate(2.789e0);
-- | 3.0 | 1.260 | 2.0 |

SELECT abs(-3), mod(7, 3), power(2, 3), ceil(1.2e0), floor(-1.2e0);
-- | 3 | 1 | 8.0 | 2.0 | -2.0 |

SELECT greatest(1, 3, 2), least(1, 3);
-- | 3 | 1 |

SELECT greatest(1, NULL), least(2, NULL);
-- | NULL | NULL |

SELECT CAST('abcdef' AS varchar(3)), CAST(1.50 AS varchar), CAST(true AS varchar);
-- | abc | 1.50 | true |

SELECT CAST(100e0 AS varchar), CAST(1.5e0 AS varchar);
-- | 1.0E2 | 1.5E0 |

SELECT CAST(TIMESTAMP '2026-01-01 10:00:00' AS varchar), CAST(DATE '2026-01-02' AS varchar);
-- | 2026-01-01 10:00:00.000 | 2026-01-02 |

SELECT CAST(2.5e0 AS bigint), CAST(DECIMAL '2.5' AS integer), CAST('1.005' AS decimal(10,2));
-- | 3 | 3 | 1.01 |

SELECT TRY_CAST('x' AS integer), TRY_CAST('1.5' AS bigint), TRY_CAST('12' AS bigint);
-- | NULL | NULL | 12 |

SELECT TRY_CAST('2026-01-01T00:00:00' AS timestamp), CAST('2026-01-01' AS date);
-- | NULL | 2026-01-01 |

SELECT TRY(1 / 0), TRY(ARRAY[1][2]), TRY(CAST('x' AS bigint));
-- | NULL | NULL | NULL |

SELECT CAST(ARRAY['1', '2'] AS array(bigint)), CAST(ROW(1, 'x') AS ROW(a integer, b varchar)).b;
-- | [1, 2] | x |

SELECT typeof(1), typeof(now()), typeof(DECIMAL '1.25'), typeof(ARRAY['a']);
-- | integer | timestamp(3) with time zone | decimal(3,2) | array(varchar) |

SELECT 'a' || 'b', concat('a', NULL, 'b'), concat_ws(',', 'a', NULL, 'b');
-- | ab | NULL | a,b |

SELECT substr('hello', 2, 3), substr('hello', -3), substring('hello' FROM 2 FOR 2), substr('hello', 0);
-- | ell | llo | el |  |

SELECT split_part('a,b', ',', 2), split_part('a,b', ',', 3), split('a,b', ',');
-- | b | NULL | [a, b] |

SELECT strpos('abc', 'b'), position('c' IN 'abc'), length('é'), reverse('abc'), lpad('7', 3, '0');
-- | 2 | 3 | 1 | cba | 007 |

SELECT trim(BOTH 'x' FROM 'xax'), trim('  a '), upper('a'), replace('aXb', 'X'), translate('abc', 'ab', 'xy');
-- | a | a | A | ab | xyc |

SELECT regexp_like('1a 2b', '\d+b'), regexp_extract('1a 2b', '(\d+)([a-z])', 2), regexp_extract('a', '\d');
-- | true | a | NULL |

SELECT regexp_replace('1a 2b', '(\d+)([ab]) ', '3c$2 '), regexp_replace('aXbX', 'X'), regexp_count('1a 2b', '\d');
-- | 3ca 2b | ab | 2 |

SELECT url_extract_host('https://a.b:80/c/d?e=1%202#f'), url_extract_path('https://a.b:80/c/d?e=1');
-- | a.b | /c/d |

SELECT url_extract_parameter('https://a.b/c?d=1&e=1%202', 'e'), url_extract_query('https://a.b/c?d=1');
-- | 1 2 | d=1 |

SELECT to_hex(md5(to_utf8('a'))), to_base64(to_utf8('a')), X'4142';
-- | 0CC175B9C0F1B6A831C399E269772661 | YQ== | 41 42 |

SELECT 'ab' LIKE 'a%', 'a_b' LIKE 'a!_b' ESCAPE '!', 'x' IN ('x', 'y'), 'x' NOT IN ('x');
-- | true | true | true | false |

SELECT date_trunc('month', DATE '2026-02-03'), date_trunc('hour', TIMESTAMP '2026-02-03 10:20:30');
-- | 2026-02-01 | 2026-02-03 10:00:00.000 |

SELECT date_diff('day', TIMESTAMP '2026-01-01 23:00:00', TIMESTAMP '2026-01-02 01:00:00');
-- | 0 |

SELECT date_diff('day', DATE '2026-01-01', DATE '2026-02-01'), date_diff('month', DATE '2026-01-31', DATE
    '2026-02-27');
-- | 31 | 0 |

SELECT date_add('month', 1, DATE '2026-01-31'), date_add('hour', -1, TIMESTAMP '2026-01-01 00:00:00');
-- | 2026-02-28 | 2025-12-31 23:00:00.000 |

SELECT DATE '2026-01-31' + INTERVAL '1' MONTH, TIMESTAMP '2026-01-01 00:00:00' - INTERVAL '2' HOUR;
-- | 2026-02-28 | 2025-12-31 22:00:00.000 |

SELECT DATE '2026-03-01' - DATE '2026-02-01', INTERVAL '25' HOUR;
-- | 28 00:00:00.000 | 1 01:00:00.000 |

SELECT from_unixtime(1767225600), to_unixtime(TIMESTAMP '2026-01-01 00:00:00');
-- | 2026-01-01 00:00:00.000 UTC | 1.7672256E9 |

SELECT at_timezone(TIMESTAMP '2026-01-01 00:00:00 UTC', 'Europe/Berlin');
-- | 2026-01-01 01:00:00.000 Europe/Berlin |

SELECT date_trunc('day', from_unixtime(1767222000) AT TIME ZONE 'Europe/Berlin');
-- | 2026-01-01 00:00:00.000 Europe/Berlin |

SELECT hour(from_unixtime(1767222000) AT TIME ZONE 'Europe/Berlin'), CAST(from_unixtime(1767222000) AS date);
-- | 0 | 2025-12-31 |

SELECT date_format(TIMESTAMP '2026-01-05 13:04:05', '%Y/%m/%d %H:%i:%s %W'), date_parse('05.01.2026', '%d.%m.%Y');
-- | 2026/01/05 13:04:05 Monday | 2026-01-05 00:00:00.000 |

SELECT format_datetime(TIMESTAMP '2026-01-05 13:04:05', 'yyyy-MM-dd''T''HH:mm');
-- | 2026-01-05T13:04 |

SELECT from_iso8601_timestamp('2026-01-05T01:02:03Z'), last_day_of_month(DATE '2026-02-03');
-- | 2026-01-05 01:02:03.000 UTC | 2026-02-28 |

SELECT day_of_week(DATE '2026-01-04'), week(DATE '2026-01-01'), EXTRACT(year FROM DATE '2026-01-04'), quarter(DATE
    '2026-05-01');
-- | 7 | 1 | 2026 | 2 |

SELECT ARRAY[1, 2][2], element_at(ARRAY[1, 2], 5), element_at(ARRAY[1, 2], -1), cardinality(ARRAY[1, 2]);
-- | 2 | NULL | 2 | 2 |

SELECT MAP(ARRAY['k'], ARRAY[1])['k'], element_at(MAP(ARRAY['k'], ARRAY[1]), 'z'), cardinality(MAP(ARRAY['k'],
    ARRAY[1]));
-- | 1 | NULL | 1 |

SELECT map_keys(m), map_values(m), map_entries(m) FROM (VALUES MAP(ARRAY['k'], ARRAY[1])) AS t(m);
-- | [k] | [1] | [{field0=k, field1=1}] |

SELECT array_distinct(ARRAY[3, 1, 3]), array_sort(ARRAY[3, NULL, 1]), array_max(ARRAY[1, NULL]), contains(ARRAY[1,
    NULL], 2);
-- | [3, 1] | [1, 3, null] | NULL | NULL |

SELECT array_join(ARRAY[1, NULL, 3], '-'), array_join(ARRAY['a', NULL], ',', '?'), flatten(ARRAY[ARRAY[1], ARRAY[2]]);
-- | 1-3 | a,? | [1, 2] |

SELECT arrays_overlap(ARRAY[1, 2], ARRAY[2, 3]);
-- | true |

SELECT sequence(1, 5, 2), sequence(DATE '2026-01-01', DATE '2026-01-03', INTERVAL '1' DAY);
-- | [1, 3, 5] | [2026-01-01, 2026-01-02, 2026-01-03] |

SELECT ROW(1, 'x'), CAST(ROW(1, 'x') AS ROW(a integer, b varchar)), ARRAY[true, NULL];
-- | {field0=1, field1=x} | {a=1, b=x} | [true, null] |

SELECT json_extract_scalar('{"a":{"b":1}}', '$.a.b'), json_extract_scalar('{"a":{}}', '$.a'),
    json_extract_scalar('no json', '$.a');
-- | 1 | NULL | NULL |

SELECT json_extract('{"a":[1, {"b c":2}]}', '$.a'), json_extract('{"a":[1,{"b c":2}]}', '$.a[1]["b c"]');
-- | [1,{"b c":2}] | 2 |

SELECT json_array_length('[1,2]'), json_array_length('{}');
-- | 2 | NULL |

SELECT json_format(json_parse('{"b": 1, "a": [1, 2]}')), json_format(CAST(MAP(ARRAY['k'], ARRAY[1]) AS json)),
    CAST('a' AS json);
-- | {"a":[1,2],"b":1} | {"k":1} | "a" |

SELECT CAST(JSON '[1,23]' AS array(integer)), CAST(JSON '{"a":1}' AS map(varchar, bigint)), CAST(JSON '"x"' AS
    varchar), CAST(JSON 'null' AS varchar);
-- | [1, 23] | {a=1} | x | NULL |

SELECT CAST(JSON '{"V1":123,"v2":"abc"}' AS ROW(v1 bigint, v2 varchar, v3 boolean)), CAST(JSON '[123,"abc"]' AS
    ROW(v1 bigint, v2 varchar)).v2;
-- | {v1=123, v2=abc, v3=null} | abc |

SELECT json_extract_scalar(product, '$.id') FROM (VALUES '{"products":[{"id":"p1"},{"id":"p2"}]}') AS e(properties)
    CROSS JOIN UNNEST(CAST(json_extract(properties, '$.products') AS array(json))) AS t(product) ORDER BY 1;
-- | p1 |
-- | p2 |

SELECT product_id, quantity, price, quantity * price FROM (VALUES
    '[{"product_id":"p1","quantity":2,"price":"1.25"},{"product_id":"p2","quantity":1,"price":3.5}]') AS e(products)
    CROSS JOIN UNNEST(CAST(json_parse(products) AS array(row(product_id varchar, quantity bigint, price
    decimal(18,4))))) AS t(product_id, quantity, price) ORDER BY 1;
-- | p1 | 2 | 1.2500 | 2.5000 |
-- | p2 | 1 | 3.5000 | 3.5000 |

SELECT a, b FROM (VALUES 1) AS v(i) CROSS JOIN UNNEST(ARRAY[1, 2, 3], ARRAY['x', 'y']) AS t(a, b) ORDER BY a;
-- | 1 | x |
-- | 2 | y |
-- | 3 | NULL |

SELECT k, v, n FROM UNNEST(MAP(ARRAY['a', 'b'], ARRAY[1, 2])) WITH ORDINALITY AS t(k, v, n) ORDER BY n;
-- | a | 1 | 1 |
-- | b | 2 | 2 |

SELECT i, x FROM (VALUES (1, ARRAY[5]), (2, ARRAY[])) AS v(i, a) LEFT JOIN UNNEST(a) AS t(x) ON true ORDER BY i;
-- | 1 | 5 |
-- | 2 | NULL |

SELECT i FROM (VALUES (1, ARRAY[5]), (2, NULL)) AS v(i, a) CROSS JOIN UNNEST(a) AS t(x);
-- | 1 |

SELECT (SELECT max(x) FROM UNNEST(a) AS t(x)) FROM (VALUES ARRAY[1, 5]) AS v(a);
-- | 5 |

SELECT sum(x), avg(x), count(*), count(DISTINCT x), count_if(x > 1) FROM (VALUES 1, 2, 2) AS t(x);
-- | 5 | 1.6666666666666667 | 3 | 2 | 2 |

SELECT sum(p), avg(p), sum(p) / count(*) FROM (VALUES DECIMAL '1.25', DECIMAL '2.00', DECIMAL '2.01') AS t(p);
-- | 5.26 | 1.75 | 1.75 |

SELECT avg(p) FILTER (WHERE p > 1), avg(p) FILTER (WHERE p > 9) FROM (VALUES DECIMAL '1.25', DECIMAL '0.25') AS t(p);
-- | 1.25 | NULL |

SELECT max_by(x, y), min_by(x, y), max_by(x, y, 2), arbitrary(x) FROM (VALUES ('a', 1), ('b', 3), ('c', 2)) AS t(x, y);
-- | b | a | [b, c] | a |

SELECT max_by(x, y) FROM (VALUES ('a', 1), (NULL, 2)) AS t(x, y);
-- | NULL |

SELECT array_agg(x ORDER BY x DESC), array_agg(x ORDER BY x) FILTER (WHERE x > 1) FROM (VALUES 1, 3, 2) AS t(x);
-- | [3, 2, 1] | [2, 3] |

SELECT approx_distinct(x), approx_percentile(x, 0.5), approx_percentile(x, ARRAY[0.2, 1.0]) FROM (VALUES 1, 2, 3, 4,
    5) AS t(x);
-- | 5 | 3 | [1, 5] |

SELECT bool_and(x > 0), bool_or(x > 2), every(x > 1), stddev(x), max(x, 2) FROM (VALUES 1, 2, 3) AS t(x);
-- | true | true | false | 1.0 | [3, 2] |

SELECT listagg(x, ',') WITHIN GROUP (ORDER BY x) FROM (VALUES 'b', 'a') AS t(x);
-- | a,b |

SELECT map_agg(k, v) FROM (VALUES ('a', 1)) AS t(k, v);
-- | {a=1} |

SELECT x, row_number() OVER (ORDER BY x DESC), sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    FROM (VALUES 1, 2, 3) AS t(x) ORDER BY x;
-- | 1 | 3 | 1 |
-- | 2 | 2 | 3 |
-- | 3 | 1 | 5 |

SELECT lag(x) OVER w, last_value(x) IGNORE NULLS OVER w FROM (VALUES (1, 1), (NULL, 2)) AS t(x, y) WINDOW w AS
    (ORDER BY y) ORDER BY y;
-- | NULL | 1 |
-- | 1 | 1 |

SELECT count(*) OVER (ORDER BY d RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND CURRENT ROW) FROM (VALUES DATE
    '2026-01-01', DATE '2026-01-02', DATE '2026-01-05') AS t(d) ORDER BY d;
-- | 1 |
-- | 2 |
-- | 1 |

SELECT a, sum(b), grouping(a) FROM (VALUES ('x', 1), ('y', 2)) AS t(a, b) GROUP BY GROUPING SETS ((a), ()) ORDER BY 1;
-- | x | 1 | 0 |
-- | y | 2 | 0 |
-- | NULL | 3 | 1 |

SELECT a, count(*) FROM (VALUES 'x', 'x', 'y') AS t(a) GROUP BY ROLLUP (a) HAVING count(*) > 1 ORDER BY 2;
-- | x | 2 |
-- | NULL | 3 |

WITH a AS (SELECT 1 AS x), b(y) AS (SELECT x + 1 FROM a) SELECT * FROM a CROSS JOIN b;
-- | 1 | 2 |

VALUES (1, 'a'), (2, 'b');
-- | 1 | a |
-- | 2 | b |

SELECT x FROM (VALUES 2, NULL, 1) AS t(x) ORDER BY x DESC;
-- | 2 |
-- | 1 |
-- | NULL |

SELECT x FROM (VALUES 1, 2, 3) AS t(x) ORDER BY x OFFSET 1 LIMIT 1;
-- | 2 |

SELECT x FROM (VALUES 1, 2) AS t(x) UNION SELECT 2 INTERSECT SELECT 2 ORDER BY 1;
-- | 1 |
-- | 2 |

SELECT * FROM (VALUES (1, 2)) AS a(x, k) LEFT JOIN (VALUES (2, 3)) AS b(k, y) USING (k);
-- | 2 | 1 | 3 |

SELECT x FROM (VALUES 1, 2) AS t(x) WHERE EXISTS (SELECT 1 FROM (VALUES 2) AS u(y) WHERE y = x);
-- | 2 |

SELECT if(true, 'a'), coalesce(NULL, 1), nullif(1, 1), CASE WHEN false THEN 1 END, 1 IS DISTINCT FROM NULL;
-- | a | 1 | NULL | NULL | true |

SELECT count(*) FROM (VALUES 1, 2) AS a(x) WHERE NOT EXISTS (SELECT 1 FROM (VALUES 1) AS b(y) WHERE a.x = 1);
-- | 1 |

SELECT TRY(CAST(json_parse('{') AS varchar)), TRY(CAST(JSON '{"a":1}' AS varchar));
-- | NULL | NULL |

SELECT x, sum(count(*)) OVER (), count(*) * 1e0 / sum(count(*)) OVER () FROM (VALUES 1, 1, 2, 2) AS t(x) GROUP BY x
    ORDER BY x;
-- | 1 | 4 | 0.5 |
-- | 2 | 4 | 0.5 |

SELECT ARRAY[1] || 2;
-- | [1, 2] |

SELECT x AS y, count(*) AS c FROM (VALUES 1, 1, 2) AS t(x) GROUP BY x ORDER BY c * -1, y;
-- | 1 | 2 |
-- | 2 | 1 |

SELECT x AS y FROM (VALUES 1) AS t(x) GROUP BY y;
-- ! COLUMN_NOT_FOUND: line 1:48: Column 'y' cannot be resolved

SELECT 1 / 0;
-- ! DIVISION_BY_ZERO: Division by zero

SELECT CAST('1.5' AS bigint);
-- ! INVALID_CAST_ARGUMENT: Cannot cast '1.5' to

SELECT MAP(ARRAY['a'], ARRAY[1])['z'];
-- ! INVALID_FUNCTION_ARGUMENT: Key not present in map: z

SELECT ARRAY[1, 2][3];
-- ! INVALID_FUNCTION_ARGUMENT: Array subscript

SELECT 1 + x FROM nowhere;
-- ! TABLE_NOT_FOUND: line 1:19: Table 'awsdatacatalog.shop.nowhere' does not exist

SELECT 1,
  y FROM (VALUES 1) AS t(x);
-- ! COLUMN_NOT_FOUND: line 2:3: Column 'y' cannot be resolved

SELECT x AS y FROM (VALUES 1) AS t(x) WHERE y = 1;
-- ! COLUMN_NOT_FOUND: line 1:45: Column 'y' cannot be resolved

SELECT x FROM (VALUES 1) AS t(x), (VALUES 1) AS u(x);
-- ! AMBIGUOUS_NAME: line 1:8: Column 'x' is ambiguous

SELECT FROM WHERE;
-- ! SYNTAX_ERROR: line 1:

SELECT x FROM (VALUES 1) AS t(x) QUALIFY row_number() OVER (ORDER BY x) = 1;
-- ! SYNTAX_ERROR: line 1:34: mismatched input 'QUALIFY'

SELECT 1 WHERE 'a' = 1;
-- ! TYPE_MISMATCH: line 1:16: Cannot apply operator: varchar = integer

SELECT 1 WHERE DATE '2026-01-01' > '2025-01-01';
-- ! TYPE_MISMATCH: line 1:36: Cannot apply operator: date > varchar

SELECT 'a' || 1;
-- ! TYPE_MISMATCH:

SELECT DATE '2026-01-01' + 1;
-- ! TYPE_MISMATCH:

SELECT CASE WHEN true THEN 1 ELSE 'a' END;
-- ! TYPE_MISMATCH:

SELECT CAST(JSON '{"a":1}' AS varchar);
-- ! INVALID_CAST_ARGUMENT: Cannot cast '{"a":1}' to varchar

SELECT x, count(*) FROM (VALUES 1) AS t(x);
-- ! EXPRESSION_NOT_AGGREGATE: line 1:1: 'x' must be an aggregate expression

SELECT list_sum(ARRAY[1]);
-- ! FUNCTION_NOT_FOUND: line 1:8: Function 'list_sum' not registered

SELECT approx_set(1);
-- ! FUNCTION_NOT_FOUND: line 1:8: Function 'approx_set' not registered

SELECT transform(ARRAY[1], x -> x + 1);
-- ! NOT_SUPPORTED: line 1:28: LAMBDA

WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t;
-- ! NOT_SUPPORTED: line 1:16: WITH RECURSIVE

SELECT * FROM (VALUES 1) AS t(x) TABLESAMPLE BERNOULLI (10);
-- ! NOT_SUPPORTED:

SELECT json_extract('{}', '$..a');
-- ! NOT_SUPPORTED: line 1:8: the JSON path $..a

SELECT json_parse('nope');
-- ! INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: 'nope'

SELECT date_format(now(), '%X');
-- ! NOT_SUPPORTED: line 1:8: the pattern '%X'

SELECT x FROM UNNEST(CAST(NULL AS array(row(a integer, b integer)))) AS t(x);
-- ! MISMATCHED_COLUMN_ALIASES:

INSERT INTO t SELECT 1;
-- ! NOT_SUPPORTED: line 1:1: INSERT

MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE;
-- ! NOT_SUPPORTED: line 1:1: MERGE
