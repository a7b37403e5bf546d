"""How a rebuild's counts and a reconciliation's report look in a terminal."""

from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from cli.render import counted, rows_table

PROFILES_SHOWN_MAX: Final = 20
PLACES_SHOWN_MAX: Final = 3
MEANINGS: Final = {
    "missing": "fragments that the table does not have",
    "facts": "fragments that counted something twice, or not at all",
    "outdated": "fragments that an older version of the fold made",
    "beyond_bounds": "fragments that differ in what depends on order, beyond a bound",
    "newer": "fragments that a newer version of onefold wrote; use that version",
    "lake_incomplete": "fragments with more events than were archived",
    "extra": "fragments of which nothing was archived",
    "unlisted": "fragments missing from their profile",
    "misplaced": "fragments in a profile that is not theirs",
    "disowned": "identifiers that do not lead to their profile",
    "contested": "identifiers that two profiles have",
    "stray": "identifiers that lead to no profile that has them",
    "unowned": "identifiers that were never linked",
    "left_out": "identifiers and fragments that a limit leaves out",
    "evidence": "links whose event was never archived",
    "clusters": "profiles that the archive's order of events would cut otherwise",
}
WAITING: Final = {
    "lake_behind": "the archive has not come as far as the table",
    "in_flight": "what came last may still be under way",
}


def show_rebuild(console: Console, document: dict[str, Any]) -> None:
    console.print(
        f"{counted(document['events'], 'event')} and {counted(document['repeats'], 'repeat')} of them became "
        f"{counted(document['fragments'], 'fragment')}, {counted(document['identifiers'], 'identifier')} and "
        f"{counted(document['profiles'], 'profile')} in {document['seconds']} s."
    )
    if document["decisions"] or document["decisions_passed_over"]:
        console.print(
            f"{counted(document['decisions'], 'decision')} carried out, "
            f"{document['decisions_passed_over']:,} passed over: the graph has nothing left that they fit."
        )


def show_report(console: Console, document: dict[str, Any]) -> None:
    compared = document["compared"]
    if compared:
        console.print(
            f"Compared {counted(compared.get('fragments', 0), 'fragment')} and "
            f"{counted(compared.get('heads', 0), 'profile')} in {document['seconds']} s."
        )
        if not document["drift"]:
            console.print("[green]✓[/] The tables are what the history makes.")
    for name, count in document["waiting"].items():
        console.print(f"{counted(count, 'comparison')} put off: {WAITING[name]}.", style="dim")
    if document["drift"]:
        rows = [(f"{each['count']:,}", each["outcome"], MEANINGS[each["kind"]]) for each in document["drift"]]
        console.print(rows_table(("count", "outcome", "what"), rows))
        for profile in document["profiles"][:PROFILES_SHOWN_MAX]:
            _show_profile(console, profile)
        rest = len(document["profiles"]) - PROFILES_SHOWN_MAX
        if rest > 0 or document["is_cut"]:
            console.print(f"and {max(0, rest):,} profiles more: take --json", style="dim")
        if any(each["outcome"] == "found" for each in document["drift"]):
            console.print("Run it with --repair to mend what was found.")
    evaluated = document["evaluated"]
    if evaluated:
        console.print(
            f"Evaluated {counted(evaluated.get('profiles', 0), 'profile')}: {evaluated.get('entered', 0):,} "
            f"memberships began, {evaluated.get('exited', 0):,} ended."
        )


def _show_profile(console: Console, profile: dict[str, Any]) -> None:
    drifts = profile["drifts"]
    kinds = ", ".join(sorted({each["kind"] for each in drifts}))
    fields = f"; changes {', '.join(profile['fields'])}" if profile["fields"] else ""
    console.print(escape(f"{profile['profile_id'] or 'no profile'}: {kinds}{fields}"))
    for each in drifts[:PLACES_SHOWN_MAX]:
        console.print(escape(f"  {each['place']}"), style="dim")
    if len(drifts) > PLACES_SHOWN_MAX:
        console.print(f"  and {len(drifts) - PLACES_SHOWN_MAX:,} more", style="dim")
