"""What an event costs: requests and units for a simulated shop's day, and the dollars per million that follow.

Counted by cli/costs.py, as the services round; prices and their date are in cli/prices.json. The traffic is the demo's:
mostly single events of browsers, which is what costs most; batches of a server cost less.

Run: python benchmarks/river_cost.py [PERSONS] [SEED]
"""

import sys
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

from cli.apply import write_keys
from cli.costs import Meter, bill, load_prices, total
from cli.demo.day_sender import send_day
from cli.demo.monthly_cost import Consumption, measure
from cli.simulator import simulate
from cli.up import apply_if_none, running

UNITS = ("dynamodb_write_units", "dynamodb_read_units")


def main() -> None:
    persons, seed = (int(text) for text in (sys.argv[1:] + ["200", "1"][len(sys.argv) - 1 :]))
    day = simulate(seed, persons, date(2026, 3, 2))
    meter, requests = Meter(), Counter[tuple[str, str]]()

    def count(function: str | None, service: str, operation: str, _params: Any, _response: Any) -> None:  # noqa: ANN401
        if function:
            requests[function, f"{service} {operation}"] += 1

    with running(recorded=False) as run:
        apply_if_none(run.deployment)
        run.runtime.on_call(meter)
        run.runtime.on_call(count)
        send_day(day.calls, run.instance.collector, write_keys(run.deployment), lambda: None)
        run.runtime.drain(120)
        consumption = measure(run.runtime, run.deployment, meter, day.truth.events)
        verbs = {name: verb for verb, name in run.deployment.description.functions.items()}
        invocations = {verbs[name]: each.invocations for name, each in run.runtime.statistics.items()}
    print(f"{consumption.events} events of {persons} persons, seed {seed}\n")
    _print_functions(consumption, meter, requests, verbs, invocations)
    _print_dollars(consumption)


def _print_functions(
    consumption: Consumption,
    meter: Meter,
    requests: Counter[tuple[str, str]],
    verbs: dict[str, str],
    invocations: dict[str, int],
) -> None:
    events = consumption.events
    print(f"{'per 1,000 events':34} {'requests':>9} {'write units':>12} {'read units':>11}")
    for name, verb in verbs.items():
        used = meter.by_function.get(name, Counter())
        writes, reads = (used.get(unit, 0) * 1000 / events for unit in UNITS)
        ran = f"{verb:10} {invocations.get(verb, 0) * 1000 / events:8.1f} invocations"
        print(f"{ran:44} {writes:12.1f} {reads:11.1f}")
        for (function, operation), count in sorted(requests.items()):
            if function == name:
                print(f"  {operation:32} {count * 1000 / events:9.1f}")
    writes, reads = (consumption.of_events.get(unit, 0) / events for unit in UNITS)
    stream = consumption.of_events["kinesis_gb_in"] * 1e9 / events
    print(f"\nan event: {writes:.2f} write units, {reads:.2f} read units, {stream:.0f} bytes billed on the stream\n")


def _print_dollars(consumption: Consumption) -> None:
    prices = load_prices()
    lines = bill(consumption.of_events, prices)
    millions = Decimal(consumption.events) / 1_000_000
    print(f"USD per million events ({prices.region}, list prices of {prices.as_of})")
    for line in lines:
        print(f"  {line.label:52} {line.usd / millions:8.3f}")
    print(f"  {'all of it':52} {total(lines) / millions:8.3f}")
    print(f"standing cost a month: {total(bill(consumption.standing, prices)):.2f} USD")


if __name__ == "__main__":
    main()
