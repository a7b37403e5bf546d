"""The foreign opinion on audiences: DuckDB, given the plain events as tables and the predicate's own text."""
# ruff: noqa: S608 - the texts put together are this suite's own

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import duckdb
import msgspec

from onefold.domain.event import Event

PURPOSES = ("marketing", "analytics")
NEWEST = '"at" DESC, received_at DESC, source DESC, message_id DESC'
SCALARS = {
    "number": "CASE WHEN json_type(value) IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN (value->>'$')::DECIMAL(18, 6) END",
    "text": "CASE WHEN json_type(value) = 'VARCHAR' THEN value->>'$' END",
    "boolean": "CASE WHEN json_type(value) = 'BOOLEAN' THEN (value->>'$')::BOOLEAN END",
    "any": "CASE WHEN json_type(value) NOT IN ('NULL', 'OBJECT', 'ARRAY') THEN value->>'$' END",
}

TABLES = f"""
CREATE OR REPLACE TEMP TABLE observed AS
    SELECT 'trait' AS register, k.name AS key, json_extract(raw.traits, '$."' || k.name || '"') AS value, raw.*
    FROM raw, unnest(json_keys(raw.traits)) AS k(name) WHERE kind = 'identify'
    UNION ALL
    SELECT 'consent', k.name, json_extract(raw.consent, '$."' || k.name || '"'), raw.*
    FROM raw, unnest(json_keys(raw.consent)) AS k(name)
    UNION ALL
    SELECT 'answer', k.name, json_extract(raw.properties, '$.' || k.name), raw.*
    FROM raw, unnest(['nps', 'csat']) AS k(name) WHERE kind = 'track' AND raw.properties->>k.name IS NOT NULL;
CREATE OR REPLACE TEMP TABLE newest AS
    SELECT DISTINCT ON (register, key) register, key, value FROM observed ORDER BY register, key, {NEWEST};
CREATE OR REPLACE TEMP TABLE events AS
    SELECT kind, CASE WHEN kind = 'track' THEN name END AS name, make_timestamp("at" * 1000) AS "at" FROM raw;
CREATE OR REPLACE TEMP TABLE word AS
    SELECT *, properties->>'order_id' AS order_id, properties->>'refund_id' AS refund_id,
        (properties->>'total')::DECIMAL(18, 6) AS total, coalesce(properties->>'currency', '') AS currency,
        coalesce((properties->'products'->0->>'quantity')::INT, 0) AS units
    FROM raw WHERE kind = 'track' AND name LIKE 'Order %';
CREATE OR REPLACE TEMP TABLE placed AS
    SELECT DISTINCT ON (order_id) order_id, currency, total, coalesce(total, 0) AS gross, units FROM word
    WHERE name IN ('Order Completed', 'Order Updated') ORDER BY order_id, total IS NULL, {NEWEST};
CREATE OR REPLACE TEMP TABLE refund AS
    SELECT word.* EXCLUDE (currency), coalesce(nullif(word.currency, ''), placed.currency,
        max(word.currency) OVER (PARTITION BY order_id)) AS currency
    FROM word LEFT JOIN placed USING (order_id) WHERE name = 'Order Refunded';
CREATE OR REPLACE TEMP TABLE named AS
    SELECT DISTINCT ON (order_id, refund_id) * FROM refund
    WHERE refund_id IS NOT NULL ORDER BY order_id, refund_id, total IS NULL, {NEWEST};
CREATE OR REPLACE TEMP TABLE given_back AS
    WITH told AS (
        SELECT order_id, currency, 'all with an id' AS story, total, units FROM named
        UNION ALL
        SELECT order_id, currency, reporter.source, total, units FROM named
        JOIN (SELECT DISTINCT order_id, refund_id, source FROM refund) AS reporter USING (order_id, refund_id)
        UNION ALL
        SELECT order_id, currency, source, total, units FROM refund WHERE refund_id IS NULL
    ), story AS (
        SELECT order_id, currency, coalesce(sum(abs(total)), 0) AS total, sum(abs(units)) AS units,
            bool_or(total IS NULL) AS of_the_whole
        FROM told GROUP BY order_id, currency, story
    )
    SELECT order_id, currency, max(total) AS total, max(units) AS units, bool_or(of_the_whole) AS of_the_whole
    FROM story GROUP BY order_id, currency;
CREATE OR REPLACE TEMP TABLE all_orders AS
    WITH shares AS (
        SELECT order_id, TRUE AS is_placed, placed.currency, gross, placed.units, 0 AS refunded_units,
            CASE WHEN (SELECT bool_or(of_the_whole) FROM given_back AS any_of WHERE any_of.order_id = placed.order_id)
                THEN gross
                WHEN placed.total IS NULL THEN coalesce(given_back.total, 0)
                ELSE least(coalesce(given_back.total, 0), greatest(gross, 0)) END AS refunded
        FROM placed LEFT JOIN given_back USING (order_id, currency)
        UNION ALL
        SELECT order_id, FALSE, currency, 0, 0, units, total FROM given_back
        WHERE (order_id, currency) NOT IN (SELECT (order_id, currency) FROM placed)
    )
    SELECT * FROM shares WHERE order_id NOT IN (SELECT order_id FROM word WHERE name = 'Order Cancelled');
CREATE OR REPLACE TEMP TABLE orders AS
    SELECT currency, gross, refunded, gross - refunded AS net, units FROM all_orders
    WHERE is_placed OR refunded <> 0 OR refunded_units <> 0;
CREATE OR REPLACE TEMP TABLE placed_orders AS SELECT currency FROM all_orders WHERE is_placed;
"""


class Oracle:
    """One profile's events as tables."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": "1"})
        self._connection.execute("PRAGMA disable_optimizer")  # planning takes longer than running
        self._connection.execute(
            'CREATE TEMP TABLE raw (message_id TEXT, kind TEXT, name TEXT, source TEXT, "at" BIGINT, '
            "received_at BIGINT, traits JSON, properties JSON, consent JSON)"
        )

    def load(self, events: Iterable[Event]) -> None:
        self._connection.execute("DELETE FROM raw")
        rows = [
            (
                *msgspec.structs.astuple(event)[:4],
                *(event.at, event.received_at),
                *(event.traits.decode(), event.properties.decode(), json.dumps(event.consent)),
            )
            for event in events
        ]
        if rows:
            marks = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
            self._connection.execute(f"INSERT INTO raw VALUES {marks}", [value for row in rows for value in row])
        self._connection.execute(TABLES)

    def answer(self, predicate: str, scalars: Mapping[str, str], purpose: str | None = None) -> tuple[Any, Any]:
        """Ask for a predicate, and for the consent to a purpose: each TRUE, FALSE or NULL.

        Args:
            predicate: SQL text. `count(*)` of orders is asked of those placed; a refund of an order never seen has
                a share in the sums and is none.
            scalars: Trait → the type it is used as, which its column has.
            purpose: Where it is None, the consent is TRUE.
        """
        traits = {name: self._register("trait", name, scalar) for name, scalar in scalars.items()}
        consents = {name: self._register("consent", name, "boolean") for name in PURPOSES}
        answers = {name: self._register("answer", name, "number") for name in ("nps", "csat")}
        profile = f"SELECT {_struct(traits)} AS traits, {_struct(consents)} AS consents, {_struct(answers)} AS answers"
        text = predicate.replace("count(*) FROM orders", "count(*) FROM placed_orders")
        text = text.replace("(at)", '("at")')  # DuckDB alone has AT for a keyword
        consent = f"consents.{purpose}" if purpose else "TRUE"
        query = f"WITH profile AS ({profile}) SELECT ({text}), {consent} FROM profile"
        return cast("tuple[Any, Any]", self._connection.execute(query).fetchone())

    def change_case(self, case: str, texts: list[str]) -> list[Any]:
        rows = self._connection.execute(f"SELECT {case}(unnest(?::TEXT[]))", [texts]).fetchall()
        return [text for (text,) in rows]

    def _register(self, register: str, key: str, scalar: str) -> str:
        return f"(SELECT {SCALARS[scalar]} FROM newest WHERE register = '{register}' AND key = '{key}')"


def _struct(fields: dict[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': {value}" for name, value in fields.items()) + "}" if fields else "NULL"
