"""What `onefold import` does with its arguments."""

from pathlib import Path

import msgspec
from rich.console import Console

from cli.deployment import find_deployment
from cli.import_preview import preview_file
from cli.importing import (
    check_file,
    exit_code,
    import_file,
    load_summaries,
    show_summaries,
    show_summary,
    summary_document,
)
from cli.problems import CommandError, UsageError


def run_import(
    console: Console,
    file: Path,
    mapping: Path | None,
    *,
    preview: bool,
    force: bool,
    wait: bool,
    env: str,
    as_json: bool,
) -> int:
    """Preview a file, or import it; gives the exit code.

    Raises:
        UsageError: There is no such file, or no mapping to import it by.
        CommandError: It was not imported.
    """
    check_file(file)
    if preview:
        return preview_file(file, mapping)
    if mapping is None:
        raise UsageError(f"{file}: say with --mapping how rows become events; --preview proposes a mapping")
    known = import_file(console, find_deployment(env), file, mapping, force=force, wait=wait)
    if known is None:
        console.print(f"{file.name} is uploaded: onefold import status {mapping.stem}/{file.name}", markup=False)
        return 0
    if as_json:
        print(msgspec.json.encode(summary_document(known)).decode())
    else:
        show_summary(console, known)
    return exit_code(known)


def show_status(console: Console, name: str, *, env: str, as_json: bool) -> int:
    """Print all imports, those of one mapping, or one in full.

    Raises:
        CommandError: There is none.
    """
    found = load_summaries(find_deployment(env), name)
    if not found:
        raise CommandError(f"Nothing was imported{f' as {name}' if name else ''} yet")
    if as_json:
        print(msgspec.json.encode([summary_document(each) for each in found]).decode())
    elif len(found) == 1 and name:
        show_summary(console, found[0])
    else:
        show_summaries(console, found)
    return 0
