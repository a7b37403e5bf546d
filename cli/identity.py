"""The commands `onefold identity …`: see why identities are together, decide about them, try other rules."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

if TYPE_CHECKING:
    from onefold.domain.decision import Action
    from onefold.domain.decision_request import DecisionRequest

OUT: Final = Console(highlight=False, soft_wrap=True)
identity = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="See why identities are together, split and link them, try other rules.",
)

Identifier = Annotated[str, typer.Argument(metavar="TYPE:VALUE", help="Or key:TYPE:…, as decisions show it.")]
Env = Annotated[str, typer.Option("--env", metavar="local|dev|staging|prod", help="Which deployment.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit. No person's data: it is kept.")]
Id = Annotated[str, typer.Option("--id", help="Of the decision; the same id is carried out once. Made when left out.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would part and come together; write nothing.")]


@identity.command()
def explain(left: Identifier, right: Identifier, env: Env = "local", as_json: Json = False) -> None:
    """Say why two identifiers are together, or why they are not."""
    from cli.identity_desk import open_desk
    from cli.identity_view import explanation_view

    document = open_desk(env).explain(left, right)
    _show(document, explanation_view, as_json=as_json)


@identity.command()
def graph(
    identifier: Identifier,
    as_of: Annotated[str, typer.Option(metavar="2026-01-31T12:00Z", help="A moment in the past; now without it.")] = "",
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Show the identifiers of a profile and the links between them, today or as they were."""
    from cli.identity_desk import open_desk
    from cli.identity_view import graph_view

    _show(open_desk(env).graph(identifier, as_of), graph_view, as_json=as_json)


@identity.command()
def split(  # noqa: PLR0917 - options of a command line
    left: Identifier,
    right: Identifier,
    reason: Reason = "",
    decision_id: Id = "",
    dry_run: DryRun = False,
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Part two identifiers for good: each side becomes what it would be without the other."""
    _decide(_request("split", left, right, reason=reason), decision_id, env, dry_run=dry_run, as_json=as_json)


@identity.command()
def detach(  # noqa: PLR0917 - options of a command line
    identifier: Identifier,
    reason: Reason = "",
    decision_id: Id = "",
    dry_run: DryRun = False,
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Pull one identifier out of its profile."""
    _decide(_request("detach", identifier, reason=reason), decision_id, env, dry_run=dry_run, as_json=as_json)


@identity.command()
def retract(  # noqa: PLR0917 - options of a command line
    identifier: Identifier,
    message: Annotated[list[str], typer.Option(metavar="SOURCE/MESSAGE_ID", help="Several may be named.")],
    reason: Reason = "",
    decision_id: Id = "",
    dry_run: DryRun = False,
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Take back what some messages said of the profile of an identifier."""
    asked = _request("retract", identifier, reason=reason, messages=message)
    _decide(asked, decision_id, env, dry_run=dry_run, as_json=as_json)


@identity.command()
def allow(  # noqa: PLR0917 - options of a command line
    left: Identifier,
    right: Identifier,
    reason: Reason = "",
    decision_id: Id = "",
    dry_run: DryRun = False,
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Let new evidence join two identifiers that were parted."""
    _decide(_request("allow", left, right, reason=reason), decision_id, env, dry_run=dry_run, as_json=as_json)


@identity.command()
def link(  # noqa: PLR0917 - options of a command line
    left: Annotated[str, typer.Argument(metavar="TYPE:VALUE")] = "",
    right: Annotated[str, typer.Argument(metavar="TYPE:VALUE")] = "",
    probability: Annotated[
        float | None, typer.Option(min=0, max=1, help="Evidence of this probability, within limits; else a decision.")
    ] = None,
    reason: Reason = "",
    decision_id: Id = "",
    file: Annotated[
        Path | None, typer.Option(help="Many: .csv or .jsonl with left, right, probability, reason and id.")
    ] = None,
    dry_run: DryRun = False,
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Join two identifiers, by decision or on probabilistic evidence; or many pairs from a file."""
    from cli.identity_desk import check_pair, link_request, open_desk, read_links
    from cli.identity_view import outcomes_view

    check_pair(left, right, file, has_own_options=probability is not None or bool(decision_id))
    if file is None:
        asked = link_request(left, right, probability, reason)
        _decide(asked, decision_id, env, dry_run=dry_run, as_json=as_json)
        return
    outcomes = open_desk(env).link_all(read_links(file, reason), dry_run=dry_run)
    _show(outcomes, outcomes_view, as_json=as_json)
    raise typer.Exit(int(bool(outcomes["refused"])))


@identity.command()
def decisions(
    decision_id: Annotated[str, typer.Argument(metavar="[ID]", help="One decision; the newest without it.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    after: Annotated[str, typer.Option("--next", help="What the page before named.")] = "",
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Show what was decided, by whom and why, newest first."""
    from cli.identity_desk import open_desk
    from cli.identity_view import decision_view, decisions_view

    desk = open_desk(env)
    if decision_id:
        _show(desk.decision(decision_id), decision_view, as_json=as_json)
    else:
        _show(desk.decisions(limit, after), decisions_view, as_json=as_json)


@identity.command()
def preview(  # noqa: PLR0917 - options of a command line
    rules: Annotated[Path, typer.Argument(help="Such as definitions/identity.yaml, changed and not yet applied.")],
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Of events in the lake, by arrival.")] = 30,
    sightings: Annotated[
        int, typer.Option(min=1, max=2_000_000, help="Distinct sets of identifiers at most.")
    ] = 200_000,
    show_values: Annotated[bool, typer.Option("--show-values", help="Name identifiers by value, not by key.")] = False,
    env: Env = "local",
    as_json: Json = False,
) -> None:
    """Tell what other rules would merge and split, before they are applied."""
    from cli.definitions import read_identity
    from cli.identity_desk import open_desk
    from cli.identity_view import preview_view
    from onefold.domain.identity_rules import build_rules

    tried = build_rules(read_identity(rules))
    document = open_desk(env).preview(tried, days, sightings, show_values=show_values)
    _show(document, preview_view, as_json=as_json)


def _request(
    action: "Action", left: str, right: str = "", *, reason: str = "", messages: Sequence[str] = ()
) -> "DecisionRequest":
    from cli.identity_desk import message_names
    from onefold.domain.decision_request import DecisionRequest

    return DecisionRequest(action, left, right, message_names(messages), reason)


def _decide(request: "DecisionRequest", decision_id: str, env: str, *, dry_run: bool, as_json: bool) -> None:
    from cli.identity_desk import open_desk
    from cli.identity_view import decision_view

    document = open_desk(env).decide(request, decision_id, dry_run=dry_run)
    _show(document, decision_view, as_json=as_json)


def _show(document: Any, view: Any, *, as_json: bool) -> None:  # noqa: ANN401 - each document its own view
    if as_json:
        print(json.dumps(document))
    else:
        OUT.print(view(document))
