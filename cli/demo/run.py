"""The course of the demonstration, and what it prints."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.apply import apply_declared, write_keys
from cli.costs import Meter
from cli.definitions import read_definitions
from cli.demo.day_sender import send_day
from cli.demo.findings import SALES_SQL, Check, Findings, compare, look_around
from cli.demo.monthly_cost import measure, show_monthly_cost
from cli.problems import CommandError
from cli.render import profile_panel, rows_table
from cli.simulator import Day, Truth, simulate
from cli.up import DEFINITIONS, Running, running
from cli.webhooks import Received, WebhookReceiver, secret_for
from onefold.domain.destination import Destination

DRAIN_TIMEOUT_S: Final = 120


def run_demo(console: Console, *, persons: int, seed: int) -> int:
    """Run it.

    Returns:
        The exit code: 0 where everything was found as planned, else 1.

    Raises:
        CommandError: Something did not start, was refused, or did not come to rest.
    """
    began = time.monotonic()
    day = simulate(seed, persons, (datetime.now(UTC) - timedelta(days=1)).date())
    starting = console.status("Synthesizing the stacks and deploying them on this machine")
    with starting, running(recorded=False) as instance, _receiver(instance) as receiver:
        starting.stop()
        meter = Meter()
        instance.runtime.on_call(meter)
        console.print(f"The stacks run on this machine after {time.monotonic() - began:.0f} s.")
        _send(console, instance, day)
        consumption = measure(instance.runtime, instance.deployment, meter, day.truth.events)
        with console.status("Asking the profile API and Athena"):
            findings = look_around(instance.deployment, day.truth, receiver.received)
        _show(console, findings, day.truth)
        show_monthly_cost(console, consumption)
        return _judge(console, [*compare(findings, day.truth), *_runtime_checks(instance)], began)


@contextmanager
def _receiver(instance: Running) -> Iterator[WebhookReceiver]:
    """Apply the example workspace, with its destination's address turned to a receiver that listens here."""
    declared, faults = read_definitions(DEFINITIONS)
    if faults:
        raise CommandError(f"{faults[0].place}: {faults[0].text}")
    destinations = [each.value for each in declared if isinstance(each.value, Destination)]
    if len(destinations) != 1:
        raise CommandError(f"{DEFINITIONS}/destinations must hold exactly one destination for the demonstration")
    receiver = WebhookReceiver(secret_for(instance.deployment, destinations[0]))
    try:
        turned = msgspec.structs.replace(destinations[0], url=receiver.url)
        apply_declared(
            instance.deployment,
            [replace(each, value=turned) if each.value is destinations[0] else each for each in declared],
        )
        yield receiver
    finally:
        receiver.close()


def _send(console: Console, instance: Running, day: Day) -> None:
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("A shop's day, through Segment's Python library and plain HTTP", total=len(day.calls))
        keys = write_keys(instance.deployment)
        send_day(day.calls, instance.instance.collector, keys, lambda: progress.advance(task))
        progress.update(task, description="Waiting until every event has arrived")
        if not instance.runtime.drain(DRAIN_TIMEOUT_S):
            raise CommandError(f"Events were still under way after {DRAIN_TIMEOUT_S} s: {dict(instance.runtime.lag())}")
    seconds = time.monotonic() - began
    count, by_library = len(day.calls), sum(call.transport == "sdk" for call in day.calls)
    console.print(f"{count:,} messages sent and worked through in {seconds:.1f} s, {count / seconds:,.0f} a second:")
    repeats = f"{day.truth.repeats} of them delivered twice by services that cannot do otherwise"
    console.print(f"{by_library:,} by the library, {count - by_library:,} as plain requests, {repeats}.")


def _show(console: Console, findings: Findings, truth: Truth) -> None:
    console.rule("[bold]What was collected")
    console.print(rows_table(findings.collected.columns, findings.collected.rows))
    console.rule("[bold]Devices became customers")
    kinds = Counter(expected.label for expected in truth.profiles)
    tablets = kinds.pop("tablet", 0)
    people = ", ".join(f"{count} {label}s" for label, count in kinds.items())
    console.print(f"{truth.devices} browsers, apps and tablets became {findings.live_heads} profiles: {people},")
    console.print(
        f"and {tablets} for what nobody in particular did on a family's tablet; that joins none of its persons."
    )
    console.rule("[bold]One of them, whole")
    chosen = _most_telling(findings)
    if chosen is not None:
        console.print(profile_panel(chosen))
    console.rule("[bold]What the webhook was told")
    console.print(_deliveries(findings.received))
    console.rule("[bold]Sales, from SQL over the history")
    console.print(escape(SALES_SQL), style="dim")
    console.print(rows_table(findings.sales.columns, findings.sales.rows))


def _most_telling(findings: Findings) -> dict[str, object] | None:
    """The profile in which most kinds of things happened."""
    found = [profile for profile in findings.profiles if profile is not None]
    return max(found, key=lambda p: (len(p["audiences"]), len(p["events"]), len(p["identifiers"])), default=None)


def _deliveries(received: Received) -> str:
    counts = Counter((each["type"], each["data"].get("audience", "")) for each in received.deliveries.values())
    lines = [f"{count:>5,}  {kind}  {audience}".rstrip() for (kind, audience), count in sorted(counts.items())]
    return "\n".join([*lines, f"Every signature was checked; {received.repeats} repeats were recognized by their id."])


def _runtime_checks(instance: Running) -> list[Check]:
    denied = {f"{function}: {action}" for function, action, _ in instance.runtime.denied}
    return [Check("no function asked for more than its role allows", denied, set())]


def _judge(console: Console, checks: Sequence[Check], began: float) -> int:
    console.rule("[bold]Held against the plan of the day")
    for check in checks:
        console.print(f"[green]✓[/] {check.text}" if check.holds else f"[red]✗[/] {check.text}")
        if not check.holds:
            console.print(f"    found   {check.found}\n    planned {check.planned}", markup=False)
    wrong = sum(not check.holds for check in checks)
    verdict = f"[red]{wrong} of {len(checks)} checks failed[/]" if wrong else f"[green]All {len(checks)} checks hold[/]"
    console.print(f"{verdict}, {time.monotonic() - began:.0f} s after the start.")
    return 1 if wrong else 0
