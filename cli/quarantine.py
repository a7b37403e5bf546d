"""The commands `quarantine ls`, `show` and `replay`."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cli.problems import ERRORS, UsageError

OUT: Final = Console(highlight=False)
MATCHES_MAX: Final = 10_000
app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

EnvironmentOption = Annotated[str, typer.Option("--env", metavar="local|dev|staging|prod", help="Which deployment.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
SourceOption = Annotated[str, typer.Option(help="Only of this source.")]
ReasonOption = Annotated[str, typer.Option(help="Only refused for this reason, such as event_name_missing.")]
MessageOption = Annotated[str, typer.Option("--message-id", help="Only of this message id.")]
SinceOption = Annotated[str, typer.Option(metavar="DAY", help="First day of arrival, 2026-11-12.")]
UntilOption = Annotated[str, typer.Option(metavar="DAY", help="Last day of arrival.")]
DaysOption = Annotated[int | None, typer.Option(min=1, max=180, help="How far back; 7 days if not given.")]


def _filters(*, source: str, reason: str, message_id: str, since: str, until: str, days: int | None) -> dict[str, Any]:
    return {
        "source": source,
        "reason": reason,
        "message_id": message_id,
        "since": since,
        "until": until,
        "days": days,
    }


@app.command("ls")
def list_quarantine(  # noqa: PLR0917 - options of a command line
    source: SourceOption = "",
    reason: ReasonOption = "",
    message_id: MessageOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    days: DaysOption = None,
    limit: Annotated[int, typer.Option(min=1, max=MATCHES_MAX)] = 50,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """List what was refused, each message once, the latest first."""
    from cli.deployment import find_deployment
    from cli.inspecting import list_entries, list_view

    filters = _filters(source=source, reason=reason, message_id=message_id, since=since, until=until, days=days)
    entries = list(list_entries(find_deployment(env), filters, limit))
    if as_json:
        print(json.dumps(entries))
    elif entries:
        OUT.print(list_view(OUT, entries))
    else:
        OUT.print("Nothing like that was refused; what was sent less than two minutes ago may not be listed yet.")


@app.command("show")
def show(
    entry_id: Annotated[str, typer.Argument(metavar="ENTRY", help="As `ls` lists it.")],
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Show one refused message with the bytes that were received."""
    from cli.deployment import find_deployment
    from cli.inspecting import ask, show_entry

    entry = ask(find_deployment(env), f"/v1/quarantine/{entry_id}", {})
    ERRORS.print("note: what follows is a person's data; do not paste it where others read it")
    if as_json:
        print(json.dumps(entry))
    else:
        show_entry(OUT, entry)


@app.command("replay")
def replay(  # noqa: PLR0917 - options of a command line
    entries: Annotated[list[str] | None, typer.Argument(metavar="[ENTRY]...", help="As `ls` lists them.")] = None,
    source: SourceOption = "",
    reason: ReasonOption = "",
    message_id: MessageOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    days: DaysOption = None,
    patch: Annotated[Path | None, typer.Option(help="A file with a JSON merge patch for each message.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Set one field, such as event='Shoe Sold'.")
    ] = None,
    message: Annotated[Path | None, typer.Option(help="A file with a whole message in place of one entry's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what was sent again before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    env: EnvironmentOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Repair refused messages, and send each again, once.

    Name entries, or choose them by source, reason, message id or days.
    """
    from cli.deployment import find_deployment
    from cli.inspecting import list_entries, read_repair, replay_entries, replay_view

    filters = _filters(source=source, reason=reason, message_id=message_id, since=since, until=until, days=days)
    repair = read_repair(patch, settings or [], message)
    if bool(entries) == any(filters.values()):
        raise UsageError("Name entries, or choose them with --source, --reason, --message-id, --since or --days")
    deployment = find_deployment(env)
    chosen = list(entries or [])
    if not chosen:
        found = list_entries(deployment, filters, MATCHES_MAX)
        chosen = [entry["entry_id"] for entry in found if force or "replayed_at" not in entry]
        if chosen and not yes and not as_json:
            typer.confirm(f"Send {len(chosen):,} messages again?", abort=True)
    replays = list(replay_entries(deployment, chosen, repair, force=force))
    if as_json:
        print(json.dumps(replays))
    elif replays:
        OUT.print(replay_view(OUT, replays))
    else:
        OUT.print("Nothing to send again.")
    raise typer.Exit(int(any(each["status"] in {"refused", "not_found", "unavailable"} for each in replays)))
