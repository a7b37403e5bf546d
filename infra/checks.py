"""Checks the stacks of every environment against cdk-nag and cfn-lint: `python -m infra.checks`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra.bundling import REPOSITORY
from infra.environments import ENVIRONMENT_BY_NAME, Environment
from infra.node_runtime import use_packaged_node

if TYPE_CHECKING:  # importing it starts Node, and which one is still to be said
    from constructs import Construct

REPORT = "validation-report.json"
LINT_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that one resource breaks."""

    environment: str
    tool: str
    rule: str
    place: str
    description: str


def main() -> int:
    """Print one line per environment and tool, then each finding; return 1 if there is any, else 0."""
    findings: list[Finding] = []
    _print(f"{'environment':<12} {'resources':>9} {'cdk-nag':>8} {'cfn-lint':>9}")
    for environment in ENVIRONMENT_BY_NAME.values():
        with tempfile.TemporaryDirectory() as folder:
            nag = nag_findings(environment.name, partial(_build, environment), Path(folder))
            templates = sorted(Path(folder).glob("*.template.json"))
            lint = lint_findings(environment.name, templates)
            resources = sum(len(json.loads(path.read_text(encoding="utf-8"))["Resources"]) for path in templates)
        _print(f"{environment.name:<12} {resources:>9} {len(nag):>8} {len(lint):>9}")
        findings += [*nag, *lint]
    for finding in findings:
        _print(f"{finding.environment}: {finding.tool} {finding.rule} at {finding.place}: {finding.description}")
    return 1 if findings else 0


def nag_findings(name: str, build: Callable[["Construct"], object], output: Path) -> list[Finding]:
    """Synthesize what `build` puts into an app under cdk-nag and CDK's own validation; return what they find.

    Args:
        name: Named in the findings.
        build: Creates the stacks in the app that it is given.
        output: Folder for the cloud assembly.

    Raises:
        RuntimeError: The stacks cannot be synthesized at all.
    """
    use_packaged_node()
    from aws_cdk import App, Validations
    from cdk_nag import AwsSolutionsChecks

    settings = json.loads((REPOSITORY / "cdk.json").read_text(encoding="utf-8"))
    app = App(context=settings["context"], outdir=str(output))
    build(app)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        if "ValidationFailed" not in str(error):
            raise
    return _reported(name, output / REPORT)


def lint_findings(environment: str, templates: Sequence[Path]) -> list[Finding]:
    """Return what cfn-lint finds in `templates`."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--format", "json", "--", *map(str, templates)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LINT_TIMEOUT_S)
    if answer.stderr.strip():
        raise RuntimeError(f"cfn-lint: {answer.stderr.strip().splitlines()[-1]}")
    return [
        Finding(
            environment=environment,
            tool="cfn-lint",
            rule=match["Rule"]["Id"],
            place=f"{Path(match['Filename']).name}/{'/'.join(map(str, match['Location']['Path'] or []))}",
            description=match["Message"],
        )
        for match in json.loads(answer.stdout or "[]")
    ]


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _build(environment: Environment, scope: "Construct") -> None:
    from infra.application import build_stacks

    build_stacks(scope, environment, bundle=False)


def _reported(environment: str, report: Path) -> list[Finding]:
    """Read the report that synthesis leaves; warnings count as much as errors."""
    if not report.is_file():
        raise RuntimeError(f"synthesis of {environment} left no {report.name}")
    plugins = json.loads(report.read_text(encoding="utf-8"))["pluginReports"]
    return [
        Finding(
            environment, plugin["pluginName"], violation["ruleName"], place["constructPath"], violation["description"]
        )
        for plugin in plugins
        for violation in plugin["violations"]
        for place in violation["violatingConstructs"]
    ]


if __name__ == "__main__":
    sys.exit(main())
