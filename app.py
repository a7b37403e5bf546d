"""Chooses the environment and creates the stacks: `cdk synth -c environment=dev|staging|prod`."""

import argparse
import json
import os
import sys
from pathlib import Path

from infra.bundling import BundlingError
from infra.environments import UnknownEnvironmentError, environment_named
from infra.node_runtime import use_packaged_node

SETTINGS = Path(__file__).parent / "cdk.json"


def main() -> int:
    """Synthesize; return the exit code. A wrong setting gives one line instead of a trace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--context", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("-o", "--output", help="folder of the cloud assembly; cdk.out unless the cdk command says else")
    arguments = parser.parse_args()
    use_packaged_node()
    from aws_cdk import App

    from infra.application import build_stacks, bundle_wanted

    # The cdk command hands over the context itself, and wins; without it the same file is read here.
    context = json.loads(SETTINGS.read_text(encoding="utf-8"))["context"]
    context |= dict(pair.partition("=")[::2] for pair in arguments.context)
    app = App(context=context, outdir=arguments.output or os.environ.get("CDK_OUTDIR", "cdk.out"))
    try:
        environment = environment_named(str(app.node.get_context("environment")))
        build_stacks(app, environment, bundle=bundle_wanted(app))
    except (UnknownEnvironmentError, BundlingError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
