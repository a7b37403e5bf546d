"""The command line: `onefold up`, and what asks, feeds and repairs a deployment; `onefold --help` lists it."""

import csv
import json
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from typer.core import TyperCommand
from typer.exceptions import Abort, Exit, TyperException

from cli import iot, quarantine
from cli.identity import identity
from cli.problems import EXPECTED, CommandError, UsageError, report

INTERRUPTED: Final = 130
OUT: Final = Console(highlight=False)
app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.add_typer(identity, name="identity")
app.add_typer(iot.app, name="iot", help="Devices: publish as one does.")
app.add_typer(quarantine.app, name="quarantine", help="What was refused: list it, show it, send it again.")

EnvironmentOption = Annotated[str, typer.Option("--env", metavar="local|dev|staging|prod", help="Which deployment.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@app.callback(invoke_without_command=True)
def onefold(context: typer.Context) -> None:
    """An open customer data platform for your own AWS account."""
    if context.invoked_subcommand is None:
        OUT.print(context.get_help())


@app.command()
def up(
    port: Annotated[
        int, typer.Option(min=1024, max=65533, help="Of the collector; API and AWS take the next two.")
    ] = 8080,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps the data for the next run: saved at the end, and every 30 s while it changes; "
            "kill -9 loses what came since."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole system on this machine and stay until Ctrl-C, SIGTERM or a closed terminal."""
    from cli.deployment import Instance
    from cli.render import ready_text
    from cli.up import stay_up

    waiting = nullcontext() if as_json else OUT.status("Starting: synthesizing the stacks and deploying them here")

    def announce(instance: Instance, write_keys: Mapping[str, str]) -> None:
        addresses = {"collector": instance.collector, "api": instance.api, "aws_endpoint": instance.aws_endpoint}
        if as_json:
            document = {"ready": True, **addresses, "write_keys": write_keys, "token": instance.token}
            print(json.dumps(document), flush=True)
            return
        waiting.__exit__(None, None, None)
        ready_text(OUT, write_keys=write_keys, **addresses)

    with waiting:
        stay_up(port, state, announce)


@app.command()
def demo(
    persons: Annotated[int, typer.Option(min=20, max=5_000, help="Size of the simulated town.")] = 200,
    seed: Annotated[int, typer.Option(help="Another seed, another day.")] = 1,
) -> None:
    """Show a shop's day going through the whole system, and check the results."""
    from cli.demo import run_demo

    raise typer.Exit(run_demo(OUT, persons=persons, seed=seed))


@app.command()
def apply(
    folder: Annotated[Path, typer.Argument(help="With sources/, plans/, audiences/, destinations/ and mappings/.")],
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Check definitions, and write those that have changed."""
    from cli.apply import apply_declared, show_steps, steps_document
    from cli.definitions import read_definitions
    from cli.deployment import find_deployment

    declared, faults = read_definitions(folder)
    if faults:
        for fault in faults:
            report(CommandError(f"{fault.place}: {fault.text}"))
        raise CommandError(f"Nothing was applied: {len(faults)} of the definitions in {folder} cannot be used")
    steps = apply_declared(find_deployment(env), declared)
    if as_json:
        print(json.dumps(steps_document(steps)))
    else:
        show_steps(OUT, steps)


@app.command()
def send(  # noqa: PLR0917 - options of a command line
    file: Annotated[Path, typer.Argument(help="Messages as .jsonl, .csv or .parquet.")],
    source: Annotated[str, typer.Option(help="The declared source that they come from.")],
    mapping: Annotated[Path | None, typer.Option(help="How rows become messages: definitions/mappings/….yaml")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Go on after this many messages.")] = 0,
    connections: Annotated[int, typer.Option(min=1, max=64)] = 4,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Send a file of events through the collector; sending it again changes nothing."""
    from cli.definitions import read_mapping
    from cli.rows import check_file
    from cli.sending import send_file

    check_file(file)
    declared = read_mapping(mapping) if mapping else None
    raise typer.Exit(
        send_file(OUT, file, declared, source=source, skip=skip, connections=connections, env=env, as_json=as_json)
    )


@app.command("import")
def import_(  # noqa: PLR0917 - options of a command line
    file: Annotated[Path, typer.Argument(help="A .csv, .jsonl or .parquet of records; or `status` to see imports.")],
    name: Annotated[str, typer.Argument(help="With `status`: only MAPPING, or one MAPPING/FILE in full.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="How rows become events: definitions/mappings/….yaml")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what would happen; without a mapping propose one.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if this very content was imported before.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the import to its end.")] = True,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Import records that never were events: customers, orders, campaigns, tickets, segments, predictions."""
    from cli.import_command import run_import, show_status

    if str(file) == "status":
        raise typer.Exit(show_status(OUT, name, env=env, as_json=as_json))
    raise typer.Exit(run_import(OUT, file, mapping, preview=preview, force=force, wait=wait, env=env, as_json=as_json))


@app.command()
def profile(
    identifier: Annotated[str, typer.Argument(metavar="TYPE:VALUE", help="Such as user_id:u-000001.")],
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Show a whole profile."""
    from cli.deployment import find_deployment
    from cli.profile import fetch_profile
    from cli.render import profile_panel

    document = fetch_profile(find_deployment(env), identifier)
    if as_json:
        print(json.dumps(document))
    else:
        OUT.print(profile_panel(document))


@app.command("trace")
def trace_message(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID")],
    source: Annotated[str, typer.Option(help="Only of this source.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=180, help="How far back; 7 days if not given.")] = None,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a message: counted in which profile, a repeat, refused, and where it lies."""
    from cli.deployment import find_deployment
    from cli.inspecting import ask, trace_view

    document = ask(find_deployment(env), "/v1/trace", {"message_id": message_id, "source": source, "days": days})
    if as_json:
        print(json.dumps(document))
    else:
        OUT.print(trace_view(document), soft_wrap=True)
    raise typer.Exit(0 if document["found"] else 1)


@app.command()
def redrive(
    function: Annotated[str, typer.Option(metavar="stitch|archive", help="Only what this function gave up.")] = "",
    look_only: Annotated[bool, typer.Option("--list", help="Tell what there is, and do nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what was brought back before.")] = False,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Bring back the batches that the stream's consumers gave up."""
    from cli.deployment import find_deployment
    from cli.redrive import redrive_batches, redrive_view

    found = list(redrive_batches(find_deployment(env), function=function, look_only=look_only, force=force))
    if as_json:
        print(msgspec.json.encode(found).decode())
    elif found:
        OUT.print(redrive_view(OUT, found))
    else:
        OUT.print("Nothing was given up in the last ninety days.")


class SqlCommand(TyperCommand):
    """Takes SQL that begins with a comment, `-- …`, for what it is: no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - a class that typer keeps to itself
        from cli.query import is_sql_comment

        comments = [text for text in args if is_sql_comment(text)]
        if comments and "--" not in args:
            args = [*(text for text in args if text not in comments), "--", *comments]
        return super().parse_args(ctx, args)


@app.command(cls=SqlCommand)
def query(
    sql: Annotated[
        str, typer.Argument(help="For Athena; the tables are events, raw_events and quarantine. - reads the input.")
    ] = "",
    file: Annotated[Path | None, typer.Option(help="A file with the SQL instead.")] = None,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated output.")] = False,
) -> None:
    """Ask the history in SQL."""
    from cli.deployment import find_deployment
    from cli.query import query_text, rows_as_documents, run_query
    from cli.render import answer_view, counted

    text = query_text(sql, file)
    answer = run_query(find_deployment(env), text)
    if as_json:
        print(json.dumps(rows_as_documents(answer)))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerows([answer.columns, *answer.rows])
    else:
        OUT.print(answer_view(OUT, answer.columns, answer.rows))
        rows = counted(len(answer.rows), "row")
        OUT.print(f"{rows} in {answer.seconds:.1f} s, {answer.scanned_bytes:,} bytes scanned", style="dim")


@app.command()
def drift(  # noqa: PLR0917 - options of a command line
    source: Annotated[str, typer.Option(help="Only this source.")] = "",
    days: Annotated[int, typer.Option(min=1, max=180, help="How long each of the two periods is.")] = 7,
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The last day; today if not given.")] = "",
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if anything has drifted.")] = False,
) -> None:
    """Show what sources send that is new or other than before, or than the tracking plan says."""
    from cli.deployment import find_deployment
    from cli.drift import drift_documents, find_drift, last_day, show_drift

    found = find_drift(find_deployment(env), source=source, days=days, until=last_day(until))
    if as_json:
        print(json.dumps(drift_documents(found)))
    else:
        show_drift(OUT, found)
    raise typer.Exit(1 if check and found else 0)


@app.command()
def status(env: EnvironmentOption = "local", as_json: JsonOption = False) -> None:
    """Show what was counted in the last day, how far behind the streams are, and what failed."""
    from cli.deployment import find_deployment
    from cli.render import status_view
    from cli.status import read_status

    document = read_status(find_deployment(env)).document()
    if as_json:
        print(json.dumps(document))
    else:
        OUT.print(status_view(document))


@app.command()
def rebuild(
    out: Annotated[
        Path | None, typer.Option(help="Folder for fragments, heads and identities as Parquet; only counts without it.")
    ] = None,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Make every profile anew from the history alone, beside the live tables, which stay as they are."""
    from cli.rebuilding import rebuild_into
    from cli.rebuilding_view import show_rebuild

    document = rebuild_into(OUT, env, out, is_quiet=as_json)
    if as_json:
        print(json.dumps(document))
    else:
        show_rebuild(OUT, document)


@app.command()
def reconcile(  # noqa: PLR0917 - options of a command line
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended; without it, only look.")] = False,
    profile: Annotated[str, typer.Option(metavar="TYPE:VALUE", help="Only this profile.")] = "",
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Bring all memberships up to date; alone, the history is not read.")
    ] = False,
    grace: Annotated[
        int | None,
        typer.Option(min=0, help="Seconds that an event may be under way; by default 900 in AWS and none here."),
    ] = None,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Hold the live tables against the history, tell which profiles differ, and mend them.

    Ends with 1 where something is left that --repair can mend.
    """
    from cli.rebuilding import reconcile_tables
    from cli.rebuilding_view import show_report

    document, is_clean = reconcile_tables(
        OUT, env, profile, grace, repair=repair, memberships=evaluate, is_quiet=as_json
    )
    if as_json:
        print(json.dumps(document))
    else:
        show_report(OUT, document)
    raise typer.Exit(0 if is_clean else 1)


@app.command()
def secret(
    name: Annotated[str, typer.Argument(metavar="DESTINATION | set SOURCE", help="A destination; or the word set.")],
    source: Annotated[str, typer.Argument(metavar="", help="After set: the source whose webhooks are signed.")] = "",
    keep_hours: Annotated[
        int, typer.Option(min=0, max=168, help="How long the secret that is replaced stays good; 0 ends it at once.")
    ] = 24,
    env: EnvironmentOption = "local",
) -> None:
    """Print the secret of a destination; or set, from standard input, that of a source that takes webhooks."""
    from cli.deployment import find_deployment

    if name == "set" and source:
        from cli.receiving import read_secret, set_secret

        print(set_secret(find_deployment(env), source, read_secret(), keep_hours=keep_hours))
        return
    if source:
        raise UsageError(f'Write "secret {name}", or "secret set {source}"')
    from cli.webhooks import destination_secret

    print(destination_secret(find_deployment(env), name))


@app.command()
def listen(
    destination: Annotated[str, typer.Argument(help="The name of a destination with an address on this machine.")],
    env: EnvironmentOption = "local",
) -> None:
    """Receive a destination's deliveries here, check their signatures, and print them until Ctrl-C."""
    from cli.deployment import find_deployment
    from cli.webhooks import listen_and_print

    listen_and_print(OUT, find_deployment(env), destination)


def main() -> None:
    """Run the command; every error that a user can do something about is one line."""
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
    except TyperException as error:
        code = report(UsageError(f"{error.format_message()} See `onefold --help`."))
    except Exit as error:
        code = error.exit_code
    except (Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except EXPECTED as error:
        code = report(error)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed by now. What an interpreter does at its end on top makes DuckDB's binding list on stderr
    # whatever types of its own are still referred to.
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
