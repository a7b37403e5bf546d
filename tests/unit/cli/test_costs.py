"""Units are counted as AWS counts them; each expected number is worked out by hand from the services' rules."""

from decimal import Decimal

import pytest

from cli import costs


def test_a_write_counts_in_whole_kilobytes_of_names_and_values() -> None:
    item = {"fragment_key": {"S": "k" * 12}, "state": {"B": b"x" * 995}}  # 12 + 12 + 5 + 995 = 1024 bytes

    assert costs.item_bytes(item) == 1024
    assert costs.dynamodb_units("PutItem", {"Item": item}, {}) == {"dynamodb_write_units": 1}
    assert costs.dynamodb_units("PutItem", {"Item": {**item, "v": {"N": "1"}}}, {}) == {"dynamodb_write_units": 2}


def test_typed_and_plain_values_have_the_same_size() -> None:
    typed = {
        "a": {"S": "hé"},
        "n": {"N": "1234"},
        "l": {"L": [{"BOOL": True}, {"NULL": True}]},
        "m": {"M": {"x": {"B": b"1"}}},
    }
    plain = {"a": "hé", "n": 1234, "l": [True, None], "m": {"x": b"1"}}

    assert costs.item_bytes(typed) == costs.item_bytes(plain) == (1 + 3) + (1 + 3) + (1 + 3 + 4) + (1 + 3 + 3)


def test_a_transaction_costs_double_and_a_batch_adds_up() -> None:
    write = {"Put": {"Item": {"k": {"B": b"x" * 1500}}}}
    check = {"ConditionCheck": {"Key": {"k": {"S": "1"}}}}
    requests = [{"PutRequest": {"Item": {"k": {"B": b"x" * 100}}}}] * 3

    assert costs.dynamodb_units("TransactWriteItems", {"TransactItems": [write, check]}, {}) == {
        "dynamodb_write_units": 6
    }
    assert costs.dynamodb_units("BatchWriteItem", {"RequestItems": {"t": requests}}, {}) == {"dynamodb_write_units": 3}


@pytest.mark.parametrize(("state_bytes", "units"), [(988, 2), (989, 3)])
def test_a_batch_of_statements_costs_what_its_items_cost(state_bytes: int, units: int) -> None:
    key, state, version = {"S": "k" * 10}, {"B": b"x" * state_bytes}, {"N": "2"}  # 12 + 10 + 5 + n + 7 + 2 bytes
    insert = {
        "Statement": """INSERT INTO "t" VALUE {'fragment_key': ?, 'state': ?, 'version': ?}""",
        "Parameters": [key, {"B": b"x"}, version],
    }
    update = {
        "Statement": """UPDATE "t" SET "state" = ? SET "version" = ? WHERE "fragment_key" = ? AND "version" = ?""",
        "Parameters": [state, version, key, {"N": "1"}],
    }

    used = costs.dynamodb_units("BatchExecuteStatement", {"Statements": [insert, update]}, {})

    assert used == {"dynamodb_write_units": units}


@pytest.mark.parametrize(("consistent", "units"), [(False, 0.5 + 1.0 + 0.5), (True, 1 + 2 + 1)])
def test_reads_count_in_four_kilobytes_and_half_unless_consistent(consistent: bool, units: float) -> None:
    params = {"RequestItems": {"t": {"Keys": [{}, {}, {}], "ConsistentRead": consistent}}}
    response = {"Responses": {"t": [{"k": {"B": b"x" * 10}}, {"k": {"B": b"x" * 4096}}]}}  # and one that is not there

    assert costs.dynamodb_units("BatchGetItem", params, response) == {"dynamodb_read_units": units}


def test_a_query_is_rounded_once_for_the_page() -> None:
    response = {"Items": [{"k": {"B": b"x" * 1000}}] * 5}  # 5,005 bytes

    assert costs.dynamodb_units("Query", {}, response) == {"dynamodb_read_units": 1.0}


def test_a_stream_record_counts_in_whole_kilobytes() -> None:
    records = [{"Data": b"x" * 1020, "PartitionKey": "abcd"}, {"Data": b"x" * 1021, "PartitionKey": "abcd"}]

    assert costs.kinesis_bytes(records) == {"kinesis_gb_in": 3 * 1024 / 1e9}


def test_a_function_below_a_whole_processor_takes_longer_but_not_more() -> None:
    small, large = costs.FunctionRun(10, 1.769, 512), costs.FunctionRun(10, 1.769, 2048)

    assert costs.lambda_usage([small])["lambda_gb_s"] == pytest.approx(1.769 * 1.769 * 1000 / 1024)
    assert costs.lambda_usage([large])["lambda_gb_s"] == pytest.approx(1.769 * 2)
    assert costs.lambda_usage([small, large])["lambda_requests"] == 20


def test_the_meter_leaves_out_what_functions_did_not_ask() -> None:
    meter = costs.Meter()

    meter("stitch", "dynamodb", "PutItem", {"Item": {"k": {"S": "1"}}}, {})
    meter("stitch", "dynamodb", "PutItem", {"Item": {"k": {"S": "2"}}}, {})
    meter(None, "dynamodb", "PutItem", {"Item": {"k": {"S": "3"}}}, {})
    meter("collect", "s3", "PutObject", {}, {})
    meter("activate", "events", "PutEvents", {"Entries": [{"Detail": "x" * 65_537}]}, {})

    assert meter.usage() == {"dynamodb_write_units": 2, "s3_puts": 1, "eventbridge_events": 2}


def test_a_bill_multiplies_and_puts_the_dearest_line_first() -> None:
    prices = costs.load_prices()

    lines = costs.bill({"dynamodb_write_units": 2_000_000, "s3_puts": 1000}, prices)

    assert [line.usd for line in lines] == [Decimal("1.525"), Decimal("0.0054")]
    assert costs.total(lines) == Decimal("1.5304")


def test_every_counted_unit_has_a_price_with_its_page_and_date() -> None:
    prices = costs.load_prices()
    counted = {
        *costs.standing_usage(streams=1, queues=1, keys=1, secrets=1, alarms=1),
        *costs.stream_usage({}, consumers=2),
        *costs.lambda_usage([]),
    }

    assert counted <= set(prices.prices)
    assert prices.region == "eu-central-1"
    assert prices.as_of
    assert all(price.page and price.usd > 0 for price in prices.prices.values())
